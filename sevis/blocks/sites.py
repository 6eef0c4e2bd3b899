"""Where the SE blocks of a model are: what is known of it, from its layers and from a forward pass, kept with the model."""

import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, overload
from weakref import WeakKeyDictionary, ref

import torch
from torch import nn

from sevis.blocks.evidence import Evidence, Pair, Wiring, examine
from sevis.blocks.following import tensors_in
from sevis.blocks.naming import name_block
from sevis.blocks.rehearsal import few, stand_in, undisturbed
from sevis.blocks.structure import Candidate, Modules, candidate_of, find_candidates, find_relatives, in_order, outline, product_path
from sevis.errors import NoBlocks, SevisError, one_line

log = logging.getLogger(__name__)
IDLE = ("nothing is multiplied", "no gate", "its first projection got", "what comes out")  # as of any two layers

Declared = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Site:
    """One SE block of a model.

    Attributes:
        name: SE_stage_block as in the paper: the stem is stage 1, so ResNet's layer1[0] is SE_2_1.
        path: the path, for `model.get_submodule`, of the lowest module that holds the block and has a forward pass of its own. That is the
            SE block itself, or the residual block where its layers lie directly in that.
        parts: the paths, below it, of the two projections and of the gate; the last is empty where the gate is a function.
        channels, hidden: C, and the units of the hidden layer.
        gate: the class of the gate, such as Sigmoid or Hardsigmoid; of a gate that is a function, its name, once a forward pass was seen.
        bias: whether the projections have biases.
        spatial: whether every place of the map has scales of its own, as in the paper's NoSqueeze.
        form: what becomes of the maps, once a forward pass was seen; till then empty. `s * u` is eq. (4); `u + s * u`, `(1 + s) * u`,
            `2 * s * u`, `s * s * u` and the like are its relatives; v stands for maps that are scaled while z is the mean of others.
    """

    name: str
    path: str
    parts: tuple[str, str, str]
    channels: int
    hidden: int
    gate: str
    bias: bool
    spatial: bool = False
    form: str = ""

    @property
    def reduction(self) -> float:
        """The reduction ratio r = C / hidden."""
        return self.channels / self.hidden


@dataclass(frozen=True)
class Lookalike:
    """A module that looks like an SE block and is not taken for one.

    Attributes:
        path: the module's, for `model.get_submodule`.
        kind: its class.
        reason: why it is not taken: a clause.
    """

    path: str
    kind: str
    reason: str


class FoundSites(NamedTuple):
    """What `find_sites` finds, and what it leaves out."""

    sites: tuple[Site, ...]
    lookalikes: tuple[Lookalike, ...]


