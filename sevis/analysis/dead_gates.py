"""Dead gates: a block whose scales are the same for every image, and the likely cause, as far as the data, or one image, tell it.

The class share alone does not find them: a tiny variance can lie wholly between the classes.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sevis.analysis.formulas import HIGH, LOW

Array = NDArray[np.floating]

# The one limit, for blocks, for networks (the mean over their blocks) and for what is published: below it, the mean over channels of the
# standard deviation of s over images, gates are called dead. Measured for this project in two ways.
# - In pretrained/ablations.json, of the networks with sigmoid gates that learned (top-1 above 30 %), freezing a single block at its mean
#   cost -0.02 ± 0.04 points of top-1 on average over the 40 blocks below 0.05 (-0.01 below 0.02), but 0.21 ± 0.04 over the 169 from 0.05 to
#   0.1: what varies by less than 0.05 over images is of no use to the network.
# - In networks of one recipe but for two things: with weight decay on the two projections and the last norm of each branch started at zero
#   it was 0.002 to 0.018, and freezing all gates cost 0.8 points; with the second alone 0.004 to 0.052, and 1 point, which is noise, too;
#   with neither 0.14 to 0.22, and 7 to 10 points. A limit of 0.02 would call most blocks of the second network alive.
# All had sigmoid gates, whose scales lie in 0..1; for others it is only a guide.
DEAD = 0.05
STILL = 0.05  # the same of z; in a network whose gates live it was 0.4 to 1.6
FLAT = 0.9  # the share of the scales beyond HIGH and LOW above which a block is called saturated
CAUSES = {
    "saturated": f"nearly all scales are above {HIGH} or below {LOW}, where the gate is flat",
    "still": "the squeeze z hardly varies either: the last norm of the branch probably started at zero, so the squeeze started at "
    "zero, too",
    "flat": "the squeeze z varies, but s does not follow: weight decay probably kept the two projections small",
}


def dead_cause(scale_spread: float, squeeze_spread: float, saturated: float) -> str | None:
    """Return why the gates of a block are the same for every image, a key of CAUSES; None where they are not, or that is unknown (NaN).

    Args:
        scale_spread, squeeze_spread: the means over channels of the standard deviations of s and of z over images.
        saturated: the share of the channels whose scale is where the gate is flat, above HIGH or below LOW.
    """
    if not scale_spread < DEAD:
        return None
    if saturated > FLAT:
        return "saturated"
    return "still" if squeeze_spread < STILL else "flat"


# One image does not show how s varies over images. But it shows a part of the block that puts out nothing, or the same for all channels.
NOTHING = 1e-6  # values up to it are zero, and differences up to it are none
EVEN = 0.02  # logits within it give scales within 0.005 of each other, by a sigmoid
BEYOND = 3.0  # there begins the flat part of the hard sigmoid; the sigmoid is at 0.95
FEW = 8  # channels or units: fewer may have the same scale, or all be below zero, by chance
CERTAIN, UNCERTAIN = "for any image: dead", "for this image: perhaps dead"
CAUSES_IN_ONE = {
    "still": (CERTAIN, "the squeeze z is 0 in every channel; the last norm of the branch probably started at zero"),
    "flat": (
        CERTAIN,
        "the gate gets the same number in every channel, whatever z is; the second projection is probably zero, as it started",
    ),
    "silent": (UNCERTAIN, "no unit of the hidden layer answers; its weights or biases probably hold all of them below zero"),
    "faint": (
        UNCERTAIN,
        "the inputs of the gate hardly differ; the network is probably not trained, or weight decay kept the projections small",
    ),
    "saturated": (UNCERTAIN, "all inputs of the gate lie where it is flat; the weights of the projections are probably too large"),
}


def dead_cause_in_one(squeeze: Array, hidden: Array, logits: Array, scale: Array) -> str | None:
    """Return why the scales of a block do not answer to the one image that it saw, a key of CAUSES_IN_ONE; None where they seem to.

    Args:
        squeeze, logits, scale: z, the gate's input and s, shape (C,).
        hidden: the hidden layer, shape (C/r,).
    """
    if np.abs(squeeze).max(initial=0) <= NOTHING:
        return "still"
    if len(hidden) >= FEW and np.abs(hidden).max() <= NOTHING:
        return "silent"
    if len(scale) < FEW:
        return None
    if np.ptp(logits) <= EVEN:
        return "flat" if np.ptp(logits) <= NOTHING else "faint"
    beyond = logits.min() > BEYOND or logits.max() < -BEYOND
    return "saturated" if beyond and np.ptp(scale) <= EVEN / 4 else None


def describe_death(cause: str, scale: Array) -> str:
    """Return a clause on a block whose scales do not answer to the image: which they are, and the likely cause."""
    certainty, reason = CAUSES_IN_ONE[cause]
    low, high = f"{scale.min():.2f}", f"{scale.max():.2f}"
    return f"{f'every s is {low}' if low == high else f's is the same, {low} to {high},'} {certainty}; likely cause: {reason}"


def dead_sentences(dead: Mapping[str, str], *, blocks: int) -> list[str]:
    """Return what to tell people of the dead gates of one image: a sentence for all blocks with the same clause.

    Args:
        dead: a clause by block, as `describe_death` gives it.
        blocks: how many the network has.
    """
    together: dict[str, list[str]] = {}
    for site, clause in dead.items():
        together.setdefault(clause, []).append(site)
    return [f"{_named(sites, blocks)}: {clause}." for clause, sites in together.items()]


def _named(sites: list[str], blocks: int) -> str:
    return f"All {blocks} blocks" if 1 < len(sites) == blocks else ", ".join(sites)
