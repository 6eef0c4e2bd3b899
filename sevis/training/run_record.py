"""The record of one finished training run, as JSON: what it was told, how it went, what came of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from sevis.errors import SevisError


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run.

    Attributes:
        recipe: all fields of its `sevis.recipe.Recipe`.
        data: `name`, `classes` (their ids), `train_images` and `val_images`.
        rows: of its log, one an epoch, as `sevis.training.train` returns them.
        top1, top5: of the final weights on the validation images, as fractions.
        gates: what `sevis.evaluation.measure_gates` says of the final weights; None for a network without SE blocks.
        parameters: of the network.
        seconds: that the training took, without what was measured afterwards.
        device, torch, date: where, with what and when (an ISO date).
    """

    recipe: Mapping[str, Any]
    data: Mapping[str, Any]
    rows: tuple[Mapping[str, float], ...]
    top1: float
    top5: float
    gates: Mapping[str, Any] | None
    parameters: int
    seconds: float
    device: str
    torch: str
    date: str

    def as_json(self) -> dict[str, Any]:
        """Return a dictionary of plain values, for `json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Any) -> "Run":
        """Return the record that `as_json` gave. Raises SevisError for one that lacks a field or holds another kind of value there."""
        kinds = {"recipe": dict, "data": dict, "rows": list, "gates": dict | None, "device": str, "torch": str, "date": str}
        numbers = {"top1", "top5", "seconds", "parameters"}
        expected = {entry.name: kinds.get(entry.name, int | float) for entry in fields(cls)}
        wrong = [name for name, kind in expected.items() if not isinstance(values, dict) or not isinstance(values.get(name), kind)]
        wrong += [name for name in numbers - {*wrong} if not 0 <= values[name] < float("inf")]
        if wrong:
            raise SevisError(f"expected the record of a training run, got one whose {wrong[0]} is missing or damaged: make it again")
        return cls(**{name: values[name] for name in expected} | {"rows": tuple(values["rows"])})
