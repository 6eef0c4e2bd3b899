"""Where the numbers of class statistics come from, in words: no more than their file says."""

import numpy as np

from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.class_statistics.provenance import describe_source


def test_provenance_names_what_is_known():
    statistics = ClassStatistics({"SE_2_1": 1}, ("goldfish", "cliff", "lion"))
    scale = np.full((3, 1), 0.5, dtype=np.float32)
    statistics.update(np.array([0, 0, 2]), {"SE_2_1": {"scale": scale, "squeeze": scale}})
    assert describe_source(statistics) == "A network over n = 3 photos of 2 classes: an unnamed data set."
    known = ClassStatistics(
        {"SE_2_1": 2}, ("a",), {"model": "m", "weights": "0123456789", "data": "d", "split": "val", "date": "2026-01-02"}
    )
    assert describe_source(known) == "m (weights 01234567) over n = 0 photos of 0 classes: d val, collected on 2026-01-02."
