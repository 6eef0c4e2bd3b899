"""Write the numbers of docs/networks.md, docs/ablations.md and README from what pretrained/ holds:

    PYTHONPATH=. python tools/networks_page.py

The statements on depth are judged from the class statistics, which takes about a minute on two cores.
"""

import json
from collections.abc import Sequence

from sevis.ablations.agreement import compare
from sevis.ablations.grid import KEYS
from sevis.ablations.report import describe_answers, guess_cause, label_all, pair_rows, say, say_error, summarize
from sevis.ablations.results import Ablations, read_ablations
from sevis.analysis.audit import Audit
from sevis.analysis.audit_words import ladder_table, single_blocks
from sevis.analysis.depth import DepthProfile, depth_profile
from sevis.analysis.saved_profile import known_profile
from sevis.analysis.statements import judge, percent, split_stages, units
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.networks import libraries
from sevis.settings import pretrained_folder
from sevis.weights.card import Card, read_card
from tools.marked_blocks import as_table, write

GOOD_FOR = {
    "se_resnet50x0_5.tiny200": "the app's default: 200 classes of everyday things",
    "se_resnet50x0_5.tiny20": "a lesson: few classes, right four times out of five",
    "resnet50x0_5.tiny200": "the plain twin of the default: what SE adds",
}
RELEASED = 22.37  # top-1 error in % of SE-ResNet-50 as it was released, by its README (github.com/hujie-frank/SENet); not of Table 2
MEASURES = {  # of each statement: the names of its measures, and what they are called here
    "agnostic": {
        "distance": "mean class from all, in units of s",
        "furthest": "furthest class from all, in units of s",
        "class_share": "variance between classes",
        "squeeze_share": "the same of z",
    },
    "specific": {"class_share": "variance between classes", "accuracy": "photos whose class a linear discriminant tells by the gates"},
    "saturated": {"high": "scales above 0.9"},
    "scaled": {
        "residual": "what one factor a class leaves of the mean gates",
        "factor": "distance of the factors from 1",
        "left": "differences left after one factor a class",
    },
}


def cards() -> list[Card]:
    """Return the cards of the networks that ship, with gates first."""
    shipped = json.loads((pretrained_folder() / "index.json").read_text())  # of what a user added, the page says nothing
    return sorted((read_card(name) for name in shipped), key=lambda card: (not card.gated, -len(card.classes)))


def shipped_table() -> str:
    """Return what ships and how good it is."""
    head = ("name", "classes", "pixels", "parameters", "top-1", "top-5", "epochs", "weights ship", "good for")
    return as_table(head, [_shipped_row(card) for card in cards()])


def _shipped_row(card: Card) -> list[str]:
    parameters = libraries.read(card.architecture).count_parameters()
    scores = [f"{100 * (score or 0):.1f} %" for score in (card.top1, card.top5)]
    ships = "yes" if card.path.is_file() else "no"
    numbers = [f"{len(card.classes)}", f"{card.preprocessing.crop}", f"{parameters:,}", *scores, f"{card.epochs}", ships]
    return [f"`{card.name}`", *numbers, GOOD_FOR.get(card.name, "")]


def which_table() -> str:
    """Return the short table of README: the networks whose weights ship, and what each is good for."""
    rows = [(f"`{card.name}`", GOOD_FOR[card.name], f"{100 * (card.top1 or 0):.1f} %") for card in cards() if card.gated]
    rows.append(
        (
            "`legacy_seresnet50`",
            "the paper's released weights, ImageNet's 1,000 classes; a download",
            f"{100 - RELEASED:.1f} % (the authors' number)",
        )
    )
    return as_table(("network", "good for", "top-1"), rows)


def trainings() -> str:
    """Return how each network was trained, and the command that repeats it."""
    return "\n\n".join(_training(card) for card in cards())


def _training(card: Card) -> str:
    data = card.data
    photos = f"{data.train_images:,} photos for training, {data.val_images:,} for the scores" if data else "unknown data"
    time = f"{(card.seconds or 0) / 60:.0f} minutes on {card.device}"
    command = (card.command or "").replace(f"--publish {card.name}", "--publish mine")  # the names that ship are taken
    return f"**`{card.name}`**: {photos}, {card.epochs} epochs, {time}, one seed, {card.date}.\n\n    {command}"


def gates_table() -> str:
    """Return how alive the gates of each network are."""
    head = ("name", "standard deviation of s over photos", "top-1", "all gates frozen", "all gates open")
    rows = []
    for card in cards():
        if gates := card.gates:
            scores = [f"{100 * score:.1f} %" for score in (gates.top1, gates.top1_frozen, gates.top1_open)]
            rows.append([f"`{card.name}`", f"{gates.std_over_images:.2f}", *scores])
    return as_table(head, rows)


