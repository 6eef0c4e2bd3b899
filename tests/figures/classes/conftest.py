"""Raw excitations of a few classes, and the statistics over them, for Figures 6 and 7."""

import numpy as np
import pytest

from sevis.class_statistics.class_statistics import ClassStatistics
from tests.helpers.curves import COUNTS, WIDTHS


@pytest.fixture(scope="module")
def excitations():
    """Per class and block, the scales of each image, of very different sizes per class: shape (n, C)."""
    random = np.random.default_rng(0)
    return {
        name: {site: random.beta(1 + label, 2, size=(count, width)).astype(np.float32) for site, width in WIDTHS.items()}
        for label, (name, count) in enumerate(COUNTS.items())
    }


@pytest.fixture(scope="module")
def statistics(excitations):
    statistics = ClassStatistics(WIDTHS, tuple(COUNTS))
    for label, blocks in enumerate(excitations.values()):
        values = {site: {"scale": scale, "squeeze": 5 + scale} for site, scale in blocks.items()}
        statistics.update(np.full(COUNTS[list(COUNTS)[label]], label), values)
    return statistics
