"""What one sees in Figures 6 and 7, in words: what the paper says of a block, beside what this network does."""

from collections.abc import Sequence

import numpy as np

from sevis.analysis.paper_figures import INDEX, MEAN, SHARE, Curve, count_of, means_of, std_of
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.figures.classes.paper_figures import PAPER_BLOCKS, paper_blocks

SATURATED = 0.9
ABOUT_MEANS = (
    "The mean excitation of each channel, one curve for each class. In the paper the curves part with depth: alike in SE_2_3, "
    "class-specific in SE_4_6 and SE_5_1, mostly close to one in SE_5_2, and in SE_5_3 alike again up to a modest change in scale."
)
ABOUT_SPREAD = (
    "The mean excitation of each channel over the photos of one class, in a band of one standard deviation each side. In the paper "
    "excitations differ within a class, too, and most in the later layers, where one class is represented most diversely."
)
_CLAIMS = {
    "SE_2_3": "In the paper early blocks are alike for all classes",
    "SE_3_4": "In the paper the classes part with depth",
    "SE_4_6": "In the paper deeper blocks are much more class-specific",
    "SE_5_1": "In the paper deeper blocks are much more class-specific",
    "SE_5_2": "In the paper most activations of this block are close to one",
    "SE_5_3": "In the paper the last block's classes are alike up to a modest change in scale",
}

_ORDERED = {
    INDEX: "",
    MEAN: "; channels by their mean over all images, highest first",
    SHARE: "; channels by class share (omega squared), highest first",
}


def mean_caption(statistics: ClassStatistics, site: str, curves: Sequence[Curve], *, order: str = INDEX) -> str:
    """Return one sentence under a panel of Figure 6: what this network shows, beside what the paper says of the block."""
    drawn = [curve for curve in curves if count_of(statistics, curve)]
    if not drawn:
        return "None of the chosen classes has an image, so only the axes are drawn."
    overall = statistics.overall_mean(site)
    distance = np.abs(means_of(statistics, site, drawn) - overall).mean()
    what = "class" if all(isinstance(curve, str) for curve in drawn) else "curve"
    finding = f"a {what} lies {distance:.2f} from the mean of all on average{_ORDERED[order]}"
    claim = _CLAIMS.get(site) if paper_blocks(statistics.sites) == PAPER_BLOCKS else None
    if claim and site == "SE_5_2":
        finding = f"{np.mean(overall > SATURATED):.0%} of the channels have a mean above {SATURATED}, and {finding}"
    return f"{claim}; here {finding}." if claim else f"{finding[0].upper()}{finding[1:]}."


def spread_caption(statistics: ClassStatistics, site: str, curve: Curve, *, order: str = INDEX) -> str:
    """Return one sentence under a panel of Figure 7: how far the images of a class, or of a group, differ."""
    count, what = count_of(statistics, curve), "class" if isinstance(curve, str) else "group"
    if count < 2:
        return f"There is {'only one photo' if count else 'no photo'} of this {what}, so no spread can be drawn."
    within = std_of(statistics, site, curve).mean()
    return (
        f"Over the {count} photos of the {what}, a channel's excitation has a standard deviation of {within:.2f} on average"
        f"{_ORDERED[order]}."
    )


def describe_source(statistics: ClassStatistics) -> str:
    """Return where the numbers come from, in one sentence: network, weights, number of photos, data and day, as far as the file says it."""
    known = statistics.metadata
    data = " ".join(str(known[field]) for field in ("data", "split") if known.get(field)) or "an unnamed data set"
    weights = f" (weights {str(known['weights'])[:8]})" if known.get("weights") else ""
    date = f", collected on {known['date']}" if known.get("date") else ""
    some = f" (at most {known['per_class']} of each)" if known.get("per_class") else ""
    photos = f"n = {statistics.count.sum():,} photos of {np.count_nonzero(statistics.count)} classes{some}"
    return f"{known.get('model', 'A network')}{weights} over {photos}: {data}{date}."