def audits() -> str:
    """Return what the audits found: the ladders of all blocks and of the last stage, and single blocks in words."""
    parts = []
    for card in cards():
        if card.audit_path.is_file():
            audit = Audit.load(card.audit_path)
            table = ladder_table(audit)
            with_last, without_last = (100 * share for share in audit.shares)
            parts += [
                f"**`{card.name}`**, {audit.real.images:,} photos:",
                as_table(tuple(table), list(zip(*table.values(), strict=True))),
                f"{single_blocks(audit)} SE adds {with_last:.1f} % to the parameters of the plain network; without the blocks of the last "
                f"stage, SE would add {without_last:.1f} %.",
            ]
    return "\n\n".join(parts)


def twins() -> str:
    """Return what SE adds to the networks whose plain twin was trained, too."""
    head = ("network", "top-1", "parameters", "multiply-adds")
    parts = []
    for card in cards():
        if twin := card.twin:
            facts = ((card.name, twin.own), (twin.name, twin))
            rows = [[f"`{name}`", f"{100 * of.top1:.1f} %", f"{of.parameters:,}", f"{of.multiply_adds:,}"] for name, of in facts]
            low, high = (100 * end for end in twin.interval)
            costs = (twin.own.parameters / twin.parameters, twin.own.multiply_adds / twin.multiply_adds)
            adds = [f"{100 * (cost - 1):.1f} %" for cost in costs]
            parts.append(
                f"{as_table(head, rows)}\n\nSE adds {100 * twin.top1_difference:.1f} points of top-1 (95 % interval over the "
                f"{twin.images:,} photos {low:.1f} to {high:.1f}), for {adds[0]} more parameters and {adds[1]} more multiply-adds."
            )
    return "\n\n".join(parts)


def statements() -> str:
    """Return whether each network shows the paper's four statements on depth, and the measures that say so."""
    rows, photos = [], []
    for card in (card for card in cards() if card.gated):
        statistics = ClassStatistics.load(card.statistics_path)
        profile = known_profile(statistics) or depth_profile(statistics)
        photos.append(
            f"`{card.name}`: over {profile.images:,} photos of {profile.classes} classes; what needs whole gates, and the intervals, over "
            f"{profile.per_class} photos of each class. The intervals are for exactly these classes."
        )
        for number, statement in enumerate(judge(profile), start=1):
            blocks = (split_stages(profile.sites)[0][-1], *statement.blocks) if statement.name == "specific" else statement.blocks
            verdict = ("seen" if statement.seen else "not seen") if statement.known else "unknown"
            found = [f"{words}: {_by_block(profile, name, blocks)}" for name, words in MEASURES[statement.name].items()]
            rows.append([f"{number}", f"`{card.name}`", verdict, "; ".join(found)])
    return "\n\n".join([as_table(("statement", "name", "verdict", "measured, with 95 % intervals over photos"), rows), *photos])


def _by_block(profile: DepthProfile, measure: str, blocks: Sequence[str]) -> str:
    (unit,) = (found.unit for found in profile.measures if found.name == measure)
    say_value = percent if unit == "%" else units
    return ", ".join(f"{say_value(profile.at(measure, block))} in {block}" for block in blocks).replace("\u00a0", " ")


def ablation_blocks() -> dict[str, str]:
    """Return the blocks of docs/ablations.md by their names."""
    ablations = read_ablations()
    pairs = compare(ablations)
    head, *rows = pair_rows(pairs, label_all())
    answers = describe_answers(pairs, guess_cause(ablations))
    return {"grid": _grid_table(ablations), "answers": "\n\n".join(answers), "pairs": as_table(head, rows)}


def ablations_in_short() -> str:
    """Return what README says of the ablations."""
    ablations = read_ablations()
    return f"[The paper's ablations](docs/ablations.md), measured here: {summarize(compare(ablations))} {guess_cause(ablations)}"


def _grid_table(ablations: Ablations) -> str:
    head = ("variant", "seeds", "top-1 error, %", "minus SE, points", "std of s over photos", "cost of frozen gates, points", "parameters")
    rows = []
    for key in KEYS:
        found = ablations.summary(key)
        cells = (
            [say(found.difference, sign=True), say(found.alive, 3), say(found.freezing), f"{found.parameters:,}"] if found else ["–"] * 4
        )
        rows.append([key, f"{len(ablations.seeds(key))}", say_error(key, ablations), *cells])
    return as_table(head, rows)


def quick_blocks() -> dict[str, str]:
    """Return the blocks of docs/networks.md that need no statistics."""
    return {"shipped": shipped_table(), "trainings": trainings(), "gates": gates_table(), "audits": audits(), "twins": twins()}


if __name__ == "__main__":
    write("docs/ablations.md", ablation_blocks())
    write("docs/networks.md", {**quick_blocks(), "statements": statements()})
    write("README.md", {"which": which_table(), "ablations": ablations_in_short()})
