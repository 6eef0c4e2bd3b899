"""python -m sevis: the words of the command line, and whom they call.

A user's mistake ends with one line on standard error and exit code 2.
"""

import argparse
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from sevis import recipe
from sevis.ablations.grid import KEYS, VARIED
from sevis.cli.ablations import ABLATION_DEFAULTS, ablate_command
from sevis.cli.app import app_command
from sevis.cli.costs import costs_command
from sevis.cli.data import Arguments, data_command
from sevis.cli.networks import add_command, models, sites_command
from sevis.cli.photos import audit_command, explain_command
from sevis.cli.statistics import collect_command, export_command, figure6_command, figure7_command, report_command
from sevis.cli.training import curve_command, train_command, twins_command
from sevis.data.image_formats import FORMAT_NAMES
from sevis.errors import SevisError
from sevis.weights.card import DEFAULT

NAMES = "a name that `sevis models` lists, or the name of a network of timm or torchvision"
STATISTICS = "a file made by `sevis collect`"


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose error is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, and return its exit code: 0, 2 for a user's mistake, 130 for an interruption."""
    arguments = build_parser().parse_args(argv)
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
    except (MemoryError, RuntimeError) as error:
        if not _is_exhaustion(error):
            raise
        return _complain("there is not enough memory for this: take a smaller network, picture or batch, or close other programs", 2)
    return 0


def _is_exhaustion(error: Exception) -> bool:
    """Return whether memory ran out: Python's, an accelerator's, or PyTorch's on the CPU, whose errors have no class in common."""
    return isinstance(error, MemoryError) or "out of memory" in str(error) or "can't allocate memory" in str(error)


def _complain(message: str, code: int) -> int:
    print(f"sevis: {' '.join(message.split())}", file=sys.stderr)
    return code


def build_parser() -> Parser:
    """Return the parser of the command line: all commands with their options."""
    parser = Parser(prog="sevis", description="Opens up Squeeze-and-Excitation networks")
    words = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for describe in (_app, _networks, _costs, _data_and_training, _ablations, _collection, _audit, _figures):
        describe(words)
    return parser


def _app(words: Any) -> None:
    app = _add(words, "app", app_command, "start the app and open it in the browser")
    app.add_argument("--port", type=_from(1), help="the port of the server (default: 8501, or the next one that is free)")
    app.add_argument("--host", help="the address on which the server listens; 0.0.0.0 opens it to the network (default: 127.0.0.1)")
    app.add_argument(
        "options",
        nargs="*",
        metavar="-- STREAMLIT_OPTION",
        help="options for `streamlit run`, after two hyphens: -- --server.headless=true",
    )


def _networks(words: Any) -> None:
    """Add the commands that say which networks there are and what is in them, and that add one's own."""
    _add(words, "models", models, "list the trained networks, and the networks that can be built")

    told = "list the SE blocks of a network, and what only looks like one, with the reason; this needs no weights"
    sites = _add(words, "sites", sites_command, told)
    sites.add_argument("model", metavar="NAME", help=NAMES)
    _weights_option(sites)

    add = _add(words, "add", add_command, "add a network with your own weights to the trained networks, for sevis.load and the app")
    add.add_argument("name", metavar="NAME", help="the name that the network gets")
    add.add_argument("--network", help=f"the network that the weights belong to: {NAMES}; a checkpoint of `sevis train` says it itself")
    add.add_argument("--weights", required=True, type=Path, help="the file with the weights: .safetensors, .pth, .pt or .bin")
    names = "a text file with the names of the classes, one a line, in the order of the outputs; or imagenet, for ImageNet's"
    add.add_argument("--classes", type=Path, help=names)


