"""Which network it is, and what it is built with: as a card, a recipe and a file of weights say it."""

from typing import Any

import msgspec


class Architecture(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A network, without its weights. An option that is not known is refused: the network could not be built without it.

    Attributes:
        name: of `sevis.build`, or of the library.
        library: timm or torchvision; None: sevis itself.
        num_classes: how many outputs it has; None: as many as the library, or `sevis.build`, gives it.
        width, stem, reduction, placement, squeeze, gate, bias, stages: as `sevis.build` takes them; None is its default.
    """

    library: str | None = None
    name: str
    num_classes: int | None = None
    width: float | None = None
    stem: str | None = None
    reduction: int | None = None
    placement: str | None = None
    squeeze: str | None = None
    gate: str | None = None
    bias: bool | None = None
    stages: tuple[int, ...] | None = None

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that `sevis.build` makes this network with."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None and name != "library"}
