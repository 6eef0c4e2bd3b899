"""The panel with the network that sevis ships and its plain twin: the same recipe without SE."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import streamlit as st

from sevis.ablations.report import say
from sevis.ablations.results import Estimate
from sevis.analysis.dead_gates import DEAD
from sevis.architecture import Architecture
from sevis.errors import SevisError
from sevis.figures.networks.ablations import Gain, gain_dots, gate_bars
from sevis.figures.networks.training_curves import WITH_AND_WITHOUT, training_curves
from sevis.pages.shared.show import as_text, errors_shown, show
from sevis.paper import TABLES_2_AND_3
from sevis.weights.card import Aliveness, Card, list_pretrained, read_card

GATED, PLAIN = "se_resnet50x0_5.tiny200", "resnet50x0_5.tiny200"
WITH, WITHOUT, ADDS = "with SE", "without SE", "SE adds"
PAPER = next(row for row in TABLES_2_AND_3 if row.name == "resnet50")
PRINTED = PAPER.plain.top1 - PAPER.gated.top1  # points
COUNTED = {"parameters": "parameters", "multiply_adds": "multiply-adds of one image"}
Costs = dict[str, int]
NOTHING = "–"
MEASURE = "`python -m sevis twins` measures it"


@dataclass(frozen=True)
class Difference:
    """What was compared of the two.

    Attributes:
        points: by how many top-1 is better with SE than without.
        how: that was measured, and on what, in words; where there is no interval, why.
        costs: of both; empty where they are not known.
    """

    points: Estimate
    how: str
    costs: Mapping[str, Costs] = field(default_factory=dict)


def show_twins() -> None:
    """Show accuracy, cost and training of both, and how alive the gates are."""
    with errors_shown():
        cards = {way: read_card(name) for way, name in ((WITH, GATED), (WITHOUT, PLAIN)) if name in list_pretrained()}
        _say_what_is_missing(cards)
        if cards:
            _show(cards)


def _say_what_is_missing(cards: Mapping[str, Card]) -> None:
    missing = [name for way, name in ((WITH, GATED), (WITHOUT, PLAIN)) if way not in cards]
    if missing:
        names, verb = " and ".join(f"`{name}`" for name in missing), "is" if len(missing) == 1 else "are"
        st.info(
            f"{names} {verb} not among the networks on this machine, so the two networks cannot be compared here.", icon=":material/info:"
        )


def _show(cards: Mapping[str, Card]) -> None:
    difference = _difference(cards) if len(cards) == 2 else None
    if difference:
        st.markdown(_sentence(difference))
    st.table(_rows(cards, _costs(cards, difference), difference), hide_index=True, width="stretch")
    st.caption("; ".join(f"{as_text(card.name)}: {_training(card)}{as_text(_source(card))}" for card in cards.values()) + ".")
    if difference:
        _show_difference(difference, cards)
    _show_curves(cards)
    gated = cards.get(WITH)
    if gated and gated.gates:
        _show_gates(gated, gated.gates)


def _difference(cards: Mapping[str, Card]) -> Difference:
    """Return the difference as `python -m sevis twins` wrote it into the card of the network with SE; without an interval where it did not,
    or did it for other weights.
    """
    twin, plain = cards[WITH].twin, cards[WITHOUT]
    points = Estimate(100 * (_score(cards[WITH], "top1") - _score(plain, "top1")), None, 1)
    if twin is None:
        return Difference(points, f"its interval is unknown: {MEASURE}")
    if (twin.name, twin.weights) != (plain.name, plain.sha256):
        return Difference(points, f"its interval in index.json belongs to another network without SE: {MEASURE} again")
    low, high = (100 * end for end in twin.interval)
    points = Estimate(100 * twin.top1_difference, (low, high), twin.seeds)
    costs = {way: {what: getattr(facts, what) for what in COUNTED} for way, facts in ((WITH, twin.own), (WITHOUT, twin))}
    return Difference(points, f"on {twin.images:,} validation images, {twin.how}", costs)


def _score(card: Card, which: str) -> float:
    """Return `top1` or `top5` of a card, a fraction. Raises SevisError where it is not known."""
    score: float | None = getattr(card, which)
    if score is None:
        raise SevisError(f"the entry of {card.name} in index.json has no {which}: restore the file")
    return score


def _sentence(difference: Difference) -> str:
    """Return the difference beside the paper's, and what can be said of it."""
    points, interval = difference.points, difference.points.interval
    what = f"**In one run of each network, top-1 is {say(abs(points.mean))} points {'lower' if points.mean < 0 else 'higher'} with SE**"
    if interval:
        what += f" (95 % interval over photos: {say(interval[0], sign=True)} to {say(interval[1], sign=True)})"
        what += "" if points.sign else ". The interval holds 0: these runs cannot tell whether SE helps here"
    else:
        what += f"; {difference.how}"
    errors = f"{PAPER.plain.top1:.2f} to {PAPER.gated.top1:.2f} %"
    return (
        f"{what}. In the paper, for {PAPER.title} on ImageNet, the top-1 error goes from {errors}, so {say(PRINTED, 2, sign=True)} "
        f"points of top-1 (Table {PAPER.table})."
    )