class Known:
    """What is known of the SE blocks of a model, until a module of it changes."""

    def __init__(self, model: nn.Module, declared: Declared) -> None:
        modules = outline(model)
        self.declared = dict(declared)
        self.candidates = find_candidates(modules, declared)
        self.evidence: Evidence | None = None
        self.misfit = ""  # why a declared block is none
        self.guessed = False  # whether it was told that a part was called before any forward pass was seen
        self.untried = True  # whether no forward pass was tried yet
        self.plans: dict[bool, Any] = {}  # of hooks, without and with the maps
        self.by_name: dict[str, Site] = {}
        self.names: dict[Pair, str] = {}
        self._children = [
            (ref(module), [None if child is None else ref(child) for child in module._modules.values()]) for module in modules.values()
        ]
        self._children = [(module, children) for module, children in self._children if children]
        self._list_sites(modules)

    @property
    def sites(self) -> tuple[Site, ...]:
        """The blocks, in the order of the modules."""
        return tuple(self.by_name.values())

    @property
    def is_hopeful(self) -> bool:
        """Whether a forward pass may show blocks that are not listed yet."""
        return self.untried and any(candidate.doubt and candidate.may_be for candidate in self.candidates)

    def is_current(self) -> bool:
        """Return whether the model still has the modules that it had."""
        for module, children in self._children:
            holder = module()
            if holder is None or len(holder._modules) != len(children):
                return False
            for child, before in zip(holder._modules.values(), children, strict=True):
                if (before if before is None else before()) is not child:
                    return False
        return True

    def wiring(self, site: Site) -> Wiring | None:
        """Return how a block was seen to scale; None where no forward pass was seen to come to it."""
        return self.evidence.wirings.get(pair_of(site)) if self.evidence else None

    def learn(self, model: nn.Module, evidence: Evidence) -> None:
        """Take what a forward pass showed."""
        self.evidence = evidence if self.evidence is None else self.evidence.joined_with(evidence)
        self.untried = False
        self.plans.clear()
        self._list_sites(outline(model))

    def tell_guess(self, name: str) -> None:
        """Tell, once, that a block runs before a forward pass of the whole model was seen, so that its layers alone say what it is."""
        if not self.guessed:
            self.guessed = True
            log.warning(
                "%s runs before sevis has seen a forward pass of the model, and is taken for what it looks like: call the model itself, "
                "or sevis.find_sites(model, example), before a part of it.",
                name,
            )

    def refusal(self, name: str) -> str:
        """Return why the block of that name, which its layers made it seem, is none; empty where none was called so."""
        pairs = [pair for pair, known in self.names.items() if known == name]
        return self.evidence.refused.get(pairs[0], "") if pairs and self.evidence else ""

    def lookalikes(self, model: nn.Module) -> tuple[Lookalike, ...]:
        """Return what looks like an SE block and is not taken for one, in the order of the modules."""
        modules = outline(model)
        taken = {pair_of(site) for site in self.sites}
        seen = self.evidence.refused if self.evidence else {}
        reasons = {candidate.projections: candidate.doubt for candidate in self.candidates if candidate.seems}
        reasons |= {pair: reason for pair, reason in seen.items() if pair in self.names or pair in reasons or not reason.startswith(IDLE)}
        found = {}
        for (first, second), reason in reasons.items():
            if reason and (first, second) not in taken and (first in modules and second in modules):
                found[product_path(modules, candidate_of(modules, first, second).path)] = reason
        paths = [path for pair in (*taken, *reasons) for path in pair]
        found |= {path: reason for path, reason in find_relatives(modules, paths) if path not in found}
        return tuple(Lookalike(path, type(modules[path]).__name__, reason) for path, reason in found.items())

    def _list_sites(self, modules: Modules) -> None:
        wirings = self.evidence.wirings if self.evidence else {}
        refused = self.evidence.refused if self.evidence else {}
        known = {candidate.projections for candidate in self.candidates}
        extra = [candidate_of(modules, *pair) for pair in wirings if pair not in known]
        used = {path for pair in wirings for path in pair}
        listed = [
            candidate
            for candidate in self.candidates
            if candidate.projections in wirings or not (candidate.doubt or used.intersection(candidate.projections))
        ]
        sites, stages, names = [], dict[str, int](), set[str]()
        for candidate in in_order([*listed, *extra], modules) if extra else listed:
            pair = candidate.projections
            holder = modules[candidate.path]
            name = holder.__dict__.get("site") or name_block(modules, candidate.path, stages)
            while name in names:  # a second SE block in one residual block
                name += "b"
            names.add(name)
            self.names[pair] = name
            if candidate.named and pair in refused:
                self.misfit = f"the block that was named at {candidate.path!r} is not the paper's: {refused[pair]}"
            if pair not in refused:
                if obstacle := _obstacle_on(modules, candidate):
                    raise SevisError(obstacle)
                sites.append(_site(modules, candidate, name, wirings.get(pair)))
        self.by_name = {site.name: site for site in sites}
        if self.misfit:
            raise SevisError(self.misfit)


_known: WeakKeyDictionary[nn.Module, Known] = WeakKeyDictionary()
_lock = threading.RLock()


@overload
def find_sites(
    model: nn.Module, example: Any = None, *, blocks: Declared | None = None, explain: Literal[False] = False
) -> tuple[Site, ...]: ...
@overload
def find_sites(model: nn.Module, example: Any = None, *, blocks: Declared | None = None, explain: Literal[True]) -> FoundSites: ...
def find_sites(
    model: nn.Module, example: Any = None, *, blocks: Declared | None = None, explain: bool = False
) -> tuple[Site, ...] | FoundSites:
    """Return the SE blocks of a model, in the order of its modules; empty for a network without any.

    A block is two projections, from C channels to a hidden layer and back, with a gate behind them, whatever they are called and wherever
    they lie below one module. A forward pass decides: z is the mean of maps, one number for each image and channel; and maps are multiplied
    by s. It is run on the example, or in the first pass inside `capture` or `override`, without a trace in the model. Till then, what looks
    like a block by its layers is listed. What was found is kept with the model, until a module of it changes.

    A block is named by the residual block that holds it: SE_stage_block. `layerN` is stage N + 1; of other numbered stages (`stages.0`,
    `s1`, `blocks.0`), the first of its kind is stage 2, and so on, with or without SE; a module called `stem` is stage 1, and one long
    sequence is stage 2. The block's number is its position in the stage. Where two blocks would be called the same, as two SE
    blocks of one residual block are, the second has a `b` behind its name. A block that `sevis.graft` put in says itself what it is called.

    Args:
        model: any network.
        example: what the model takes: a tensor, a tuple of its arguments, or a dictionary of those with names; two images are enough.
        blocks: blocks that are not found by themselves: the paths of their two projections and of their gate, below the module that holds
            them; the gate is left out where it is a function. They are kept with the model.
        explain: whether to return what looks alike and is not taken, too.

    Raises:
        TypeError: when `model` is no nn.Module.
        SevisError: when its blocks cannot be hooked, because it is compiled, scripted, or spread by DataParallel; for an example that does
            not go through the model; for a declaration that does not fit.
    """
    known = know(model, blocks)
    if example is not None:
        args, kwargs = (
            ((), example) if isinstance(example, dict) else (tuple(example), {}) if isinstance(example, tuple) else ((example,), {})
        )
        check(model, known, args, kwargs, strict=True)
    return FoundSites(known.sites, known.lookalikes(model)) if explain else known.sites


