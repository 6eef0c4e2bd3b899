"""Which hooks the blocks of a model need: on its gates where a module gives the scales, else around the module that multiplies the maps."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import ref

from torch import Tensor, nn

from sevis.blocks.contexts import act, following, is_wanted, keep, records
from sevis.blocks.evidence import Wiring
from sevis.blocks.hook_kinds import BeginHook, CallHook, GateHook, Hook, KeepHook
from sevis.blocks.scaling import Scaling
from sevis.blocks.sites import Known, Site, pair_of
from sevis.errors import SevisError

Blocks = Sequence[tuple[Site, Wiring]]


@dataclass(frozen=True, slots=True)
class Planned:
    """A hook and its module.

    Attributes:
        module: which.
        hook: what is called.
        before: whether before the module's forward pass.
        keywords: whether it gets the arguments that are passed by name, too.
        always: whether it is called even where the forward pass fails.
    """

    module: "ref[nn.Module]"
    hook: Hook
    before: bool
    keywords: bool
    always: bool = False


@dataclass
class HookPlan:
    """The hooks of a model.

    Attributes:
        hooks: all but those of the model's own pass.
        first: what the hook of the model's own pass calls at its beginning, where the model is itself the module of a block.
    """

    hooks: list[Planned] = field(default_factory=list)
    first: list[Hook] = field(default_factory=list)


def plan_hooks(model: nn.Module, known: Known, *, maps: bool) -> HookPlan:
    """Return the hooks that records and overrides of a model need. Raises SevisError where two blocks share a projection."""
    planner = _Planner(model, known, HookPlan())
    scopes: dict[str, list[tuple[Site, Wiring]]] = {}
    viewed: dict[str, list[tuple[Site, Wiring]]] = {}
    owners: dict[str, str] = {}
    for site in known.sites:
        wiring = known.wiring(site)
        for part in pair_of(site):
            if owners.setdefault(part, site.name) != site.name:
                raise SevisError(f"{owners[part]} and {site.name} share {part}: give each SE block projections of its own")
        planner.keep_inputs(site)
        if known.evidence is not None and wiring is None:  # it did not run in the pass that was looked at
            planner.add(pair_of(site)[1], CallHook(partial(_look_again, known), after=False), before=True)
        if site.parts[2] and (wiring is None or wiring.by_module):
            planner.watch_gate(site)
        elif wiring:
            scopes.setdefault(wiring.scope, []).append((site, wiring))
        if maps and (wiring is None or (wiring.by_module and wiring.takes_input)):
            planner.add(site.path, BeginHook(known, site.name), before=True)
        elif maps and wiring and wiring.by_module:
            viewed.setdefault(wiring.scope, []).append((site, wiring))
    for scope, blocks in scopes.items():
        planner.follow(scope, blocks, acting=True)
    for scope, blocks in viewed.items():
        planner.follow(scope, blocks, acting=False)
    return planner.plan


def _look_again(known: Known, _: Tensor | None) -> None:
    """Let the next forward pass of the model show what the ones before it did not."""
    known.untried = True


@dataclass(frozen=True)
class _Planner:
    model: nn.Module
    known: Known
    plan: HookPlan

    def add(self, path: str, hook: Hook, *, before: bool, always: bool = False) -> None:
        """Plan a hook on the module at a path."""
        if before and not path:
            self.plan.first.append(hook)
            return
        keywords = self.known.evidence is None or path in self.known.evidence.by_keyword
        self.plan.hooks.append(Planned(ref(self.model.get_submodule(path)), hook, before, keywords, always))

    def keep_inputs(self, site: Site) -> None:
        """Keep what goes into the projections."""
        for path, part in zip(pair_of(site), ("squeeze", "hidden"), strict=True):
            self.add(path, KeepHook(self.known, site.name, part, not self._lasts(path, "in")), before=True)

    def _lasts(self, path: str, side: str) -> bool:
        """Return whether a forward pass was seen not to overwrite what goes into a module or comes out of it."""
        return self.known.evidence is not None and (path, side) in self.known.evidence.lasting

    def watch_gate(self, site: Site) -> None:
        """Read and change the scales where they come out of the gate."""
        path = f"{site.path}.{site.parts[2]}".removeprefix(".")
        gate = self.model.get_submodule(path)
        in_place = getattr(gate, "inplace", type(gate) not in (nn.Sigmoid, nn.Tanh))  # then, or perhaps, it overwrites the logits
        if in_place:
            self.add(path, KeepHook(self.known, site.name, "logits", copy=True), before=True)
        copies = not self._lasts(path, "in"), not self._lasts(path, "out")
        self.add(path, GateHook(self.known, site.name, site.spatial, not in_place, *copies), before=False)

    def follow(self, scope: str, blocks: Blocks, *, acting: bool) -> None:
        """Follow the scales of blocks through the forward pass of the module in which they multiply the maps."""
        scope_follower = _ScopeFollower(self.known, blocks, acting)
        self.add(scope, CallHook(scope_follower.begin, after=False), before=True)
        self.add(scope, CallHook(scope_follower.end, after=True), before=False, always=True)
        for site, _ in blocks:
            self.add(pair_of(site)[1], CallHook(partial(scope_follower.start, site), after=True), before=False)
            if site.parts[2]:
                self.add(f"{site.path}.{site.parts[2]}".removeprefix("."), CallHook(scope_follower.pass_gate, after=True), before=False)


@dataclass(frozen=True, eq=False)
class _ScopeFollower:
    """What the hooks around a module do that multiplies maps by the scales of some blocks.

    Attributes:
        acting: whether it reads and changes scales; else it keeps maps alone.
    """

    known: Known
    blocks: Blocks
    acting: bool

    def begin(self, _: Tensor | None) -> None:
        """Begin to follow, where this context records or changes anything."""
        if self.acting and not is_wanted(self.known):
            return
        if self.acting or any(site.name in entry.content.maps for entry in self._records() for site, _ in self.blocks):
            scaling = Scaling(self.blocks, act=partial(act, self.known) if self.acting else None, keep_maps=self._keep_maps)
            scaling.start()
            following().append((self, scaling))

    def end(self, *_: Any) -> None:
        """End it."""
        stack = following()
        if stack and stack[-1][0] is self:
            stack.pop()[1].stop()

    def start(self, site: Site, _: Tensor | None, output: Tensor) -> None:
        """Follow what comes out of the second projection of a block."""
        for scaling in self._mine():
            if self.acting:
                keep(self.known, site.name, "logits", output)
            scaling.begin(pair_of(site)[1], output)

    def pass_gate(self, given: Tensor | None, output: Tensor) -> None:
        """Follow what comes out of a module that is the gate."""
        for scaling in self._mine():
            scaling.pass_gate(given, output)

    def _mine(self) -> list[Scaling]:
        return [scaling for owner, scaling in reversed(following()) if owner is self][:1]

    def _records(self) -> list[Any]:
        return [entry for entry in records.get() if entry.subject is self.known]

    def _keep_maps(self, site: str, maps: Tensor) -> None:
        for entry in self._records():
            if site in entry.content.maps:
                entry.content.keep(site, "maps", maps)
