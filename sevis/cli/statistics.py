"""What python -m sevis collect, figure6, figure7, export and report do: class statistics made, drawn, written as tables, told as a page."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.cli.data import Arguments, card_of, load_network, number_classes, open_data, read_classes, say_hidden
from sevis.errors import SevisError

if TYPE_CHECKING:
    from sevis.data.datasets import ImageDataset
    from sevis.weights.card import Card

TOLD = 5  # names in the last line of a collection


def collect_command(arguments: Arguments) -> None:
    """Collect class statistics into a file, alone or as one of several processes that torchrun started."""
    from sevis.distributed import joined
    from sevis.experiments.collection import CollectOptions, collect_dataset

    with joined() as shard:
        with shard.in_turn():
            ready = load_network(arguments)
        dataset = _collected_data(arguments, ready.card)
        out = arguments.out or ready.card.place("statistics")  # where the app looks for them
        if arguments.untrained and not arguments.compact:
            raise SevisError("--untrained is for the depth profile, which --compact writes: add --compact")
        if arguments.untrained:
            ClassStatistics.load(arguments.untrained)  # a mistake is told now
        _check_writable(out)  # now, not after hours of forward passes
        names = ("batch_size", "workers", "bf16", "channels_last", "sample", "seed", "resume", "save_every", "compact", "untrained")
        options = CollectOptions(out=out, **{name: getattr(arguments, name) for name in names})
        statistics = collect_dataset(ready, dataset, options=options, shard=shard)
        if shard.rank == 0:
            print(f"{out}: {statistics.count.sum()} images of {len(statistics.classes)} classes{_left_out(statistics, dataset)}")
            if out == ready.card.place("statistics"):
                say_hidden(ready.card, "statistics")


def _collected_data(arguments: Arguments, card: "Card") -> "ImageDataset":
    """Return the data set, in the classes that were asked for, by default those that the network knows; named as it names them."""
    from sevis.weights.matching import names_by_id

    dataset = number_classes(open_data(arguments, arguments.split, labels=arguments.labels), card)
    if arguments.classes is not None:
        dataset = dataset.select(read_classes(arguments.classes))
    elif not arguments.data and card.wnids:
        known = card.wnids if card.shipped else [wnid for wnid in card.wnids if wnid in dataset.wnids]
        dataset = dataset.select(known) if known else dataset
    dataset = dataset if arguments.per_class is None else dataset.first(arguments.per_class)
    names = names_by_id(card)
    unnamed = [wnid for wnid, name in zip(dataset.wnids, dataset.classes, strict=True) if name == wnid]
    return dataset.named({wnid: names[wnid] for wnid in unnamed if wnid in names})


def _check_writable(out: Path) -> None:
    """Refuse a path that no file can be written to. Raises SevisError."""
    if out.is_dir():
        raise SevisError(f"{out} is a directory: name the file to write, such as {out / 'statistics.safetensors'}")
    there = next(folder for folder in out.absolute().parents if folder.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise SevisError(f"{out} cannot be written, because {there} is not a folder that you may write to: name another file with --out")


def _left_out(statistics: ClassStatistics, dataset: "ImageDataset") -> str:
    """Return what was no image and what was no class, as the rest of a sentence."""
    broken, count = statistics.metadata["broken"], statistics.metadata["broken_count"]
    told = f"; left out, because they cannot be read: {_some(broken, count)}" if count else ""
    return told + (
        f"; not used as classes, because they hold no image: {_some(dataset.empty, len(dataset.empty))}" if dataset.empty else ""
    )


def _some(names: "list[str] | tuple[str, ...]", count: int) -> str:
    return ", ".join(names[:TOLD]) + (f" and {count - TOLD} more" if count > TOLD else "")


def figure6_command(arguments: Arguments) -> None:
    """Draw Figure 6 into a file."""
    from sevis.figures.classes.class_curves import paper_blocks, paper_classes
    from sevis.figures.classes.figure6 import figure6
    from sevis.reports.html import write

    statistics = _statistics(arguments)
    classes = arguments.classes or paper_classes(statistics)
    sites = arguments.blocks or paper_blocks(statistics.sites)
    write([figure6(statistics, sites, classes)], arguments.out, title="Mean excitation by class")
    print(arguments.out)


def figure7_command(arguments: Arguments) -> None:
    """Draw Figure 7 into a file."""
    from sevis.figures.classes.class_curves import paper_blocks, paper_spreads
    from sevis.figures.classes.figure7 import figure7
    from sevis.reports.html import write

    statistics = _statistics(arguments)
    classes = arguments.classes or paper_spreads(statistics)
    sites = arguments.blocks or paper_blocks(statistics.sites)
    write([figure7(statistics, sites, classes)], arguments.out, title="Spread of the excitation within a class")
    print(arguments.out)


def export_command(arguments: Arguments) -> None:
    """Write class statistics as a table for other programs."""
    from sevis.class_statistics.tables import export

    export(_statistics(arguments), arguments.out)
    print(arguments.out)


def report_command(arguments: Arguments) -> None:
    """Write all figures and numbers as one HTML file."""
    from sevis.reports.class_report import write_report

    other = None if arguments.other is None else ClassStatistics.load(arguments.other)
    write_report(_statistics(arguments), arguments.out, other=other)
    print(arguments.out)


def _statistics(arguments: Arguments) -> ClassStatistics:
    """Return those of the named file, else those of the chosen network."""
    return ClassStatistics.load(arguments.statistics or card_of(arguments).statistics_path)
