"""What compact class statistics lose: several packings beside the full file, in the tables of docs/statistics.md.

    PYTHONPATH=. python benchmarks/compact.py full.safetensors [--packings 8/8/0/4x5 16/16/8/8x7]

A packing is written MEAN/STD/SQUEEZE/SAMPLExIMAGES: bits of the means and deviations of s by class and of those of z (0: z over all classes
alone), bits of a sampled scale, and how many images of each class are sampled. Made full files: python -m sevis collect --out FILE.
"""

import argparse
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
from numpy.typing import NDArray

from sevis.analysis.depth import DepthProfile, depth_profile
from sevis.analysis.depth_measures import MEASURES
from sevis.analysis.formulas import distances
from sevis.analysis.two_classes import compare_classes
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.class_statistics.moments import Packing

DEFAULTS = ("16/16/8/8x7", "8/8/8/8x5", "8/8/0/8x3", "8/8/0/8x5", "8/8/0/8x10", "8/8/0/4x3", "8/8/0/4x5", "8/8/0/4x10", "8/8/0/4x20")
SHOWN = {"class_share": "ω²", "left": "left", "accuracy": "accuracy", "agreement": "agreement", "effective": "effective"}


def read_packing(text: str) -> tuple[Packing, int]:
    """Return a packing and the images of each class, from the way it is written."""
    mean, std, squeeze, sample, images = map(int, re.split("[/x]", text))
    return msgspec.convert({"mean": mean, "std": std, "squeeze": squeeze, "sample": sample}, Packing), images


def compacted(full: ClassStatistics, text: str) -> tuple[ClassStatistics, float]:
    """Return the statistics as a compact file holds them, and its size in MB (10^6 bytes)."""
    packing, images = read_packing(text)
    small = full.compacted(sample=images, packing=packing)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "small"
        small.save(path)
        return small, path.stat().st_size / 1e6


def differences(full: DepthProfile, small: DepthProfile, name: str) -> tuple[float, float]:
    """Return the largest difference of a measure over the blocks, and how much wider its interval is, at the median over the blocks."""
    one, two = full.curves[name], small.curves[name]
    widths, known = two.high - two.low, one.high - one.low
    wider = widths[known > 0] / known[known > 0]
    return largest(two.estimate - one.estimate), float(np.median(wider)) if len(wider) else np.nan


def largest(values: NDArray[np.floating]) -> float:
    """Return the largest magnitude of those that are known; NaN where none is."""
    return float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else np.nan


def say(value: float, form: str) -> str:
    """Return a number as the tables print it."""
    return "none" if np.isnan(value) else format(value, form)


def map_losses(full: ClassStatistics, small: ClassStatistics) -> tuple[float, float]:
    """Return of the cosine distances of all pairs of classes the lowest correlation of a block, and the largest relative difference."""
    correlations, relative = [], []
    for site in full.sites:
        one, two = (distances(statistics.mean(site)[statistics.count > 0], "cosine") for statistics in (full, small))
        pairs = np.triu_indices(len(one), 1)
        correlations.append(np.corrcoef(one[pairs], two[pairs])[0, 1])
        relative.append(np.abs(two[pairs] / one[pairs] - 1).max())
    return float(min(correlations)), float(max(relative))


def effect_loss(full: ClassStatistics, small: ClassStatistics) -> float:
    """Return how far Hedges' g of two classes moves at most, as a share of the width of its interval, over the first ten pairs."""
    found = []
    for first, second in pairwise(full.classes[:11]):
        one, two = compare_classes(full, first, second), compare_classes(small, first, second)
        found.append(largest((two.g - one.g) / (one.high - one.low)))
    return max(found)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield f"| {' | '.join(titles)} |"
    yield f"|{'---|' * len(titles)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def rows(full: ClassStatistics, profile: DepthProfile, packings: Sequence[str]) -> Iterator[list[str]]:
    """Yield what each packing gives."""
    for text in packings:
        small, size = compacted(full, text)
        own = depth_profile(small)
        correlation, relative = map_losses(full, small)
        losses = [differences(profile, own, name) for name in SHOWN]
        widths = [width for measure in MEASURES if not np.isnan(width := differences(profile, own, measure.name)[1])]
        alike = "the same" if own.dead == profile.dead else "differ"
        numbers = [f"{size:.2f}", *(say(loss, ".4f") for loss, _ in losses), say(float(np.median(widths)) if widths else np.nan, ".2f")]
        yield [text, *numbers, f"{correlation:.6f}", f"{relative:.2%}", f"{effect_loss(full, small):.2%}", alike]


def measure_rows(full: ClassStatistics, profile: DepthProfile, text: str) -> Iterator[list[str]]:
    """Yield what one packing does to each measure."""
    own = depth_profile(compacted(full, text)[0])
    for measure in MEASURES:
        loss, wider = differences(profile, own, measure.name)
        span = largest(profile.curves[measure.name].estimate)
        yield [measure.name, f"{span:.4f}", say(loss, ".5f"), say(wider, ".2f")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("full", type=Path)
    parser.add_argument("--packings", nargs="+", default=DEFAULTS)
    parser.add_argument("--each", help="the packing of which all measures are shown")
    arguments = parser.parse_args()
    full = ClassStatistics.load(arguments.full)
    started = time.perf_counter()
    profile = depth_profile(full)
    seconds = time.perf_counter() - started
    size = arguments.full.stat().st_size / 1e6
    print(f"{full.metadata['model']}: {size:.1f} MB, profile of {profile.per_class} images a class in {seconds:.0f} s\n")
    titles = ["packing", "MB", *SHOWN.values(), "intervals", "correlation", "distance", "g", "dead gates"]
    for line in table(titles, rows(full, profile, arguments.packings)):
        print(line, flush=True)
    if arguments.each:
        print()
        for line in table(["measure", "largest", "difference", "intervals"], measure_rows(full, profile, arguments.each)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
