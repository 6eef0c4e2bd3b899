"""Dead gates: a block whose scales are the same for every image, and the likely cause, as far as the data tell it.

The class share alone does not find them: a tiny variance can lie wholly between the classes.
"""

from sevis.analysis.formulas import HIGH, LOW

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
