"""SE blocks of other libraries: does sevis find exactly those, and are its numbers theirs?

    pip install pytorchcv efficientnet_pytorch geffnet birder segmentation-models-pytorch monai transformers
    PYTHONPATH=. python benchmarks/strangers.py [--only pytorchcv] [--network seresnet10] [--each]

The true blocks are those of the library's own classes. z is the mean of the block's input, s is computed from z by copies of the block's
layers, both in float64; and a block without its gate is made by a hook of this script. A library that is not installed is left out.
"""

import argparse
import copy
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

import sevis
from benchmarks.strangers_networks import KINDS, LIBRARIES, Foreign, Gate, Kind, identity
from sevis.blocks.sites import Site

CLOSE = 5e-5  # of the largest number of the block: an untrained network makes large numbers of few places


@dataclass(eq=False)
class Block:
    """A true SE block of a network: where it lies, how it is written, and what it did."""

    path: str
    module: nn.Module
    kind: Kind
    seen: dict[str, Tensor] = field(default_factory=dict)

    def part(self, names: str) -> Any:
        """Return the attribute of the first of the names that the block has."""
        for name in names.split("|"):
            if hasattr(self.module, name.split(".")[0]):
                return attrgetter(name)(self.module)
        return None

    def removed(self, *, sum_too: bool = False) -> Any:
        return ((self.kind.remove_sum if sum_too else None) or self.kind.remove or identity)(self.module)


@dataclass
class Count:
    """What came of a network, or of all networks of a library."""

    networks: int = 0
    true: int = 0
    found: int = 0
    missed: int = 0
    wrong: int = 0
    error: float = 0.0
    opened: float = 0.0
    faults: list[str] = field(default_factory=list)

    def add(self, other: "Count") -> None:
        for name in ("networks", "true", "found", "missed", "wrong"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.error, self.opened = max(self.error, other.error), max(self.opened, other.opened)
        self.faults += other.faults


def true_blocks(model: nn.Module) -> list[Block]:
    """Return the SE blocks by the library's own classes; one without two projections is none."""
    found = []
    for path, module in model.named_modules():
        kinds = KINDS.get(f"{type(module).__module__}.{type(module).__name__}", ())
        if getattr(module, "has_se", True) and getattr(module, "_has_se", True):
            found += [Block(path, module, kind) for kind in (kinds if isinstance(kinds, tuple) else (kinds,))]
    return [block for block in found if block.part(block.kind.second) is not None and block.part(block.kind.first) is not None]


def applied(block: Block, part: Gate, value: Tensor) -> Tensor:
    """Return a layer or a function of the block applied in float64."""
    layer = block.part(part) if isinstance(part, str) else part
    if layer is None:
        return value
    result: Tensor = (copy.deepcopy(layer).double() if isinstance(layer, nn.Module) else layer)(value)
    return result


def scale(block: Block, z: Tensor) -> Tensor:
    """Return s from z: projections, what lies between them, and the gate, in float64."""
    value = applied(block, block.kind.first, z)
    for part in block.kind.between:
        value = applied(block, part, value)
    return applied(block, block.kind.gate, applied(block, block.kind.second, value))


@contextmanager
def watched(blocks: list[Block]) -> Iterator[None]:
    """Keep the input of each block, or of its first projection where its layers lie among others."""
    handles = []
    for block in blocks:
        module = block.module if block.kind.inside else block.part(block.kind.first)

        def keep(_: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor], *, block: Block = block) -> None:
            value = args[0] if args else next(iter(kwargs.values()))
            block.seen = {"u": value.detach().double().clone()}

        def keep_output(_: nn.Module, __: Any, output: Tensor, *, block: Block = block) -> None:
            block.seen["output"] = output.detach().clone()

        handles.append(module.register_forward_pre_hook(keep, with_kwargs=True))
        if block.kind.inside:
            handles.append(module.register_forward_hook(keep_output))
    yield
    for handle in handles:
        handle.remove()
    for block in blocks:
        if "u" in block.seen:
            z = block.seen["u"].flatten(2).mean(2)
            first = block.part(block.kind.first)
            places = 0 if isinstance(first, nn.Linear) else first.weight.ndim - 2
            block.seen |= {"z": z, "s": scale(block, z.reshape(*z.shape, *(1,) * places)).flatten(1)}


def proved(block: Block) -> bool:
    """Return whether u and s make up the block's own output: else this script is wrong about how the block is written."""
    if "output" not in block.seen:
        return True
    u, s = block.seen["u"], block.seen["s"]
    product = u * s.reshape(*s.shape, *(1,) * (u.ndim - 2))
    return relative(block.seen["output"], product + u if block.kind.residual else product) < CLOSE


def matched(model: nn.Module, sites: tuple[Site, ...], blocks: list[Block]) -> dict[str, Block | None]:
    """Return the true block of each site: the one whose first projection is the site's."""
    found: dict[str, Block | None] = {}
    for site in sites:
        first = model.get_submodule(".".join(filter(None, (site.path, site.parts[0]))))
        found[site.name] = next((b for b in blocks if set(first.modules()) & set(b.part(b.kind.first).modules())), None)
    return found


def relative(own: Tensor, true: Tensor) -> float:
    if own.shape != true.shape:
        return float("inf")
    return float((own.double() - true.double()).abs().max() / true.abs().max().clamp_min(1e-3))


