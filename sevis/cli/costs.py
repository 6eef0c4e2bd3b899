"""What `python -m sevis costs` prints: parameters and multiply-adds, and those of the SE blocks, beside the paper's."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from sevis.architecture import Architecture
from sevis.cli.columns import align
from sevis.cli.data import Arguments
from sevis.errors import NoBlocks, SevisError

if TYPE_CHECKING:
    from torch import nn

    from sevis.networks.costs import Cost
    from sevis.paper import Printed

OPTIONS = ("width", "reduction", "placement", "stages", "squeeze", "bias")  # of sevis.build: those that change what a network costs
FAR = 0.01  # a deviation from what the paper prints that needs a reason
LARGEST = 100_000  # the side of an input, in pixels
ABOUT = (
    "SE adds: to the network without its SE blocks; eq. (5): the closed form (2/r) sum N C^2, weights only\n"
    "multiply-adds: of convolutions and linear layers; + squeeze: with the additions of SE's means, which the paper seems to count\n"
    "(paper): as the paper prints it; -: it does not"
)
Rows = list[tuple[str, ...]]


def costs_command(arguments: Arguments) -> None:
    """Print what networks cost, in one table, and with --by-block what their blocks cost."""
    options = {name: value for name in OPTIONS if (value := getattr(arguments, name)) is not None}
    if arguments.paper:
        if arguments.names or options or arguments.size or arguments.by_block:
            raise SevisError("--paper prints every row of the paper's Tables 2 and 3: leave names and other options out")
        _print_paper()
        return
    if not arguments.names:
        raise SevisError("expected the name of a network, such as se_resnet50, or --paper")
    costs = {name: _measure(name, options, arguments.size) for name in dict.fromkeys(arguments.names)}
    rows: Rows = [("name", "input", "parameters", "SE adds", "eq. (5)", "(paper)", "multiply-adds", "SE adds", "+ squeeze", "(paper)")]
    rows += [_row(name, cost, options) for name, cost in costs.items()]
    print(*align(rows, right=range(1, 10)), ABOUT, sep="\n")
    if arguments.by_block:
        for name, cost in costs.items():
            _print_blocks(name, cost)


def _measure(name: str, options: Mapping[str, Any], side: int | None) -> "Cost":
    from sevis.networks.costs import measure_cost

    model, own_side = _outline(name, options)
    side = side or own_side
    if side > LARGEST:
        raise SevisError(f"expected an input of at most {LARGEST} pixels a side, got {side}")
    return measure_cost(model, (3, side, side))


def _outline(name: str, options: Mapping[str, Any]) -> "tuple[nn.Module, int]":
    """Return a network without its weights, and the side of its input in pixels."""
    from sevis.networks import libraries
    from sevis.networks.libraries.sevis_library import input_size, list_models
    from sevis.weights.describe import describe

    if name in list_models():
        return libraries.read(Architecture(name=name, **options)).on_meta(), input_size(name)
    if options:
        words = ", ".join("--no-bias" if option == "bias" else f"--{option}" for option in options)
        raise SevisError(f"{words}: only for the networks that sevis builds itself, which python -m sevis models lists, not for {name}")
    try:
        card = describe(name)
    except NoBlocks:
        network = libraries.find(name)
        if network is None:  # a checkpoint
            raise
        return network.on_meta(), network.preprocessing().crop
    except SevisError as error:
        near = get_close_matches(name, list_models(), n=2)
        raise SevisError(f"{error}; of sevis's own, {', '.join(near)}" if near else str(error)) from None
    return libraries.read(card.architecture).on_meta(), card.preprocessing.crop


def _row(name: str, cost: "Cost", options: Mapping[str, Any]) -> tuple[str, ...]:
    from sevis.networks.libraries.sevis_library import input_size, list_models
    from sevis.paper import printed_costs

    printed = printed_costs(name, options)
    multiply_adds = printed.multiply_adds if name in list_models() and cost.size[1] == input_size(name) else None
    return (
        name,
        str(cost.size[1]),
        f"{cost.parameters:,}",
        _added(f"{cost.se_parameters:,}", cost.se_parameters, cost.parameters),
        f"{cost.closed_form:,}" if cost.sites else "-",
        f"{printed.parameters / 1e6:.1f} M" if printed.parameters else "-",
        short(cost.multiply_adds),
        _added(short(cost.se_multiply_adds), cost.se_multiply_adds, cost.multiply_adds),
        short(cost.multiply_adds + cost.squeeze) if cost.sites else "-",
        short(multiply_adds, printed.digit) if multiply_adds else "-",
    )


def _added(text: str, share: int, whole: int) -> str:
    """Return what SE adds, and what that is of the network without it."""
    return f"{text} (+{100 * share / (whole - share):.2f} %)" if share else "-"


def short(count: float, digit: float | None = None) -> str:
    """Return a count of operations in thousands, millions or billions, to four significant digits or to the given one: 3.858 G, 568.7 M."""
    unit, letter = next(((unit, letter) for unit, letter in ((1e9, "G"), (1e6, "M")) if count >= unit), (1e3, "k"))
    value = count / unit
    decimals = max(0, 4 - len(f"{value:.0f}")) if digit is None else len(f"{unit / digit:.0f}") - 1
    return f"{value:.{decimals}f} {letter}"


def _print_blocks(name: str, cost: "Cost") -> None:
    """Print the cost of every block, and of every SE block by its three equations."""
    rows: Rows = [("block", "output", "parameters", "of SE", "multiply-adds", "of SE")]
    for block in cost.blocks:
        parameters, multiply_adds = (f"{count:,}" if count else "-" for count in (block.se_parameters, block.se_multiply_adds))
        output = " × ".join(map(str, block.shape)) or "not run"
        rows.append((block.path or "(the rest)", output, f"{block.parameters:,}", parameters, f"{block.multiply_adds:,}", multiply_adds))
    print(f"\n{name}, by block", *align(rows, right=range(2, 6)), sep="\n")
    if not cost.sites:
        return
    rows = [("SE block", "channels", "hidden", "places", "parameters", "squeeze (2)", "projections (3)", "scaling (4)")]
    parts = ("channels", "hidden", "places", "parameters", "squeeze", "projections", "scaling")
    rows += [(site.name, *(f"{getattr(site, part):,}" for part in parts)) for site in cost.sites]
    totals = [sum(getattr(site, part) for site in cost.sites) for part in parts[3:]]
    rows.append(("all", "", "", "", *(f"{total:,}" for total in totals)))
    print(f"\n{name}, its SE blocks: additions, multiply-adds, multiplications", *align(rows, right=range(1, 8)), sep="\n")


def _print_paper() -> None:
    from sevis.paper import TABLES_2_AND_3

    rows: Rows = [("table", "network", "parameters", "(paper)", "multiply-adds", "+ squeeze", "(paper)", "deviation")]
    notes = []
    for row in TABLES_2_AND_3:
        for name, printed in ((row.name, row.plain), (f"se_{row.name}", row.gated)):
            cells, far = _beside_paper(name, printed)
            rows.append((str(row.table), *cells))
            if far and row.note not in notes:
                notes.append(row.note)
    print(*align(rows, right=range(2, 8)), sep="\n")
    print("+ squeeze: with the additions of SE's means, which the paper seems to count; deviation: of the multiply-adds, * above 1 %")
    print(*(f"* {note}" for note in notes), sep="\n")


def _beside_paper(name: str, printed: "Printed") -> tuple[tuple[str, ...], bool]:
    """Return a line of the table, and whether it deviates by more than 1 %."""
    cost = _measure(name, {}, None)
    expected = printed.multiply_adds or 0.0
    deviation = cost.multiply_adds / expected - 1
    far = abs(deviation) > FAR
    cells = (
        name,
        f"{cost.parameters:,}",
        f"{printed.parameters / 1e6:.1f} M" if printed.parameters else "-",
        short(cost.multiply_adds),
        short(cost.multiply_adds + cost.squeeze) if cost.sites else "-",
        short(expected, printed.digit),
        f"{deviation:+.2%} {'*' if far else ' '}",
    )
    return cells, far
