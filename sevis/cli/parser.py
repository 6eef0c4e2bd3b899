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
from sevis.cli.costs import costs_command
from sevis.cli.data import Arguments, data_command
from sevis.cli.networks import add_command, models, sites_command
from sevis.cli.photos import audit_command, explain_command
from sevis.cli.statistics import collect_command, export_command, figure6_command, report_command
from sevis.cli.training import curve_command, train_command, twins_command
from sevis.data.image_formats import FORMAT_NAMES
from sevis.errors import SevisError
from sevis.weights.card import DEFAULT

NAMES = "a name that `models` lists, or one of timm's or torchvision's"


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose error is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, and return its exit code: 0, 2 for a user's mistake, 130 for an interruption."""
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


def _parser() -> Parser:
    parser = Parser(prog="sevis", description="Opens up Squeeze-and-Excitation networks; the app itself: streamlit run app.py")
    words = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for describe in (_networks, _costs, _data_and_training, _ablations, _statistics, _figures):
        describe(words)
    return parser


def _networks(words: Any) -> None:
    """Add the commands that say which networks there are and what is in them, and that add one's own."""
    _add(words, "models", models, "list the networks that can be built, and those that come trained")

    sites = _add(words, "sites", sites_command, "list the SE blocks of a network, without loading its weights")
    sites.add_argument("model", metavar="NAME", help=NAMES)
    _weights_option(sites)

    add = _add(words, "add", add_command, "take your own weights among the trained networks, for load and the app")
    add.add_argument("name", metavar="NAME", help="how to call it")
    add.add_argument("--network", help=f"which network it is: {NAMES}; not needed for a checkpoint of `sevis train`")
    add.add_argument("--weights", required=True, type=Path, help="the file: .safetensors, .pth, .pt, .bin")
    add.add_argument("--classes", type=Path, help="a text file with the name of one output a line")


def _costs(words: Any) -> None:
    costs = _add(words, "costs", costs_command, "count parameters and multiply-adds, and those of the SE blocks")
    costs.add_argument("names", nargs="*", metavar="NAME", help=NAMES)
    costs.add_argument("--paper", action="store_true", help="every row of the paper's Tables 2 and 3, beside what it prints")
    costs.add_argument("--by-block", action="store_true", help="also every block, and every SE block by its equations")
    costs.add_argument("--size", type=_from(1), help="side of the square input in pixels; by default the network's own")
    costs.add_argument("--width", type=float, help="multiplies the channels of every stage")
    costs.add_argument("--reduction", type=_from(1), help="the reduction ratio r (default: 16)")
    costs.add_argument("--placement", help="of SE, as in the paper's Figure 5: standard, pre, post, identity or 3x3")
    costs.add_argument("--stages", type=_stages, help="which stages have SE, such as 4 or 2,3; by default all")
    costs.add_argument("--squeeze", help="avg, max, or none for the paper's NoSqueeze")
    costs.add_argument("--no-bias", dest="bias", action="store_const", const=False, help="projections without biases, as in the ablations")


def _data_and_training(words: Any) -> None:
    data = _add(words, "data", data_command, "say which data is there, or download Tiny ImageNet-200, CIFAR-10 or CIFAR-100")
    sets = ["tiny-imagenet", "cifar10", "cifar100"]
    data.add_argument("name", nargs="?", choices=sets, help="what to download (248, 170 or 169 MB); resumes where it was cut off")

    train_parser = _add(words, "train", train_command, "train a network, or score a trained one with --evaluate")
    train_parser.add_argument("--evaluate", metavar="NAME", help="print the accuracy of a trained network, and train nothing")
    train_parser.add_argument("--classes", help="comma-separated wnids, or a file with one a line; all classes by default")
    train_parser.add_argument("--folder", type=Path, help="where the checkpoints and the log go; runs/MODEL by default")
    train_parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in the folder")
    train_parser.add_argument(
        "--save-every", type=_seconds, default=300.0, help="seconds between two checkpoints in an epoch (default: 300)"
    )
    train_parser.add_argument("--publish", metavar="NAME", help="afterwards, write the network into pretrained/ under this name")
    _data_option(train_parser)
    recipe_options(train_parser)

    curve = _add(words, "curve", curve_command, "draw the logs of training runs as a figure")
    curve.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="of a run of train")
    curve.add_argument("--out", type=Path, required=True, help="an .html file, or .svg or .png where a Chromium is installed")

    twins = _add(words, "twins", twins_command, "compare a trained network with its plain twin, for its entry and the app")
    twins.add_argument("gated", metavar="NAME", help="the network with SE, published by train")
    twins.add_argument("plain", metavar="PLAIN", help="the one without, trained with the same options")
    _data_option(twins)