def _costs(cards: Mapping[str, Card], difference: Difference | None) -> Mapping[str, Costs]:
    """Return parameters and multiply-adds: as the comparison has them, else counted, for which torch has to be loaded."""
    if difference and difference.costs:
        return difference.costs
    with st.spinner("Counting parameters and multiply-adds …"):
        return {way: _count(card.architecture, card.preprocessing.crop) for way, card in cards.items()}


def _rows(cards: Mapping[str, Card], costs: Mapping[str, Costs], difference: Difference | None) -> list[dict[str, str]]:
    """Return the table: a row for each property, a column for each network."""
    rows: list[tuple[str, dict[str, str], str]] = []
    for name, score in (("top-1", "top1"), ("top-5", "top5")):
        gain = NOTHING
        if difference:
            points = (
                difference.points
                if score == "top1"
                else Estimate(100 * (_score(cards[WITH], score) - _score(cards[WITHOUT], score)), None, 1)
            )
            gain = f"{say(points, sign=True)} points"
        rows.append((name, {way: f"{100 * _score(card, score):.1f} %" for way, card in cards.items()}, gain))
    for what, name in COUNTED.items():
        counts = {way: cost[what] for way, cost in costs.items()}
        more = f"{say(100 * (counts[WITH] / counts[WITHOUT] - 1), sign=True)} %" if len(counts) == 2 else NOTHING
        rows.append((name, {way: f"{count:,}" for way, count in counts.items()}, more))
    return [{"": f"**{name}**", **{way: cells.get(way, NOTHING) for way in (WITH, WITHOUT)}, ADDS: gain} for name, cells, gain in rows]


def _show_difference(difference: Difference, cards: Mapping[str, Card]) -> None:
    points, how = difference.points, difference.how if difference.points.interval else "one run of each"
    gains = [
        Gain("here", points.mean, points.interval, f"{GATED} minus {PLAIN}"),
        Gain("paper", PRINTED, None, f"{PAPER.title} on ImageNet, Table {PAPER.table}", printed=True),
    ]
    show(gain_dots(gains, source=f"{how}; {_sources(cards)}"), key="twin-difference")


def _show_curves(cards: Mapping[str, Card]) -> None:
    curves = {way: card.curve for way, card in cards.items() if card.curve}
    if curves:
        show(training_curves(curves, what=WITH_AND_WITHOUT, source=_sources(cards)), key="twin-curves")


def _show_gates(card: Card, gates: Aliveness) -> None:
    st.markdown(
        f"**The gates are {'alive' if gates.std_over_images >= DEAD else 'dead'}:** the standard deviation of s over images is "
        f"{gates.std_over_images:.2f}, averaged over channels and blocks. With every s held at its mean over the training images, "
        f"top-1 goes from {100 * gates.top1:.1f} to {100 * gates.top1_frozen:.1f} %."
    )
    show(gate_bars(gates.blocks, network=card.name, source=_source(card)), key="twin-gates")


def _source(card: Card) -> str:
    """Return device, seed and date, as far as they are known."""
    seed = "unknown" if card.recipe is None else card.recipe.seed
    return f"{card.device or 'an unknown device'}, seed {seed}, {card.date or 'no date'}"


def _sources(cards: Mapping[str, Card]) -> str:
    """Return device, seed and date of both, once where they are the same."""
    return "; ".join(dict.fromkeys(map(_source, cards.values())))


def _training(card: Card) -> str:
    took = "" if card.seconds is None else f" in {card.seconds / 3600:.1f} hours"
    return f"{card.epochs} epochs{took}, " if card.epochs else ""


@st.cache_data(max_entries=8, show_spinner=False, hash_funcs={Architecture: repr})
def _count(architecture: Architecture, side: int) -> Costs:
    """Return what a network costs for an image of that side; no weights are needed."""
    from sevis.networks import libraries
    from sevis.networks.costs import measure_cost

    cost = measure_cost(libraries.read(architecture).on_meta(), (3, side, side))
    return {what: getattr(cost, what) for what in COUNTED}
