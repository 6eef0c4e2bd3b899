"""Interventions as data: steps with a text form for links, such as `SE_4_6:open;SE_5_3[3,17]:0;SE:class=goldfish`, and how to apply them.

A step is WHERE:WHAT. WHERE is a block (SE_5_3), a stage (SE_5) or every block (SE), and may name channels: SE_5_3[3,17-20]. WHAT is a
number (s is set to it), `open` (s = 1), xNUMBER (s is multiplied), `static` (s is replaced by its mean over images), `class=NAME` (by
the mean over a class) or `photo=NAME` (by the scales of another photo). Reading and writing the text imports no torch.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, unquote

import numpy as np
from numpy.typing import NDArray

from sevis.errors import SevisError

if TYPE_CHECKING:
    from sevis.blocks.changes import Change
    from sevis.class_statistics.class_statistics import ClassStatistics
    from sevis.experiments.explanation import Explanation
    from sevis.weights.loading import ReadyModel

Action = Literal["set", "multiply", "static", "class", "photo"]
Gates = Mapping[str, NDArray[np.floating]]
GRAMMAR = "expected WHERE:WHAT such as SE_4_6:open, SE_5:x0.5, SE_5_3[3,17]:0, SE:static, SE_4_6:class=NAME or SE_4:photo=NAME"
MAX_TEXT = 10_000  # characters: links are shorter
MAX_STEPS = 100
MAX_CHANNEL = 65535
LARGEST = float(np.finfo(np.float32).max)

_WHERE = re.compile(r"(SE(?:_\w+)?)\s*(?:\[([^\]]*)\])?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(inf(inity)?|nan)", re.ASCII | re.IGNORECASE)
_ESCAPED = re.compile(r"[%;\x00-\x1f\x7f]|^\s|\s\Z")  # what would end a name or get lost at its ends


@dataclass(frozen=True)
class Intervention:
    """One change of the scales s.

    Attributes:
        where: a block (SE_5_3), a stage (SE_5), or SE: every block.
        action: what happens to s there; the steps after it see the result.
        value: the number to set or to multiply by.
        name: the class or the photo.
        channels: only these; None: all.

    Raises:
        SevisError: for a value that is missing or not finite, a missing name, channels that are negative or come twice.
    """

    where: str
    action: Action
    value: float | None = None
    name: str | None = None
    channels: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"SE(_\w+)?", self.where, re.ASCII):
            raise SevisError(f"expected a block (SE_5_3), a stage (SE_5) or SE for every block, got {self.where!r:.120}")
        if self.action not in ("set", "multiply", "static", "class", "photo"):
            raise SevisError(f"expected one of set, multiply, static, class and photo, got {self.action!r}")
        number, named = self.action in ("set", "multiply"), self.action in ("class", "photo")
        if (self.value is not None) != number or bool(self.name) != named or (self.name is not None) != named:
            wanted = "a value" if number else "a name" if named else "neither value nor name"
            raise SevisError(f"expected {wanted} to {self.action} the scales of {self.where}, got {self.value!r} and {self.name!r}")
        if self.value is not None and not (isinstance(self.value, int | float) and abs(self.value) <= LARGEST):  # not of NaN either
            raise SevisError(f"expected a finite number for the scales of {self.where}, got {self.value}")
        if self.channels is not None:
            self._check_channels(self.channels)

    def _check_channels(self, channels: tuple[int, ...]) -> None:
        if not all(type(channel) is int for channel in channels):
            raise SevisError(f"expected channels of {self.where} as whole numbers, got {channels!r:.120}")
        if not channels or min(channels) < 0 or max(channels) > MAX_CHANNEL or len(set(channels)) != len(channels):
            raise SevisError(
                f"expected channels of {self.where} from 0 to {MAX_CHANNEL}, each once, got {_write_channels(channels) or 'none'}"
            )

    def __str__(self) -> str:
        """Return the step as text, which `parse_steps` reads."""
        channels = "" if self.channels is None else f"[{_write_channels(self.channels)}]"
        return f"{self.where}{channels}:{self._what()}"

    def _what(self) -> str:
        if self.action == "set":
            return "open" if self.value == 1 else _write_number(self.value or 0.0)
        if self.action == "multiply":
            return f"x{_write_number(self.value or 0.0)}"
        if self.name is None:
            return self.action
        return f"{self.action}={_ESCAPED.sub(lambda found: quote(found[0]), self.name)}"


@dataclass(frozen=True)
class Sources:
    """Where the steps take their scales from.

    Attributes:
        statistics: the classes' means.
        photos: other photos' explanations by the name that a step calls them.
        static: the mean scales by block, shape (C,), for `static`; None takes those of the statistics.
    """

    statistics: "ClassStatistics | None" = None
    photos: Mapping[str, "Explanation"] = field(default_factory=dict)
    static: Gates | None = None

    def gates(self, step: Intervention, weights: str) -> Gates:
        """Return the scales that a step asks for, by block, shape (C,).

        Args:
            step: with the action static, class or photo.
            weights: the SHA-256 of the weights that they must belong to.

        Raises:
            SevisError: when they are not at hand, or belong to other weights.
        """
        if step.action == "photo":
            return self._photo(step, weights)
        if step.action == "static" and self.static is not None:
            return self.static
        if self.statistics is None:
            raise SevisError(f"{step} needs class statistics of this network, but there are none: make them with python -m sevis collect")
        return self.statistics.gates(step.name, weights=weights)

    def _photo(self, step: Intervention, weights: str) -> Gates:
        other = self.photos.get(step.name or "")
        if other is None:
            known = ", ".join(map(repr, self.photos)) or "none"
            raise SevisError(f"{step} needs the scales of the photo {step.name!r}, but only these are here: {known}")
        if other.weights != weights:
            raise SevisError(
                f"the scales of the photo {step.name!r} belong to weights {other.weights[:12]} of {other.model}, not to {weights[:12]}: "
                "explain it with this network"
            )
        return other.scale


def parse_steps(text: str) -> tuple[Intervention, ...]:
    """Read what `format_steps` wrote. Raises SevisError that names the step that cannot be read; none is left out."""
    if len(text) > MAX_TEXT:
        raise SevisError(f"expected at most {MAX_TEXT} characters of steps, got {len(text)}")
    if not (text := text.strip().removesuffix(";")).strip():
        return ()
    parts = text.split(";")
    if len(parts) > MAX_STEPS:
        raise SevisError(f"expected at most {MAX_STEPS} steps, got {len(parts)}")
    return tuple(_parse_step(number, part.strip()) for number, part in enumerate(parts, start=1))


def format_steps(steps: Sequence[Intervention]) -> str:
    """Return the steps as one line of text, which fits into a link; `parse_steps` gives them back."""
    return ";".join(map(str, steps))


def parse_channels(text: str) -> tuple[int, ...]:
    """Read channels such as `3, 17-20`. Raises SevisError for anything else."""
    channels: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", part.strip(), re.ASCII)
        if not found:
            raise SevisError(f"expected channels such as 3,17-20, got {text!r:.120}")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first or last > MAX_CHANNEL:
            raise SevisError(f"expected a range of channels up to {MAX_CHANNEL} that rises, got {part.strip()!r}")
        channels += range(first, last + 1)
        if len(channels) > MAX_CHANNEL + 1:
            raise SevisError(f"expected each channel at most once, got {text!r:.120}")
    return tuple(channels)


def _parse_step(number: int, text: str) -> Intervention:
    where, colon, what = text.partition(":")
    found = _WHERE.fullmatch(where.strip())
    try:
        if not (found and colon):
            raise SevisError(GRAMMAR)
        channels = None if found[2] is None else parse_channels(found[2])
        return _read_what(found[1], what.strip(), channels)
    except SevisError as error:
        raise SevisError(f"step {number}, {text!r:.120}, cannot be read: {error}") from None


def _read_what(where: str, what: str, channels: tuple[int, ...] | None) -> Intervention:
    action, equals, name = what.partition("=")
    if equals and action in ("class", "photo"):
        return Intervention(where, "class" if action == "class" else "photo", name=_read_name(name), channels=channels)
    if what == "static":
        return Intervention(where, "static", channels=channels)
    if what == "open":
        return Intervention(where, "set", 1.0, channels=channels)
    number = what.removeprefix("x")
    if not _NUMBER.fullmatch(number):
        raise SevisError(GRAMMAR)
    return Intervention(where, "set" if number == what else "multiply", float(number), channels=channels)


def _read_name(text: str) -> str:
    try:
        if re.search(r"%(?![0-9A-Fa-f]{2})", text):
            raise ValueError
        return unquote(text, errors="strict")
    except ValueError:
        raise SevisError(
            f"the name {text!r:.120} is damaged: expected two hexadecimal digits after each % (%25 is the sign itself)"
        ) from None


def _write_channels(channels: Sequence[int]) -> str:
    """Return channels in their order, runs of them as ranges."""
    breaks = [0, *(index for index, (left, right) in enumerate(pairwise(channels), start=1) if right != left + 1), len(channels)]
    runs = [(channels[start], channels[end - 1]) for start, end in pairwise(breaks) if end > start]
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _write_number(value: float) -> str:
    return repr(float(value)).removesuffix(".0")


@contextmanager
def intervene(ready: "ReadyModel", steps: Sequence[Intervention], sources: Sources | None = None) -> Iterator[None]:
    """Apply the steps, one after the other, while the body runs the model; see `sevis.override`, which does the work.

    Raises:
        SevisError: for a block, a stage or a channel that the model does not have, or scales that are not at hand, belong to other
            weights or do not fit.
    """
    from sevis.blocks.hooks import override
    from sevis.experiments.ready import require_whole

    require_whole(ready)
    with ExitStack() as stack:
        for step in steps:
            stack.enter_context(override(ready.model, _changes(ready, step, sources or Sources())))
        yield


def _changes(ready: "ReadyModel", step: Intervention, sources: Sources) -> dict[str, "Change"]:
    """Return what `override` takes, by address."""
    from sevis.blocks.changes import Change, addressed
    from sevis.blocks.sites import require_sites

    if step.value is not None:
        return {step.where: Change(step.value, multiply=step.action == "multiply", channels=step.channels)}
    blocks = addressed(step.where, require_sites(ready.model))
    gates = sources.gates(step, ready.card.sha256)
    return {block.name: Change(_pick(step, block.name, gates, block.channels), channels=step.channels) for block in blocks}


def _pick(step: Intervention, block: str, gates: Gates, width: int) -> NDArray[np.floating]:
    """Return the scales for one block: those of the step's channels, or all."""
    shape = gates[block].shape if block in gates else None
    if shape != (width,):
        raise SevisError(f"{step} needs scales of shape ({width},) for {block}, got {shape or 'none'}")
    if step.channels is None:
        return gates[block]
    if max(step.channels) >= width:
        raise SevisError(f"{block} has the channels 0 to {width - 1}, got {max(step.channels)}")
    return gates[block][list(step.channels)]