def require_sites(model: nn.Module) -> tuple[Site, ...]:
    """Return the SE blocks of a model, as `find_sites`. Raises NoBlocks, a SevisError, where it has none to look into."""
    return sites_or_refuse(model, know(model))


def sites_or_refuse(model: nn.Module, known: Known, *, patient: bool = False) -> tuple[Site, ...]:
    """Return the SE blocks that are known of a model.

    Raises:
        NoBlocks: where there are none; where `patient`, only if no forward pass may still show some.
    """
    if known.sites or (patient and known.is_hopeful):
        return known.sites
    lookalikes = known.lookalikes(model)
    counts = Counter((like.kind, like.reason) for like in lookalikes)
    told = "; ".join(f"its {count} {kind} are not SE blocks: {reason}" for (kind, reason), count in counts.items())
    raise NoBlocks(type(model).__name__, f"has no Squeeze-and-Excitation block{told and f' ({told})'}")


def site_named(sites: Mapping[str, Site], name: str) -> Site:
    """Return the block of that name. Raises SevisError with the names there are."""
    if name not in sites:
        raise SevisError(f"no SE block is called {name!r}: the model has {', '.join(sites)}")
    return sites[name]


def pair_of(site: Site) -> Pair:
    """Return the paths of a block's projections in the model."""
    return Candidate(site.path, site.parts, site.channels, site.hidden).projections


def know(model: nn.Module, declared: Declared | None = None) -> Known:
    """Return what is known of a model, found anew where a module of it has changed. Raises as `find_sites`."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"expected a torch.nn.Module, got {type(model).__name__}")
    if obstacle := _obstacle(model):
        raise SevisError(obstacle)
    with _lock:
        known = _known.get(model)
        blocks = (known.declared if known else {}) if declared is None else declared
        if known is None or blocks != known.declared or not known.is_current():
            known = _known[model] = Known(model, blocks)
        if known.misfit:
            raise SevisError(known.misfit)
        return known


def check(model: nn.Module, known: Known, args: tuple[Any, ...], kwargs: dict[str, Any], *, strict: bool = False) -> None:
    """Run one forward pass on at most two images, and learn how the blocks scale.

    Args:
        model: the network; it is left as it was.
        known: of it.
        args, kwargs: what it is called with.
        strict: whether an example that does not go through the model is an error; else nothing is learnt from it.
    """
    images = len(first) if (first := next(tensors_in((args, kwargs)), None)) is not None and first.ndim else 0
    error: Exception | None = None
    for number, hooks in ((images, False), (0, False), (images, True)):  # some models need all of their images, or their own hooks
        try:
            with undisturbed(model):
                twin = stand_in(model, all_hooks=hooks)
                run = partial(twin, *few(args, number), **few(kwargs, number))
                evidence = examine(outline(twin), known.candidates, run)
        except Exception as caught:  # whatever a stranger's network raises
            error = caught
        else:
            known.learn(model, evidence)
            return
    known.untried = False
    told = f"does not go through {type(model).__name__} ({one_line(error or Exception())})"
    if strict:
        raise SevisError(f"the example {told}: pass what it takes")
    log.warning("A small forward pass %s: the SE blocks are taken for what they look like.", told)


def _site(modules: Modules, candidate: Candidate, name: str, wiring: Wiring | None) -> Site:
    first = modules[candidate.projections[0]]
    spatial = modules[candidate.path].__dict__.get("spatial") is True
    gate = type(modules[candidate.gate]).__name__ if candidate.gate else "function"
    bias = getattr(first, "bias", None) is not None
    parts, form = candidate.parts, ""
    if wiring:
        gate, form = wiring.gate, wiring.form
    return Site(name, candidate.path, parts, candidate.channels, candidate.hidden, gate, bias, spatial, form)


def _obstacle_on(modules: Modules, candidate: Candidate) -> str:
    """Return what keeps hooks on the parts of a block from seeing every forward pass; empty where nothing does."""
    paths = {part: None for part in (*candidate.projections, candidate.gate) if part}
    for path in list(paths):
        while path := path.rpartition(".")[0]:
            paths[path] = None
    return next(filter(None, (_obstacle(modules[path]) for path in paths if path in modules)), "")


def _obstacle(module: nn.Module) -> str:
    """Return why hooks below this module would not see every forward pass, and what to do; empty when they do."""
    if isinstance(module, nn.DataParallel):
        return "the model is wrapped in DataParallel, and its copies cannot be captured: pass model.module"
    if isinstance(module, torch.jit.ScriptModule):
        return "the model is scripted or traced, and such blocks run no hooks: pass the Python model it was made from"
    if type(module).__name__ == "OptimizedModule":  # importing its class takes a second
        return "the model is compiled, and compiled blocks may skip hooks: pass the model as it was before torch.compile"
    if module._compiled_call_impl is not None:
        return "the model is compiled, and compiled blocks may skip hooks: build it again without model.compile()"
    return ""
