"""Audits of networks that nobody ran: from what was lost and won where blocks are frozen."""

from collections.abc import Mapping
from typing import Any

import msgspec

from sevis.analysis.audit import Audit, AuditProvenance, Outcome, ParameterCounts


def audit_of(frozen: Mapping[str, tuple[int, int]], *, images: int, correct: int, **known: Any) -> Audit:
    """An audit in which so many images are lost and won at each address where it is frozen; on lower rungs, more are lost.

    `frozen` has the blocks, then the last stage, then SE; `known` goes to the metadata.
    """
    outcomes, steps = {}, {}
    for address, (lost, won) in frozen.items():
        more = min(images // 10, correct - lost - 3)
        part = {
            "open": Outcome(images, correct, lost + more, won),
            "level": Outcome(images, correct, lost + more // 2, won),
            "frozen": Outcome(images, correct, lost, won),
            "shuffled": Outcome(images, correct, lost + more // 5, won),
        }
        outcomes[address] = part
        steps[address] = {
            "level": Outcome(images, part["open"].right, 2, more - more // 2 + 2),
            "pattern": Outcome(images, part["level"].right, 1, more // 2 + 1),
            "answer": part["frozen"].reverse,
        }
    metadata = msgspec.convert({"model": "small", "data": "photos", "classes": 5, "seed": 0, "date": "2026-11-23"} | known, AuditProvenance)
    parameters = ParameterCounts(network=1100, se=100, se_last_stage=70)
    return Audit(outcomes=outcomes, steps=steps, parameters=parameters, metadata=metadata)