def _costs(words: Any) -> None:
    costs = _add(words, "costs", costs_command, "count the parameters and multiply-adds of a network, and the share of its SE blocks")
    costs.add_argument("names", nargs="*", metavar="NAME", help=NAMES)
    costs.add_argument(
        "--paper",
        action="store_true",
        help="count every network of the paper's Tables 2 and 3, and print the paper's numbers beside the counts",
    )
    costs.add_argument("--by-block", action="store_true", help="also print every block, and every SE block by its equations")
    costs.add_argument("--size", type=_from(1), help="the side of the square input, in pixels (default: the network's own)")
    costs.add_argument("--width", type=float, help="a factor for the channels of every stage")
    costs.add_argument("--reduction", type=_from(1), help="the reduction ratio r (default: 16)")
    costs.add_argument("--placement", help="where SE stands in a block (the paper's Figure 5): standard, pre, post, identity or 3x3")
    costs.add_argument("--stages", type=_stages, help="the stages that have SE, such as 4 or 2,3 (default: all)")
    costs.add_argument("--squeeze", help="how SE squeezes: avg, max, or none (the paper's NoSqueeze)")
    costs.add_argument(
        "--no-bias",
        dest="bias",
        action="store_const",
        const=False,
        help="build the projections of SE without biases, as in the paper's ablations",
    )


def _data_and_training(words: Any) -> None:
    data = _add(words, "data", data_command, "list the data sets on this machine, or download Tiny ImageNet-200, CIFAR-10 or CIFAR-100")
    sets = ["tiny-imagenet", "cifar10", "cifar100"]
    data.add_argument("name", nargs="?", choices=sets, help="the data set to download (248, 170 or 169 MB); a broken download is continued")

    train_parser = _add(words, "train", train_command, "train a network; with --evaluate, measure the accuracy of a trained one")
    train_parser.add_argument("--evaluate", metavar="NAME", help="print the accuracy of a trained network, and train nothing")
    train_parser.add_argument(
        "--classes", help="class ids (the names of the class folders) with commas between, or a file with one id a line (default: all)"
    )
    train_parser.add_argument("--folder", type=Path, help="the folder for the checkpoints and the log (default: runs/MODEL)")
    train_parser.add_argument("--resume", action="store_true", help="continue from the checkpoint in the folder")
    train_parser.add_argument(
        "--save-every", type=_seconds, default=300.0, help="the seconds between two checkpoints within an epoch (default: 300)"
    )
    train_parser.add_argument(
        "--publish",
        metavar="NAME",
        help="after the training, write the network under this name into your own folder, which SEVIS_HOME names",
    )
    _data_option(train_parser)
    recipe_options(train_parser)

    curve = _add(words, "curve", curve_command, "draw the loss and the accuracy of training runs as a figure")
    curve.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="the folder of a run of `sevis train`")
    curve.add_argument(
        "--out", type=Path, required=True, help="the file to write: .html, or .svg or .png (these two need Chromium or Chrome)"
    )

    twins = _add(
        words,
        "twins",
        twins_command,
        "compare a trained SE network with its plain twin on the same images, and keep the result for the app",
    )
    twins.add_argument("gated", metavar="NAME", help="the network with SE, published by `sevis train`")
    twins.add_argument("plain", metavar="PLAIN", help="the network without SE, trained with the same options")
    _data_option(twins)


def _ablations(words: Any) -> None:
    ablate = _add(words, "ablate", ablate_command, "train the variants of the paper's ablations, or report the results")
    ablate.add_argument(
        "--seeds", type=_from(1), default=3, help="the number of runs of each variant, with the seeds 0, 1, ... (default: 3)"
    )
    ablate.add_argument("--only", nargs="+", metavar="VARIANT", help=f"only these variants: {'; '.join(KEYS)} (default: all)")
    ablate.add_argument(
        "--part",
        default="1/1",
        metavar="I/N",
        help="make only every N-th run, from the I-th on, so that N processes share the work (default: 1/1)",
    )
    ablate.add_argument(
        "--folder", type=Path, default=Path("runs/ablations"), help="the folder for the single runs (default: runs/ablations)"
    )
    ablate.add_argument(
        "--out", type=Path, help="the file of all runs; a run that it holds is not made again (default: ablations.json in SEVIS_HOME)"
    )
    ablate.add_argument(
        "--report", nargs="?", const=Path(), type=Path, metavar="FILE", help="print the results of the runs in the file, and train nothing"
    )
    ablate.add_argument(
        "--classes", help="as for `sevis train`, or `all` (default: 20 classes of Tiny ImageNet-200, and all classes of other data)"
    )
    _data_option(ablate)
    recipe_options(ablate, defaults=ABLATION_DEFAULTS, without=VARIED)


