"""The view Two classes: which channels tell two classes apart, by effect size, with false discoveries under control."""

import numpy as np
import streamlit as st

from sevis.analysis.two_classes import MIN_IMAGES, RATE, Effects, compare_classes
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.figures.classes.class_curves import paper_classes
from sevis.figures.classes.two_classes import depth_table, effects_by_depth, largest_effects, sorted_effects
from sevis.pages.shared.show import show

EVERY = "all blocks"
FORMULA = (
    "**How it is computed.** Hedges' g = J (m₁ − m₂) / √((v₁ + v₂) / 2): m and v are the mean and the variance of s over the n "
    "photos of each class, and J = 1 − 3 / (4 (n₁ + n₂) − 9) corrects the bias of small samples (Hedges 1981). The intervals are "
    "Bonett's (2008), which do not assume equal variances; they lie around the effect before J. They are over photos, for exactly "
    "these two classes. The p values are those of Welch's t test (1947), the q values those of Benjamini and Hochberg (1995) over all "
    f"channels of the blocks shown: of the channels with q ≤ {RATE:g}, at most {RATE:.0%} are expected to be false. "
    "As a rule of thumb, 0.2 is a small effect, 0.5 a medium and "
    "0.8 a large one (Cohen 1988). Each interval is for one channel alone; the largest of many effects are probably smaller in "
    "truth than they look here."
)


def draw(statistics: ClassStatistics) -> None:
    """Show the controls, what differs in a sentence, the largest effects, and all effects by depth or, of one block, by rank."""
    names = list(dict.fromkeys(statistics.classes))
    if len(names) < 2:
        st.info("These statistics hold only one class, so there is nothing to compare.", icon=":material/info:")
        return
    first, second, block = _choose(statistics, names)
    if first == second:
        st.info("Both are the same class, so nothing differs: choose another class.", icon=":material/info:")
        return
    effects = compare_classes(statistics, first, second, sites=None if block == EVERY else (block,))
    if not effects.known:
        st.info(describe_unknown(effects), icon=":material/info:")
        return
    st.markdown(describe_effects(effects, block))
    left, right = st.columns(2, gap="large")
    with left:
        _show_largest(effects, block)
    with right:
        _show_all(effects, block)
    st.caption(FORMULA)


def _choose(statistics: ClassStatistics, names: list[str]) -> tuple[str, str, str]:
    usual = [*paper_classes(statistics), *names]
    start = [names.index(name) for name in dict.fromkeys(usual)][:2]
    columns = st.columns(3, gap="medium")
    first = columns[0].selectbox("Class", names, index=start[0], key="pair_first", bind="query-params")
    second = columns[1].selectbox("Against", names, index=start[1], key="pair_second", bind="query-params")
    block = columns[2].selectbox("Blocks", [EVERY, *statistics.sites], key="pair_block", bind="query-params")
    return first or names[0], second or names[1], block or EVERY


def describe_unknown(effects: Effects) -> str:
    """Return why nothing is said about two classes of too few photos."""
    sizes = " and ".join(f"{count} of {name!r}" for name, count in zip(effects.names, effects.counts, strict=True))
    return f"There are {sizes}. That is too few photos to say how far a channel differs: each class needs at least {MIN_IMAGES}."


def describe_effects(effects: Effects, block: str) -> str:
    """Return how many channels tell the two classes apart, and where, in a few sentences."""
    count, total = int(effects.discovered.sum()), len(effects.g)
    where = "the network's" if block == EVERY else f"{block}'s"
    text = (
        f"**{count:,} of {where} {total:,} channels ({count / total:.0%}) differ** between the two classes (n = {effects.counts[0]} and "
        f"{effects.counts[1]} photos) at a false discovery rate of {RATE:.0%}."
    )
    table = depth_table(effects)
    share = table["share that differs"]
    if len(share) > 1 and count:
        text += (
            f" The share is largest in {table['block'][share.argmax()]} ({share.max():.0%}) and smallest in "
            f"{table['block'][share.argmin()]} ({share.min():.0%})."
        )
    still = int(effects.still.sum())
    if still:
        text += f" {still:,} channels have the same scale for every photo of both classes, so their effect is unknown."
    return text


def _show_largest(effects: Effects, block: str) -> None:
    if np.isfinite(effects.g).any():
        show(largest_effects(effects), key=f"{block.replace(' ', '-')}-largest-effects")
    else:
        st.info("No channel's scale varies within either class, so no effect is known.", icon=":material/info:")


def _show_all(effects: Effects, block: str) -> None:
    if block == EVERY:
        show(effects_by_depth(effects), key="effects-by-depth")
    elif np.isfinite(effects.g).any():
        show(sorted_effects(effects), key=f"{block}-all-effects")