def _ablations(words: Any) -> None:
    ablate = _add(words, "ablate", ablate_command, "train the paper's ablations, plain and SE, or report what came of it")
    ablate.add_argument("--seeds", type=_from(1), default=3, help="runs of each variant, with the seeds 0, 1, ... (default: 3)")
    ablate.add_argument("--only", nargs="+", metavar="VARIANT", help=f"of: {'; '.join(KEYS)} (default: all)")
    ablate.add_argument(
        "--part", default="1/1", metavar="I/N", help="do every N-th run, from the I-th on, so that N processes share the work"
    )
    ablate.add_argument("--folder", type=Path, default=Path("runs/ablations"), help="of the single runs (default: runs/ablations)")
    ablate.add_argument("--out", type=Path, help="the file of all runs; those in it are done (default: pretrained/ablations.json)")
    ablate.add_argument(
        "--report", nargs="?", const=Path(), type=Path, metavar="FILE", help="print what the runs in the file say, and train nothing"
    )
    ablate.add_argument("--classes", help="as of train, or `all`; by default the 20 of pretrained/tiny20.txt, of other data all")
    _data_option(ablate)
    recipe_options(ablate, defaults=ABLATION_DEFAULTS, without=VARIED)


def _statistics(words: Any) -> None:
    """Add the commands that take a data set and a network."""
    collect = _add(words, "collect", collect_command, "collect the class statistics of a network over a data set")
    collect.add_argument("--split", default="val", help="train, val or test (default: val)")
    collect.add_argument("--labels", type=Path, metavar="FILE", help="for images that are not sorted into folders: lines of file and class")
    collect.add_argument("--classes", help="comma-separated class ids, or a file with one a line; by default all")
    collect.add_argument("--out", type=Path, help="the file to write; by default the one where the app looks for this network's statistics")
    collect.add_argument("--resume", action="store_true", help="go on with a run that was cut off, beside the file to write")
    collect.add_argument("--save-every", type=_seconds, default=60.0, help="seconds between two savings to resume from (default: 60)")
    collect.add_argument("--batch-size", type=_from(1), default=64, help="images in one forward pass (default: 64)")
    collect.add_argument("--workers", type=_from(0), default=0, help="processes that decode images (default: 0, this one)")
    collect.add_argument("--bf16", action="store_true", help="compute in bfloat16 where that is safe (autocast)")
    collect.add_argument("--channels-last", action="store_true", help="lay the inputs out for the convolutions of GPUs in half precision")
    collect.add_argument("--sample", type=_from(0), help="whole gate vectors kept of each class (default: 50, or as fit into 256 MB)")
    collect.add_argument("--seed", type=_from(0), default=0, help="of the choice of those (default: 0)")
    collect.add_argument("--compact", action="store_true", help="write a file an eighth as large, to ship: 8 and 16 bits, a small sample")
    _images_and_network(collect)

    audit = _add(words, "audit", audit_command, "test whether the gates are dynamic: open, freeze and shuffle them, by block")
    audit.add_argument("--split", default="val", help="train or val (default: val)")
    audit.add_argument("--out", type=Path, help="the JSON file to write; by default the one where the app looks for this network's audit")
    audit.add_argument("--batch-size", type=_from(1), default=64, help="images in one forward pass (default: 64)")
    audit.add_argument("--seed", type=_from(0), default=0, help="of the halves and of the shuffling (default: 0)")
    _images_and_network(audit)


def _figures(words: Any) -> None:
    """Add the commands that show something."""
    explain = _add(words, "explain", explain_command, "show how a network gates its channels for one image")
    explain.add_argument("image", type=Path, help=f"a {FORMAT_NAMES}")
    explain.add_argument("--json", action="store_true", help="print everything as JSON")
    explain.add_argument("--html", type=Path, metavar="OUT", help="write the figures as one HTML file")
    _model_option(explain)

    figure6 = _add(words, "figure6", figure6_command, "draw the paper's Figure 6: the mean excitation by class")
    figure6.add_argument("--classes", nargs="+", help='names, such as goldfish "bullet train"; by default the four nearest to the paper\'s')
    figure6.add_argument("--blocks", nargs="+", help="names, such as SE_4_6 SE_5_1; by default those of the paper's panels")
    figure6.add_argument("--out", type=Path, required=True, help="an .html file, or .svg or .png where a Chromium is installed")
    figure6.add_argument("--statistics", type=Path, help="a file made by collect; by default the one that comes with the model")
    _model_option(figure6)

    export = _add(words, "export", export_command, "write class statistics as a table for other programs")
    _statistics_argument(export)
    export.add_argument("--out", type=Path, required=True, help="a .csv or .parquet file, one row a value, or .npz with arrays")

    report = _add(words, "report", report_command, "write class statistics, with all figures, as one HTML file")
    _statistics_argument(report)
    report.add_argument("--out", type=Path, required=True, help="the .html file to write; it needs no other file and no internet")
    report.add_argument("--other", type=Path, metavar="FILE", help="statistics of another network on the same data, to compare with")


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
    parser.add_argument("--weights", help="`random`, or a file (.safetensors, .pth); by default the network's own, trained")


def _statistics_argument(parser: Parser) -> None:
    parser.add_argument("statistics", nargs="?", type=Path, metavar="STATS", help=f"a file made by collect (default: that of {DEFAULT})")


def _images_and_network(parser: Parser) -> None:
    parser.add_argument("--per-class", type=_from(1), metavar="N", help="take only the first N images of each class (default: all)")
    _data_option(parser)
    _model_option(parser)


def _data_option(parser: Parser) -> None:
    text = "a folder or zip of images, cifar10 or cifar100; by default Tiny ImageNet-200 where SEVIS_DATA names it"
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
            parser.add_argument(f"--{name.replace('_', '-')}", **kind, default=default, help=text)