def _collection(words: Any) -> None:
    collect = _add(words, "collect", collect_command, "collect the class statistics of a network over a data set")
    collect.add_argument("--classes", help="class ids with commas between, or a file with one id a line (default: all)")
    collect.add_argument(
        "--out", type=Path, help="the file to write (default: the file where the app looks for the statistics of this network)"
    )
    collect.add_argument("--resume", action="store_true", help="continue a run that was cut off, from what it saved beside the output")
    collect.add_argument(
        "--save-every", type=_seconds, default=60.0, help="the seconds between two savings that --resume can continue from (default: 60)"
    )
    collect.add_argument("--batch-size", type=_from(1), default=64, help="the number of images in one forward pass (default: 64)")
    collect.add_argument(
        "--workers", type=_from(0), default=0, help="the number of processes that decode images (default: 0, the main process decodes)"
    )
    collect.add_argument("--bf16", action="store_true", help="compute in bfloat16 where PyTorch allows it (autocast)")
    collect.add_argument(
        "--channels-last", action="store_true", help="use the channels-last memory format, which is quicker on GPUs with --bf16"
    )
    collect.add_argument(
        "--sample",
        type=_from(0),
        help="the number of images of each class whose whole gate vectors are kept (default: 50, or as many as fit into 256 MB)",
    )
    collect.add_argument("--seed", type=_from(0), default=0, help="the random seed of the choice of these images (default: 0)")
    collect.add_argument(
        "--compact", action="store_true", help="write a file of a tenth of the size or less, and the depth profile beside it"
    )
    collect.add_argument(
        "--untrained",
        type=Path,
        help="class statistics of the same network and images, made with --weights random: the profile of --compact compares with them",
    )
    _images_and_network(collect)


def _audit(words: Any) -> None:
    audit = _add(
        words,
        "audit",
        audit_command,
        "test what of the gates is needed: measure the top-1 with open, level, frozen and shuffled gates, block by block",
    )
    audit.add_argument(
        "--out", type=Path, help="the JSON file to write (default: the file where the app looks for the audit of this network)"
    )
    audit.add_argument("--batch-size", type=_from(1), default=64, help="the number of images in one forward pass (default: 64)")
    audit.add_argument("--seed", type=_from(0), default=0, help="the random seed of the two halves and of the shuffling (default: 0)")
    _images_and_network(audit)


def _figures(words: Any) -> None:
    """Add the commands that show something."""
    explain = _add(words, "explain", explain_command, "show what the gates of a network do with one photo")
    explain.add_argument("image", type=Path, help=f"the photo: a {FORMAT_NAMES} file")
    explain.add_argument("--json", action="store_true", help="print all numbers as JSON")
    explain.add_argument("--html", type=Path, metavar="OUT", help="also write the figures as one HTML file")
    _model_option(explain)

    _curves(_add(words, "figure6", figure6_command, "draw the paper's Figure 6: the mean excitation by class"), "four")
    _curves(_add(words, "figure7", figure7_command, "draw the paper's Figure 7: the spread of the excitation within two classes"), "two")

    export = _add(words, "export", export_command, "write class statistics as a table for other programs")
    _statistics_argument(export)
    export.add_argument(
        "--out", type=Path, required=True, help="the file to write: .csv or .parquet with one value a row, or .npz with arrays"
    )

    report = _add(words, "report", report_command, "write all figures of class statistics as one HTML file")
    _statistics_argument(report)
    report.add_argument(
        "--out", type=Path, required=True, help="the .html file to write; it opens without other files and without internet"
    )
    report.add_argument(
        "--other", type=Path, metavar="FILE", help="class statistics of a second network on the same data, to compare the two"
    )


