"""python -m sevis: each command reads its arguments and makes one call.

A user's mistake ends with one line on standard error and exit code 2. Every command imports what it needs when it runs, so that
--help does not wait for torch.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from sevis.errors import SevisError
from sevis.weights import DEFAULT, check_name

Arguments = argparse.Namespace


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose error is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code: 0, 2 for a user's mistake, 130 for an interruption."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except SevisError as error:
        return _complain(str(error), 2)
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _complain(f"{error.filename or 'a file'}: {error.strerror or error}", 2)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    return 0


def _complain(message: str, code: int) -> int:
    print(f"sevis: {' '.join(message.split())}", file=sys.stderr)
    return code


def _parser() -> Parser:
    parser = Parser(prog="sevis", description="Opens up Squeeze-and-Excitation networks; the app itself: streamlit run app.py")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    _add(commands, "models", models, "list the networks that can be built, and those that come trained")

    data = _add(commands, "data", data_command, "say which data is there, or download Tiny ImageNet-200 (248 MB)")
    data.add_argument("name", nargs="?", choices=["tiny-imagenet"], help="what to download; resumes where it was cut off")

    train_parser = _add(commands, "train", train, "train a network, or score a trained one with --evaluate")
    train_parser.add_argument("--evaluate", metavar="NAME", help="print the accuracy of a trained network, and train nothing")
    train_parser.add_argument("--classes", help="comma-separated wnids, or a file with one a line; all classes by default")
    train_parser.add_argument("--folder", type=Path, help="where the checkpoint and the log go; runs/MODEL by default")
    train_parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in the folder")
    train_parser.add_argument("--publish", metavar="NAME", help="afterwards, write the network into pretrained/ under this name")
    _data_option(train_parser)
    _recipe_options(train_parser)

    collect = _add(commands, "collect", collect_command, "collect the class statistics of a network over a data set")
    collect.add_argument("--split", default="val", help="train or val (default: val)")
    collect.add_argument("--out", type=Path, required=True, help="the file to write, such as mine.statistics.safetensors")
    collect.add_argument("--batch-size", type=_from(1), default=64, help="images in one forward pass (default: 64)")
    collect.add_argument("--workers", type=_from(0), default=0, help="processes that decode images (default: 0, this one)")
    _data_option(collect)
    _model_option(collect)

    explain = _add(commands, "explain", explain_command, "show how a network gates its channels for one image")
    explain.add_argument("image", type=Path, help="a PNG, JPEG, WebP, GIF or BMP")
    explain.add_argument("--json", action="store_true", help="print everything as JSON")
    explain.add_argument("--html", type=Path, metavar="OUT", help="write the figures as one HTML file")
    _model_option(explain)

    figure6 = _add(commands, "figure6", figure6_command, "draw the paper's Figure 6: the mean excitation by class")
    figure6.add_argument("--classes", nargs="+", help='names, such as goldfish "bullet train"; by default the four nearest to the paper\'s')
    figure6.add_argument("--blocks", nargs="+", help="names, such as SE_4_6 SE_5_1; by default those of the paper's panels")
    figure6.add_argument("--out", type=Path, required=True, help="an .html file, or .svg or .png where a Chromium is installed")
    figure6.add_argument("--statistics", type=Path, help="a file made by collect; by default the one that comes with the model")
    _model_option(figure6)
    return parser


def _add(commands: Any, name: str, run: Callable[[Arguments], None], text: str) -> Parser:
    parser: Parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.set_defaults(run=run)
    return parser


def _from(low: int) -> Callable[[str], int]:
    """An argument's type: a whole number that is at least `low`."""

    def parse(text: str) -> int:
        if not text.removeprefix("-").isdecimal() or int(text) < low:
            raise argparse.ArgumentTypeError(f"expected a whole number from {low} on, got {text!r}")
        return int(text)

    return parse


def _model_option(parser: Parser) -> None:
    parser.add_argument("--model", default=DEFAULT, help=f"a name that `models` lists (default: {DEFAULT})")


def _data_option(parser: Parser) -> None:
    parser.add_argument("--data", type=Path, help="a folder or zip of images; by default Tiny ImageNet-200 where SEVIS_DATA names it")


def _recipe_options(parser: Parser) -> None:
    from dataclasses import fields

    from sevis.recipe import Recipe

    for field in fields(Recipe):
        text = f"{field.metadata['help']} (default: {'on a GPU' if field.name == 'bf16' else field.default})"
        if field.name == "model":
            parser.add_argument("model", nargs="?", default=field.default, help=text)
        elif field.name == "bf16":
            parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, help=text)
        else:
            parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default, help=text)


def models(_: Arguments) -> None:
    """Prints the trained networks and the names that can be built."""
    from sevis.networks import list_models
    from sevis.weights import list_pretrained, read_card

    print("trained:")
    for name in list_pretrained():
        card = read_card(name)
        print(f"  {name}: {len(card.classes)} classes, top-1 {card['top1']:.1%}, top-5 {card['top5']:.1%}")
    print("to build with sevis.build, or to train:")
    print("  " + ", ".join(list_models()))


def data_command(arguments: Arguments) -> None:
    """Says where the data is, or downloads it."""
    from sevis.datasets import find_data

    if arguments.name:
        from sevis.downloads import fetch_tiny_imagenet

        print(f"Tiny ImageNet-200: {fetch_tiny_imagenet()}")
    else:
        print(f"Tiny ImageNet-200: {find_data() or 'not found: python -m sevis data tiny-imagenet downloads it'}")


