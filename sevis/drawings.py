"""How a unit of a network is put together, read off the network itself: for drawings such as the paper's Figures 2, 3 and 5."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

KINDS = ("input", "convolution", "activation", "pool", "sum", "concat", "product", "squeeze", "projection", "gate", "other")


@dataclass(frozen=True)
class Step:
    """One operation.

    Attributes:
        label: what it does, such as `3 × 3 conv, 64`.
        notes: what is done right after it, or how: `BN · ReLU`, `stride 2`; empty for nothing.
        shape: of its output, as the paper writes it: C × H × W.
        kind: one of KINDS.
        gated: whether it belongs to an SE block.
    """

    label: str
    notes: str
    shape: str
    kind: str
    gated: bool = False

    @property
    def detail(self) -> str:
        """The notes and the shape, for a second line."""
        return " · ".join(filter(None, [self.notes, self.shape]))


@dataclass(frozen=True)
class Drawing:
    """The operations of a unit in an order in which they can run.

    Attributes:
        title: the unit's name, or its path.
        steps: the first is the input.
        arrows: from which step to which, by their positions; each points forward.
    """

    title: str
    steps: tuple[Step, ...]
    arrows: tuple[tuple[int, int], ...]


def draw_unit(model: "nn.Module", unit: str, *, size: tuple[int, int, int] = (3, 224, 224)) -> Drawing:
    """Reads a unit off a network, without computing anything.

    Args:
        model: the network; it stays as it is.
        unit: the name of one of `find_units`, such as SE_4_6, or the path of any module.
        size: channels, height and width of an image that the network takes.

    Raises:
        SevisError: for a unit that the network does not have, that does not run, or whose way depends on what it computes.
    """
    from sevis.tracing import trace_unit

    return trace_unit(model, unit, size)