def _curves(figure: Parser, count: str) -> None:
    """Add the options of a figure of curves; at first it draws so many classes."""
    figure.add_argument(
        "--classes", nargs="+", help=f'class names, such as goldfish "bullet train" (default: the {count} that are nearest to the paper\'s)'
    )
    figure.add_argument("--blocks", nargs="+", help="block names, such as SE_4_6 SE_5_1 (default: the blocks of the paper's panels)")
    figure.add_argument(
        "--out", type=Path, required=True, help="the file to write: .html, or .svg or .png (these two need Chromium or Chrome)"
    )
    figure.add_argument("--statistics", type=Path, help=f"{STATISTICS} (default: the file of the network)")
    _model_option(figure)


def _add(words: Any, name: str, run: Callable[[Arguments], None], text: str) -> Parser:
    parser: Parser = words.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.set_defaults(run=run)
    return parser


def _from(low: int) -> Callable[[str], int]:
    """Return an argument's type: a whole number that is at least `low`."""

    def parse(text: str) -> int:
        if not text.removeprefix("-").isdecimal() or int(text) < low:
            raise argparse.ArgumentTypeError(f"expected a whole number from {low} on, got {text!r}")
        return int(text)

    return parse


def _seconds(text: str) -> float:
    """Return an argument's type: a number of seconds from 0 on."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds from 0 on, got {text!r}")
    return seconds


def _stages(text: str) -> tuple[int, ...]:
    """Return an argument's type: numbers of stages, separated by commas."""
    return tuple(map(_from(1), text.split(",")))


def _model_option(parser: Parser) -> None:
    parser.add_argument("--model", default=DEFAULT, help=f"{NAMES} (default: {DEFAULT})")
    _weights_option(parser)


def _weights_option(parser: Parser) -> None:
    parser.add_argument(
        "--weights", help="`random`, or a file (.safetensors, .pth, .pt or .bin) (default: the network's own trained weights)"
    )


def _statistics_argument(parser: Parser) -> None:
    parser.add_argument("statistics", nargs="?", type=Path, metavar="STATS", help=f"{STATISTICS} (default: the file of the network)")
    _model_option(parser)


def _images_and_network(parser: Parser) -> None:
    """Add the options of a command that runs a network over labelled images."""
    parser.add_argument("--split", default="val", help="the part of the data: train, val or test, or the name of its folder (default: val)")
    parser.add_argument(
        "--labels", type=Path, metavar="FILE", help="for images without class folders: CSV, or lines with the name of a file and its class"
    )
    parser.add_argument("--per-class", type=_from(1), metavar="N", help="use only the first N images of each class (default: all)")
    _data_option(parser)
    _model_option(parser)


def _data_option(parser: Parser) -> None:
    text = "a folder or zip of images, cifar10 or cifar100 (default: Tiny ImageNet-200, where `sevis data` finds it)"
    parser.add_argument("--data", type=Path, help=text)


def recipe_options(parser: Parser, *, defaults: Mapping[str, Any] | None = None, without: Collection[str] = ()) -> None:
    """Add an option for each field of a recipe but those in `without`; `defaults` go before the recipe's own."""
    for name, own in recipe.DEFAULTS.items():
        if name in without:
            continue
        default = None if name == "bf16" else (defaults or {}).get(name, own)
        text = f"{recipe.OPTIONS[name].help} (default: {'on a GPU' if name == 'bf16' else default})"
        if name == "model":
            parser.add_argument("model", nargs="?", default=default, help=text)
        else:
            kind: dict[str, Any] = {"action": argparse.BooleanOptionalAction} if isinstance(own, bool) else {"type": type(own)}
            added = parser.add_argument(f"--{name.replace('_', '-')}", **kind, default=default, help=text)
            added.help = text  # before Python 3.13, a yes-or-no option says its default once more