def train(arguments: Arguments) -> None:
    """Trains, or with --evaluate scores, a network."""
    if arguments.evaluate:
        _evaluate(arguments)
        return
    if arguments.publish is not None:
        check_name(arguments.publish)  # now, not after hours of training
    import torch

    from sevis.recipe import Recipe, command
    from sevis.training import train as train_network

    values = {name: getattr(arguments, name) for name in Recipe.__dataclass_fields__}
    recipe = Recipe(**values | {"bf16": torch.cuda.is_available() if arguments.bf16 is None else arguments.bf16})
    wnids = None if arguments.classes is None else _read_classes(arguments.classes)
    train_set, val_set = (_dataset(arguments, split, wnids) for split in ("train", "val"))
    folder = arguments.folder or Path("runs") / recipe.model
    model, rows = train_network(recipe, (train_set, val_set), folder, resume=arguments.resume)
    print(f"top-1 {rows[-1]['top1']:.4f}, top-5 {rows[-1]['top5']:.4f} on {len(val_set)} images; checkpoint and log in {folder}")
    if arguments.publish:
        from sevis.publishing import publish

        run = {
            "command": command(recipe, arguments.classes, arguments.publish),
            "seconds": sum(row["seconds"] for row in rows),
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        }
        card = publish(arguments.publish, model, recipe, (train_set, val_set), run=run)
        print(f"published {card.name}: top-1 {card['top1']:.4f}, top-5 {card['top5']:.4f}")


def _evaluate(arguments: Arguments) -> None:
    from sevis.publishing import score
    from sevis.weights import load

    ready = load(arguments.evaluate)
    dataset = _dataset(arguments, "val", ready.card["wnids"])
    result = score(ready, dataset)
    print(f"{ready.card.name}: top1 {result.top1:.4f}, top5 {result.top5:.4f} on {len(dataset)} images of {dataset.name}, {dataset.split}")


def collect_command(arguments: Arguments) -> None:
    """Collects class statistics into a file."""
    from sevis.collection import collect_dataset
    from sevis.weights import load

    ready = load(arguments.model)
    dataset = _dataset(arguments, arguments.split, None if arguments.data else ready.card["wnids"])
    statistics = collect_dataset(ready, dataset, batch_size=arguments.batch_size, workers=arguments.workers)
    statistics.save(arguments.out)
    print(f"{arguments.out}: {statistics.count.sum()} images of {len(statistics.classes)} classes")


def explain_command(arguments: Arguments) -> None:
    """Explains one image, as text, JSON or HTML."""
    from sevis.explanation import explain
    from sevis.images import MAX_BYTES, read_image
    from sevis.weights import load

    image = read_image(_read_bytes(arguments.image, MAX_BYTES + 1))
    explanation = explain(load(arguments.model), image)
    if arguments.html:
        from sevis.report import explanation_html

        explanation_html(explanation, arguments.html)
    if arguments.json:
        print(json.dumps(explanation.as_json()))
        return
    for name, probability in explanation.top():
        print(f"{probability:6.1%}  {name}")
    print("block    channels  mean s   min s   max s")
    for site, scale in explanation.scale.items():
        print(f"{site:8} {len(scale):8} {scale.mean():7.3f} {scale.min():7.3f} {scale.max():7.3f}")


def figure6_command(arguments: Arguments) -> None:
    """Draws Figure 6 into a file."""
    from sevis.class_statistics import ClassStatistics
    from sevis.figures.class_captions import ABOUT_MEANS, describe_source
    from sevis.figures.classes import figure6, paper_blocks, paper_classes
    from sevis.report import write
    from sevis.weights import read_card

    statistics = ClassStatistics.load(arguments.statistics or read_card(arguments.model).statistics_path)
    classes = arguments.classes or paper_classes(statistics)
    sites = arguments.blocks or paper_blocks(statistics.sites)
    caption = f"{ABOUT_MEANS} {describe_source(statistics)}"
    write(figure6(statistics, sites, classes), arguments.out, title="Mean excitation by class", captions=caption)
    print(arguments.out)


def _read_bytes(path: Path, limit: int) -> bytes:
    """The first `limit` bytes of a file; a device or a pipe may never end."""
    if path.exists() and not path.is_file():
        raise SevisError(f"{path} is a directory or a device: name the file of a picture")
    with path.open("rb") as file:
        return file.read(limit)


def _read_classes(text: str) -> list[str]:
    """Class ids: the lines of the file of that name where there is one, else what the commas separate."""
    try:
        is_file = Path(text).is_file()
    except (OSError, ValueError):  # too long, for one, to be a file's name
        is_file = False
    try:
        listed = Path(text).read_text(encoding="utf-8").splitlines() if is_file else text.split(",")
    except UnicodeDecodeError:
        raise SevisError(f"{text} is no text: expected a file with one class id a line, or class ids separated by commas") from None
    return [wnid.strip() for wnid in listed if wnid.strip()]


def _dataset(arguments: Arguments, split: str, wnids: Sequence[str] | None) -> Any:
    from sevis.datasets import find_data, open_dataset

    place = arguments.data or find_data() or os.environ.get("SEVIS_DATA")
    if not place:
        raise SevisError("no data was found: name it with --data or SEVIS_DATA, or run python -m sevis data tiny-imagenet")
    dataset = open_dataset(place, split)
    return dataset if wnids is None else dataset.select(wnids)