def hooks(model: nn.Module) -> int:
    """Return how many hooks there are; some libraries have their own."""
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def outputs(model: nn.Module, example: Tensor) -> Tensor:
    with torch.no_grad():
        found = [leaf.flatten() for leaf in tree_leaves(model(example)) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
    return torch.cat(found)


def check(foreign: Foreign) -> Count:
    """Return what sevis makes of a network, beside what is true."""
    torch.manual_seed(0)
    example, count = torch.randn(2, *foreign.size), Count(networks=1)
    model = stir(foreign.build(), example)
    blocks = true_blocks(model)
    with watched(blocks):
        plain = outputs(model, example)
    before, sites = hooks(model), sevis.find_sites(model, example)
    by_name = matched(model, sites, blocks)
    expected = [block for block in blocks if block.seen and not block.kind.either]  # one that is never called may be found or not
    missed = [block for block in expected if block not in by_name.values()]
    wrong = [site for site in sites if by_name[site.name] is None]
    count.true, count.found, count.missed, count.wrong = len(expected), len(sites), len(missed), len(wrong)
    lost = Counter(type(block.module).__name__ for block in missed)
    taken = Counter(type(model.get_submodule(site.path)).__name__ for site in wrong)
    count.faults += [f"missed: {number} {name}" for name, number in lost.items()]
    count.faults += [f"wrongly found: {number} {name}" for name, number in taken.items()]
    count.faults += [f"this script is wrong about {block.path}" for block in blocks if not proved(block)]
    if sites:
        count.error = captured(model, example, blocks, by_name, count.faults)
        count.opened = overridden(model, example, by_name, count.faults)
    if hooks(model) != before:
        count.faults.append("hooks are left")
    if not torch.equal(outputs(model, example), plain):
        count.faults.append("the plain output has changed")
    return count


def captured(model: nn.Module, example: Tensor, blocks: list[Block], by_name: dict[str, Block | None], faults: list[str]) -> float:
    """Return the largest error of z and s."""
    with watched(blocks), sevis.capture(model) as record:
        outputs(model, example)
    worst = 0.0
    for name, block in by_name.items():
        if block is not None and block.seen:
            for part, own in (("z", record[name].squeeze), ("s", record[name].scale)):
                error = relative(own, block.seen[part])
                if part == "s" and block.kind.residual:
                    error = min(error, relative(own, 1 + block.seen["s"]))
                worst = max(worst, error)
                if not error < CLOSE:
                    faults.append(f"{part} of {block.path}: {tuple(own.shape)} for {tuple(block.seen[part].shape)}, {error:.1e} away")
    return worst


def overridden(model: nn.Module, example: Tensor, by_name: dict[str, Block | None], faults: list[str]) -> float:
    """Return how far 1 is from a block without its gate: three blocks alone, then all at once."""
    known = [(name, block) for name, block in by_name.items() if block is not None and block.seen and not block.kind.either]
    chosen = [[known[place]] for place in sorted({0, len(known) // 2, len(known) - 1})] if known else []
    if len(known) == len(by_name):
        chosen.append(known)
    worst, plain = 0.0, outputs(model, example)
    for pairs in chosen:
        with sevis.override(model, {name: 1.0 for name, _ in pairs}):
            own = outputs(model, example)
        error = float("inf")
        for sum_too in (False, True):
            with ExitStack() as stack:
                for _, block in pairs:
                    stack.enter_context(block.removed(sum_too=sum_too))
                true = outputs(model, example)
            error = min(error, relative(own, true))
        worst = max(worst, error)
        if torch.equal(true, plain):
            faults.append(f"{pairs[0][0]}: to remove it changes nothing, so the test says nothing")
        if not error < CLOSE:
            faults.append(f"{pairs[0][1].path} and {len(pairs) - 1} more: 1 is {error:.1e} from no gate")
    return worst


def stir(model: nn.Module, example: Tensor) -> nn.Module:
    """Return the network in eval mode, its norms with numbers of their own: fresh ones let signals vanish, or start branches at zero."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.affine]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.6, 1.4)
        nn.init.normal_(norm.bias, std=0.1)
    for parameter in model.parameters():
        if parameter.numel() == 1 and not parameter.any():  # the gain of a branch
            nn.init.constant_(parameter, 0.5)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    outputs(model.train(), example)  # the norms take the statistics of the example
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="one library")
    parser.add_argument("--network", default="", help="networks whose name has this in it")
    parser.add_argument("--each", action="store_true", help="a line for each network, and all that is wrong with it")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    line = "{:28} {:>8} {:>6} {:>6} {:>7} {:>6} {:>9} {:>9}"
    print(line.format("", "networks", "true", "found", "missed", "wrong", "z, s", "override"))
    for networks in LIBRARIES:
        library = networks.__name__
        if arguments.only not in (None, library):
            continue
        if find_spec(library) is None:
            print(f"{library}: not installed")
            continue
        total = Count()
        for foreign in networks():
            if arguments.network not in foreign.name:
                continue
            try:
                count = check(foreign)
            except Exception as error:
                count = Count(networks=1, faults=[f"{type(error).__name__}: {error}"])
            total.add(count)
            if arguments.each:
                show(line, f"  {foreign.name}", count)
                print(*(f"      {fault[:180]}" for fault in count.faults[:6]), sep="\n", end="\n" * bool(count.faults))
        show(line, library, total)


def show(line: str, title: str, count: Count) -> None:
    numbers = (count.networks, count.true, count.found, count.missed, count.wrong, f"{count.error:.1e}", f"{count.opened:.1e}")
    print(line.format(title[:28], *numbers), flush=True)


if __name__ == "__main__":
    main()
