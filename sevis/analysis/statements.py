"""What the paper says of its gates at different depths (arXiv:1709.01507v4, sec. 7), and whether a network's gates do the same.

Each of its four statements gets a criterion of ours, for the paper judges its curves by eye: named thresholds, held against intervals.
A statement is seen only where the whole interval lies on the right side, and not seen otherwise; without intervals that is unknown.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import isnan

import numpy as np

from sevis.analysis.block_gates import FEWEST, FEWEST_HALVED
from sevis.analysis.block_profile import Value
from sevis.analysis.dead_gates import CAUSES, DEAD
from sevis.analysis.depth import DepthProfile
from sevis.analysis.formulas import HIGH, LOW
from sevis.paper import by_stage

# Cohen (1988), Statistical Power Analysis, sec. 8.2.3, calls a share of the variance of 13.8 % large.
SPECIFIC = 0.14
# In units of s: the paper judges curves by eye on an axis from 0 to 1, where a twentieth is about as wide as a drawn curve.
COINCIDE = 0.05  # the mean class lies as near to all
NEAR = 0.10  # the furthest class does
MOST = 0.5  # of the scales above HIGH: a block is saturated
ALIKE = 0.10  # of the mean gates, what one factor for each class leaves: the same pattern (a twentieth of the axis, where s is about 0.5)
MODEST = 0.25  # |a - 1| of these factors
PARTS = 3  # of a network whose blocks all belong to one stage


@dataclass(frozen=True)
class Statement:
    """One sentence of the paper, and whether it holds here.

    Attributes:
        name: `agnostic`, `specific`, `saturated` or `scaled`.
        sentence: what the paper says.
        criterion: when it counts as seen, with the thresholds.
        blocks: of this network that are judged.
        seen: whether it is.
        known: whether that can be told from the statistics.
        finding: what was found, a sentence with numbers and their intervals.
        measure: in whose chart one sees it.
        limits: of the criterion, by what is written beside them in that chart.
    """

    name: str
    sentence: str
    criterion: str
    blocks: tuple[str, ...]
    seen: bool
    known: bool
    finding: str
    measure: str
    limits: Mapping[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """Return the answer in words: seen here, not seen here, or unknown here."""
        if not self.known:
            return "unknown here"
        return "seen here" if self.seen else "not seen here"


def judge(profile: DepthProfile, sites: Sequence[str] | None = None) -> tuple[Statement, ...]:
    """Return the paper's four statements, judged on a complete profile.

    Blocks are chosen by where they stand, so that other networks can be judged, too. The early blocks are those of the first stage; the
    deeper ones the last of the last stage but one, and the first of the last (SE_4_6 and SE_5_1 of a ResNet-50), on a path from the last
    block of the first stage over that of each later one; then the last block but one, and the last. Blocks that are all of one stage count
    as three stages of equal length.

    Args:
        profile: of the network.
        sites: the names of its blocks, in order; those of the profile by default.
    """
    stages = split_stages(sites or profile.sites)
    agnostic, scaled = (_of_live_gates(profile, statement) for statement in (_agnostic(profile, stages), _scaled(profile, stages)))
    return agnostic, _specific(profile, stages), _saturated(profile, stages), scaled


def _of_live_gates(profile: DepthProfile, statement: Statement) -> Statement:
    """Return the statement; unknown where it is seen only because gates are dead, which are alike for every class."""
    dead = [site for site in statement.blocks if site in profile.dead]
    if not (dead and statement.seen):
        return statement
    why = f"The gates of {listed(dead)} are dead: the same for every photo, and so for every class. So this says nothing."
    return replace(statement, seen=False, known=False, finding=f"{statement.finding} {why}")


def split_stages(sites: Sequence[str]) -> list[list[str]]:
    """Return the blocks of each stage, SE_stage_block; those of a single stage in three parts."""
    stages = list(by_stage(sites).values())
    if len(stages) > 1 or len(sites) < 2:
        return stages
    return [part.tolist() for part in np.array_split(np.array(sites), min(PARTS, len(sites)))]


def describe_regions(profile: DepthProfile) -> tuple[str, ...]:
    """Return where the gates are class-agnostic, class-specific, saturated and dead: a sentence each, with numbers and intervals."""
    share, distance = ({site: profile.at(name, site) for site in profile.sites} for name in ("class_share", "distance"))
    agnostic = {site: value for site, value in distance.items() if value.high < COINCIDE}
    unknown = [site for site in share if site not in agnostic and (isnan(share[site].low) or isnan(distance[site].low))]
    known = [site for site in share if site not in unknown]
    specific = {site: share[site] for site in known if share[site].low > SPECIFIC and site not in agnostic}
    between = {site: share[site] for site in known if site not in {*agnostic, *specific}}
    what = f"more than {100 * SPECIFIC:.0f} % of the variance of a scale lies between the classes"
    sentences = []
    if known:
        sentences = [
            _region("Class-agnostic", agnostic, f"the mean class lies less than {COINCIDE} from all, in units of s", profile, units),
            _region("Class-specific", specific, what, profile),
        ]
    if between:
        sentences.append(_region("Neither with certainty", between, "the class share, in per cent of the variance of a scale", profile))
    if unknown:
        sentences.append(f"**Unknown: {_named(unknown, profile)}.** {_why_unknown(profile)}")
    return (*sentences, _saturated_region(profile), _dead_region(profile))


def percent(value: Value) -> str:
    """Return a share with its interval, such as `3.1 % (2.2 % to 4.0 %)`, whose spaces do not break."""
    if isnan(value.estimate):
        return "unknown"
    digits = 0 if 0.1 <= abs(value.estimate) <= 0.9 else 1
    parts = [f"{100 * part:.{digits}f}\u00a0%".replace("-", "−") for part in (value.estimate, value.low, value.high)]
    return f"{parts[0]} (interval unknown)" if isnan(value.low) else f"{parts[0]} ({parts[1]} to {parts[2]})"


def units(value: Value) -> str:
    """Return a number in units of s with its interval, such as `0.034 (0.033 to 0.035)`, whose space does not break."""
    if isnan(value.estimate):
        return "unknown"
    ends = "interval unknown" if isnan(value.low) else f"{value.low:.3f} to {value.high:.3f}"
    return f"{value.estimate:.3f}\u00a0({ends})"


def _needs_more(mean: Iterable[Value], furthest: Iterable[Value]) -> str:
    if not _told(*mean) or not any(isnan(value.estimate) for value in furthest):
        return ""
    return f" The furthest class is known from {FEWEST_HALVED} photos of a class on."


def _short(value: Value) -> str:
    return "unknown" if isnan(value.estimate) else f"{value.estimate:.2f}"


def _agnostic(profile: DepthProfile, stages: list[list[str]]) -> Statement:
    blocks = tuple(stages[0])
    mean, furthest = ({site: profile.at(name, site) for site in blocks} for name in ("distance", "furthest"))
    apart = [mean[site].low >= COINCIDE or furthest[site].estimate >= NEAR for site in blocks]
    return Statement(
        "agnostic",
        "Early blocks, such as SE_2_3, are class-agnostic: the gates are very similar across different classes.",
        "In every block of the first stage, as a root mean square over channels, the mean gates of a class lie less than "
        f"{COINCIDE} from those of all classes (in units of s, with the whole interval), and those of the furthest class less than "
        f"{NEAR:.1f}.",
        blocks,
        all(mean[site].high < COINCIDE and furthest[site].estimate < NEAR for site in blocks),
        any(apart) or (_told(*mean.values()) and not any(isnan(value.estimate) for value in furthest.values())),
        f"The mean class lies {listed([f'{units(value)} from all in {site}' for site, value in mean.items()])}; the furthest class "
        f"{listed([_short(value) for value in furthest.values()])}.{_floors(profile, blocks)}{_unknown(profile, *mean.values())}"
        f"{_needs_more(mean.values(), furthest.values())}",
        measure="distance",
        limits={"coincide below": COINCIDE, "furthest class below": NEAR},
    )


def _floors(profile: DepthProfile, blocks: Sequence[str]) -> str:
    """Return how much the gates know of the class, beside what their input knows and what no training gives."""
    share, squeeze = ({site: profile.at(name, site) for site in blocks} for name in ("class_share", "squeeze_share"))
    if any(isnan(value.estimate) for value in share.values()):
        return ""
    floors = {"of a squeeze z in these blocks": list(squeeze.values())}
    if profile.untrained is not None:
        floors["of a scale before any training"] = [Value(float(profile.untrained[profile.sites.index(site)])) for site in blocks]
    beside = [f"; {what}, {_plain(values)}" for what, values in floors.items() if not any(isnan(value.estimate) for value in values)]
    return f" Of the variance of a scale, {_each(share)} lies between the classes{''.join(beside)}."


def _plain(values: Iterable[Value]) -> str:
    return listed([f"{100 * max(0.0, value.estimate):.0f}\u00a0%" for value in values])


def _specific(profile: DepthProfile, stages: list[list[str]]) -> Statement:
    first, *path = [*(stage[-1] for stage in stages[:-1]), stages[-1][0]]
    deeper = tuple(path[-2:])
    share = {site: profile.at("class_share", site) for site in (first, *deeper)}
    told = {site: profile.at("accuracy", site) for site in (first, *path)}
    after = {site: value for site in stages[-1][1:] if not isnan((value := profile.at("accuracy", site)).estimate)}
    nearest = {site: profile.at("nearest", site) for site in (*told, *after)}
    steps, start = list(told.values()), share[first]
    grows = all(share[site].low > max(SPECIFIC, start.high) for site in deeper)
    rises = all(later.high >= earlier.low for earlier, later in pairwise(steps)) and steps[-1].low > steps[0].high
    alone = "" if deeper else " There is no deeper block to compare with."
    return Statement(
        "specific",
        "At greater depth, such as in SE_4_6 and SE_5_1, a channel becomes much more class-specific: different classes prefer different "
        "ones.",
        f"In the deeper blocks, more than {100 * SPECIFIC:.0f} % of the variance lies between the classes, and more than in "
        f"{first}, with the whole interval. Also, from {first} on, a linear discriminant tells the class of a photo by its gates alone "
        "more and more often (each fifth of the photos is read by one that was fitted to the other four): no step goes down, and the "
        "last block lies above the first, beyond the intervals.",
        deeper or (first,),
        grows and rises,
        _told(*share.values(), *steps),
        f"The share of the variance between the classes is {_each(share)}. "
        f"{_accuracy(told, after, nearest)}{alone}{_unknown(profile, *share.values(), *steps)}",
        measure="accuracy",
    )


def _saturated(profile: DepthProfile, stages: list[list[str]]) -> Statement:
    sites = [site for stage in stages for site in stage]
    site = sites[-2:][0]
    high, low = profile.at("high", site), profile.at("low", site)
    alone = "" if len(sites) > 1 else " This network has only one block, so no block comes before the last."
    return Statement(
        "saturated",
        "The last block but one, SE_5_2, tends towards a saturated state: most activations are close to one, and the block is "
        "close to the identity.",
        f"More than {100 * MOST:.0f} % of the scales of this block are above {HIGH}, with the whole interval.",
        (site,),
        high.low > MOST and not alone,
        _told(high),
        f"In {site}, {percent(high)} of the scales are above {HIGH}, and {percent(low)} are below {LOW}.{alone}{_unknown(profile, high)}",
        measure="high",
        limits={"most above": MOST},
    )


def _scaled(profile: DepthProfile, stages: list[list[str]]) -> Statement:
    site = stages[-1][-1]
    residual, factor, left = (profile.at(name, site) for name in ("residual", "factor", "left"))
    return Statement(
        "scaled",
        "In the last block, SE_5_3, a similar pattern emerges over different classes, up to a modest change in scale.",
        "When one factor for each class is fitted to the mean gates of all classes, what it leaves is less than "
        f"{100 * ALIKE:.0f} % of the mean gates, and the factors differ from 1 by less than {100 * MODEST:.0f} % (root mean "
        "squares over classes, both with the whole interval).",
        (site,),
        residual.high < ALIKE and factor.high < MODEST,
        _told(residual, factor) or residual.low >= ALIKE or factor.low >= MODEST,
        f"In {site}, one factor for each class leaves {percent(residual)} of the mean gates, and the factors differ from 1 by "
        f"{percent(factor)}.{_remaining(left) if _told(residual) else ''}{_unknown(profile, residual, factor)}",
        measure="residual",
        limits={"the same pattern below": ALIKE, "modest factors below": MODEST},
    )


def _remaining(left: Value) -> str:
    if isnan(left.estimate):
        return " The classes do not differ beyond the noise of their means."
    return f" Of the differences between the classes, {percent(left)} remain."


def _each(values: Mapping[str, Value]) -> str:
    return listed([f"{percent(value)} in {site}" for site, value in values.items()])


def _accuracy(told: Mapping[str, Value], after: Mapping[str, Value], nearest: Mapping[str, Value]) -> str:
    """Return how often two readers tell the class by the gates: in the blocks that are judged, and in those after them, of which the paper
    says other things.
    """
    known = [value for value in told.values() if not isnan(value.estimate)]
    if not known:
        return "Whether the gates tell the class of a photo is unknown."
    beyond = f" In the later blocks it tells that of {_each(after)}." if after else ""
    return (
        f"By the gates alone, the linear discriminant tells the class of {_each(told)} of the photos; chance gives "
        f"{100 * known[0].null:.3g}\u00a0%.{beyond} The nearest class mean, a simpler reader, tells that of {_each(nearest)}."
    )


def _told(*values: Value) -> bool:
    return not any(isnan(value.low) for value in values)


def _unknown(profile: DepthProfile, *values: Value) -> str:
    return "" if _told(*values) else f" {_why_unknown(profile)}"


def _why_unknown(profile: DepthProfile) -> str:
    """Return why some interval is unknown."""
    if profile.classes < 2:
        return f"This needs at least two classes, and there {'is' if profile.classes == 1 else 'are'} {profile.classes}."
    if profile.images <= profile.classes:
        return f"This needs at least {FEWEST} photos of each class, and there is one."
    if not profile.per_class:
        return "The intervals are unknown, because the file holds no single gates: collect it again with python -m sevis collect."
    if profile.per_class < FEWEST:
        return f"The intervals are unknown, because {profile.per_class} photos of a class (the median) are too few."
    return "The gates of the unknown blocks are the same for every photo, or for nearly every photo."


def _region(name: str, values: Mapping[str, Value], meaning: str, profile: DepthProfile, say: Callable[[Value], str] = percent) -> str:
    """Return a kind of block, which blocks are of it, and from which to which value they go."""
    if not values:
        return f"**{name}: no block** ({meaning})."
    least, most = (pick(values, key=lambda site: values[site].estimate) for pick in (min, max))
    one, other = (f"{say(values[site])} in {site}" for site in (least, most))
    return f"**{name}: {_named(list(values), profile)}** ({meaning}): {one if least == most else f'from {one} to {other}'}."


def _saturated_region(profile: DepthProfile) -> str:
    values = {name: {site: profile.at(name, site) for site in profile.sites} for name in ("high", "low")}
    if all(isnan(value.low) for value in values["high"].values()):
        return f"**Saturated: unknown.** {_why_unknown(profile)}"
    ends = {site: value for part in values.values() for site, value in part.items() if value.low > MOST}
    if ends:
        return _region("Saturated", ends, f"more than {100 * MOST:.0f} % of the scales are above {HIGH}, or below {LOW}", profile)
    said = []
    for name, where in (("high", f"above {HIGH}"), ("low", f"below {LOW}")):
        known = [(value.estimate, site) for site, value in values[name].items() if not isnan(value.estimate)]
        if known:
            site = max(known)[1]
            said.append(f"at most {percent(values[name][site])} are {where} (in {site})")
    return f"**Saturated: no block** (none has more than {100 * MOST:.0f} % of its scales above {HIGH} or below {LOW}): {listed(said)}."


def _dead_region(profile: DepthProfile) -> str:
    spread = {site: profile.at("spread", site).estimate for site in profile.sites}
    known = {site: value for site, value in spread.items() if not isnan(value)}
    if not known:
        return "**Dead: unknown**, because fewer than two photos do not tell how the gates vary."
    meaning = f"the same for every photo: the standard deviation of a scale is below {DEAD}"
    if not profile.dead:
        least = min(known, key=lambda site: known[site])
        return f"**Dead: no block** ({meaning}): {least} varies least, with a standard deviation of {known[least]:.3f}."
    causes = {cause: [site for site, why in profile.dead.items() if why == cause] for cause in profile.dead.values()}
    reasons = " ".join(f"In {_named(sites, profile)} {CAUSES[cause]}." for cause, sites in causes.items())
    return f"**Dead: {_named(list(profile.dead), profile)}** ({meaning}). {reasons}"


def _named(sites: Sequence[str], profile: DepthProfile) -> str:
    return f"all {len(sites)} blocks" if len(sites) == len(profile.sites) > 1 else listed(sites)


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence lists them: a, b and c."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
