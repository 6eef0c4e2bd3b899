"""What one forward pass shows of the SE blocks of a model: is z the mean of u, and are the maps u multiplied by s = gate(W2 W1 z)?"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from sevis.blocks.block import SQUEEZES, SqueezeExcitation
from sevis.blocks.following import NORMS, BlockRun, Product, form_of
from sevis.blocks.structure import Candidate, Modules, ancestors, candidate_of, is_projection
from sevis.blocks.watching import Watching

Pair = tuple[str, str]  # the paths of the two projections


@dataclass(frozen=True)
class Wiring:
    """How one block was seen to scale.

    Attributes:
        form: what becomes of the maps, such as `s * u` or `u + s * u`; v where z is the mean of u, and other maps v are scaled.
        gate: the class of the module, or the name of the function, that s comes out of.
        by_module: whether s comes right out of the gate's module, which runs for nothing else, and the maps become s u: then hooks on
            modules suffice.
        powers: the factor by which the maps come out, as the coefficients of a polynomial of the tensor that multiplies them.
        scope: the path of the module in whose forward pass the product is made.
        takes_input: whether the maps are the input of the block's module, (N, C, ...).
        returned: whether the product is what that module returns.
        multiple: whether what is multiplied is a multiple of the maps, as in (2 u) s.
        places: the extent of the maps, such as (H, W).
        scaled, squeezed: how many numbers the pass multiplied by scales, and of how many it took the means.
    """

    form: str
    gate: str
    by_module: bool
    powers: tuple[float, ...] = (0.0, 1.0)
    scope: str = ""
    takes_input: bool = True
    returned: bool = True
    multiple: bool = False
    places: tuple[int, ...] = ()
    scaled: int = 0
    squeezed: int = 0


@dataclass(frozen=True)
class Evidence:
    """What a forward pass showed.

    Attributes:
        wirings: of the blocks that were seen to be the paper's, by their projections, in the order in which they ran.
        refused: why the others that were seen to run are not: a clause each.
        by_keyword: the paths of modules that were called with their arguments by name.
        lasting: what still was, at the end of the pass, what it had been: paths of modules with `in` for what went into one, `out` for what
            came out. The rest was overwritten, and must be copied to be kept.
    """

    wirings: Mapping[Pair, Wiring]
    refused: Mapping[Pair, str]
    by_keyword: frozenset[str] = frozenset()
    lasting: frozenset[tuple[str, str]] = frozenset()

    def joined_with(self, other: "Evidence") -> "Evidence":
        """Return this with what a later forward pass showed, which counts where both showed something."""
        wirings = {**self.wirings, **other.wirings}
        refused = {pair: reason for pair, reason in {**self.refused, **other.refused}.items() if pair not in other.wirings}
        wirings = {pair: wiring for pair, wiring in wirings.items() if pair not in refused}
        lasting = (self.lasting & other.lasting) | (self.lasting ^ other.lasting)
        return Evidence(wirings, refused, self.by_keyword | other.by_keyword, lasting)


def examine(modules: Modules, candidates: Sequence[Candidate], run: Callable[[], Any]) -> Evidence:
    """Watch a forward pass of a model.

    Args:
        modules: those of the model, by path.
        candidates: what looks like an SE block in it. Other pairs of projections are followed, too.
        run: runs the forward pass.
    """
    gates = {gate for candidate in candidates if (gate := candidate.gate)}
    watching = Watching(modules, gates)
    with torch.no_grad(), _watched(watching), watching:
        run()
    pairs = {candidate.projections: None for candidate in candidates}
    wirings: dict[Pair, Wiring] = {}
    refused: dict[Pair, str] = {}
    for pair in dict.fromkeys([*((seen.first, seen.second) for seen in watching.runs), *pairs]):
        verdict = _judge(watching, pair)
        if isinstance(verdict, Wiring):
            wirings[pair] = verdict
        elif verdict:
            refused[pair] = verdict
    return Evidence(wirings, refused, frozenset(watching.by_keyword), watching.lasting())


@contextmanager
def _watched(watching: Watching) -> Iterator[None]:
    """Hook the modules that the watching needs to know of, for as long as the body runs."""
    handles: list[RemovableHandle] = []
    projections = {path for path, module in watching.modules.items() if is_projection(module)}
    holders = {above for path in projections for above in ancestors(path)}
    hooked: set[nn.Module] = set()
    try:
        for path, module in watching.modules.items():
            if module in hooked:  # a gate that several blocks share has several paths
                continue
            begin, end = (
                (watching.begin_projection, watching.end_projection)
                if path in projections
                else (watching.begin_gate, watching.end_gate)
                if path in watching.gates
                else (watching.enter, watching.leave)
            )
            if path in projections or path in watching.gates or path in holders:
                hooked.add(module)
                handles.append(module.register_forward_pre_hook(partial(begin, path), with_kwargs=True))
                handles.append(module.register_forward_hook(partial(end, path), with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _judge(watching: Watching, pair: Pair) -> Wiring | str:
    """Return how two projections were seen to scale, or why they are no SE block; an empty string where they did not run."""
    path = candidate_of(watching.modules, *pair).path
    runs = [run for run in watching.runs if (run.first, run.second) == pair]
    holder = watching.modules[path]
    if type(holder) is SqueezeExcitation and holder.squeeze is not SQUEEZES["avg"]:  # the paper's ablations
        if (given := watching.inputs.get(path)) is None:
            return ""
        taken, places = watching.taken[path], tuple(given.shape[2:])
        gate, squeezed = type(holder.gate).__name__, 0 if holder.spatial else taken
        return Wiring("s * u", gate, True, scope=path, places=places, scaled=taken, squeezed=squeezed)
    if not runs:
        shape = watching.spread.get(pair[0])
        if shape:
            return f"its first projection got {shape}, not one number for each image and channel"
        return "what comes out of its first projection does not go into the second" if watching.called.issuperset(pair) else ""
    products = [product for run in runs for product in run.products]
    if not products:
        lost = " and ".join(dict.fromkeys(name for run in runs for name in run.lost))
        return f"nothing is multiplied by what comes out of its projections{lost and f', which goes into {lost}'}"
    return _unfit(watching, runs, products) or _wiring(watching, path, runs, products)


def _unfit(watching: Watching, runs: Sequence[BlockRun], products: Sequence[Product]) -> str:
    """Return why products are not those of an SE block; empty where they are."""
    for product in products:
        trace, maps = product.trace, watching.maps[id(product)]
        bending = [name for name in trace.chain if name not in NORMS]
        if trace.fault:
            return trace.fault
        if not bending or bending[-1] == "prelu":
            return "no gate without weights follows its projections"
        if "softmax" in trace.chain:
            return "its gate is a softmax, in which the channels compete"
        if not maps.averaged:
            names = " and ".join(dict.fromkeys(watching.squeeze_of(trace.run)[0])) or "no function of maps"
            return f"its squeeze is not the mean of any maps: it comes from {names}"
    forms = {(product.trace.affine, product.powers) for product in products}
    if len(forms) > 1 or any(sum(power != 0 for power in powers[1:]) != 1 or (powers[0] and len(powers) > 2) for _, powers in forms):
        return "its scales are used in several ways in one forward pass"
    return ""


def _wiring(watching: Watching, path: str, runs: Sequence[BlockRun], products: Sequence[Product]) -> Wiring:
    first = products[0]
    trace, maps = first.trace, watching.maps[id(first)]
    alone = [calls for calls in watching.gate_calls.values() if runs[0].second in calls]
    module = trace.by_module and len(alone) == 1 and set(alone[0]) == {runs[0].second} and len(alone[0]) == len(runs)
    bending = [name for name in trace.chain if name not in NORMS]
    return Wiring(
        form=form_of(trace.affine, first.powers, "u" if maps.squeezed else "v"),
        gate=", ".join(bending) if not trace.by_module else bending[-1],
        by_module=module and first.powers == (0.0, 1.0),
        powers=first.powers,
        scope=maps.scope,
        multiple=id(first) in watching.unfolded,
        takes_input=maps.takes_input and all(watching.maps[id(product)].takes_input for product in products),
        returned=path in watching.returning,
        places=maps.places,
        scaled=sum(watching.maps[id(product)].numbers for product in products),
        squeezed=sum(watching.maps[id(run.products[0])].averaged for run in runs if run.products),
    )
