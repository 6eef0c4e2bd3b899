"""Depth profiles in files: measured once, from statistics that are still full, and shown wherever their compact file is.

A file is JSON. It names the statistics that it was measured on, and the measures; a profile of other statistics, or of measures that have
changed since, is not used. A file may come from a stranger, so all of it is checked.
"""

import hashlib
from math import nan
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from sevis.analysis.dead_gates import CAUSES
from sevis.analysis.depth import Curve, DepthProfile
from sevis.analysis.depth_measures import MEASURES, VERSION, Measure
from sevis.analysis.intervals import LEVEL
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.errors import UNREADABLE, SevisError, one_line
from sevis.files import replace_file
from sevis.settings import VERSION as SEVIS

FORMAT = "sevis-depth-profile-2"
LARGEST = 10**7  # bytes: 1,000 blocks take about 1.5 MB
AGAIN = "make it again with python -m sevis collect --compact"
COPIED = ("sites", "images", "classes", "per_class", "level", "permutations", "seed")  # as they are
Number = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]
Numbers = tuple[Number | None, ...]  # one for each block; None where a number is not known
Chance = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
Draws = Annotated[int, msgspec.Meta(ge=0, le=10**6)]
ROUNDING = 1e-6  # by so much a share may lie beyond 0 or 1


class SavedCurve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `Curve` as its file holds it."""

    estimate: Numbers
    low: Numbers
    high: Numbers
    null: Numbers | None = None
    low_over_classes: Numbers | None = None
    high_over_classes: Numbers | None = None


class SavedProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A `DepthProfile` as its file holds it, and where it comes from.

    Attributes:
        format: FORMAT.
        sevis: the version that measured it.
        measured_with: the fingerprint of the measures.
        statistics: the `identity` of the statistics that it was measured on.
        model, weights: the name of the network and the SHA-256 of its weights, as far as the statistics name them.
        curves: by the names of the measures.
    """

    format: str
    sevis: str
    measured_with: str
    statistics: str
    model: str | None = None
    weights: str | None = None
    sites: tuple[str, ...]
    curves: dict[str, SavedCurve]
    images: Count
    classes: Count
    per_class: Count
    p_values: tuple[Chance | None, ...]
    dead: dict[str, str]
    untrained: Numbers | None = None
    level: float
    permutations: Draws
    seed: int


def profile_path(statistics: Path) -> Path:
    """Return where the depth profile of a file of statistics lies: beside it, as NAME.profile.json."""
    return statistics.with_name(f"{statistics.name.removesuffix('.safetensors').removesuffix('.statistics')}.profile.json")


def fingerprint(measures: tuple[Measure, ...] = MEASURES) -> str:
    """Return a hash of what is measured: the measures' names, nulls and ranges, and the version of their formulas."""
    told = [VERSION, [(measure.name, measure.null, measure.range) for measure in measures]]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def save_profile(profile: DepthProfile, statistics: ClassStatistics, path: str | Path) -> None:
    """Write a depth profile of these statistics as JSON, as a whole or not at all.

    Raises:
        SevisError: for a profile that is not complete, or of other blocks or measures, and a full disk.
    """
    of_these = profile.sites == statistics.sites and profile.images == statistics.count.sum()
    if profile.done < 1 or not of_these or tuple(profile.measures) != MEASURES:
        raise SevisError("expected a complete depth profile of these statistics and of all measures: make it with sevis.depth_profile")
    model, weights = (statistics.metadata.get(name) for name in ("model", "weights"))
    saved = SavedProfile(
        format=FORMAT,
        sevis=SEVIS,
        measured_with=fingerprint(),
        statistics=statistics.identity,
        model=None if model is None else str(model),
        weights=None if weights is None else str(weights),
        curves={name: _saved(curve) for name, curve in profile.curves.items()},
        p_values=_known(profile.p_values),
        dead=dict(profile.dead),
        untrained=None if profile.untrained is None else _known(profile.untrained),
        **{name: getattr(profile, name) for name in COPIED},
    )
    replace_file(Path(path), msgspec.json.format(msgspec.json.encode(saved), indent=1) + b"\n")


def load_profile(path: str | Path, statistics: ClassStatistics) -> DepthProfile:
    """Read the depth profile of these statistics.

    Raises:
        SevisError: for a file that is missing or damaged, of other statistics, or of measures that sevis no longer has.
    """
    path = Path(path)
    saved = _read(path)
    if saved.statistics != statistics.identity or saved.sites != statistics.sites:
        raise SevisError(f"{path} is the depth profile of other statistics ({_short(saved.model or 'unnamed')}): {AGAIN}")
    if saved.measured_with != fingerprint():
        raise SevisError(f"{path} is outdated, because its measures have changed since sevis {_short(saved.sevis)}: {AGAIN}")
    if fault := _fault(saved, statistics):
        raise SevisError(f"{path} is damaged ({fault}): {AGAIN}")
    return DepthProfile(
        curves={measure.name: _curve(saved.curves[measure.name]) for measure in MEASURES},
        p_values=_numbers(saved.p_values),
        dead=saved.dead,
        untrained=None if saved.untrained is None else _numbers(saved.untrained),
        measured=len(saved.sites),
        saved=True,
        compacted=statistics.compact,
        **{name: getattr(saved, name) for name in COPIED},
    )


def known_profile(statistics: ClassStatistics) -> DepthProfile | None:
    """Return the depth profile that lies beside the file of these statistics; None where there is none that can be used."""
    path = statistics.path and profile_path(statistics.path)
    if path is None or not path.is_file():
        return None
    try:
        return load_profile(path, statistics)
    except SevisError:
        return None


def _read(path: Path) -> SavedProfile:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise SevisError(f"more than {LARGEST:,} bytes")
        saved = msgspec.json.decode(data, type=SavedProfile)
    except FileNotFoundError:
        raise SevisError(f"there is no depth profile at {path}: {AGAIN}") from None
    except (OSError, *UNREADABLE) as error:
        raise SevisError(f"{path} is damaged ({one_line(error)}): {AGAIN}") from None
    if saved.format != FORMAT:
        raise SevisError(f"{path} holds {_short(saved.format)!r}, expected {FORMAT!r}; a newer sevis may open it")
    return saved


def _fault(saved: SavedProfile, statistics: ClassStatistics) -> str | None:
    """Return what in a profile cannot be true of its statistics, or of any; None where all of it can."""
    counts = statistics.count
    if (saved.images, saved.classes) != (int(counts.sum()), int(np.count_nonzero(counts))) or saved.per_class > counts.max(initial=0):
        return "its images and classes are not those of the statistics"
    parts = [getattr(curve, name) or saved.sites for curve in saved.curves.values() for name in SavedCurve.__struct_fields__]
    lengths = {len(part) for part in (*parts, saved.p_values, saved.untrained or saved.sites)}
    if lengths != {len(saved.sites)} or set(saved.curves) != {measure.name for measure in MEASURES}:
        return "its curves do not fit its blocks and measures"
    if saved.untrained and not all(part is None or -1 <= part <= 1 for part in saved.untrained):
        return "its class share before any training cannot be"
    for measure in MEASURES:
        if not _possible(saved.curves[measure.name], measure, sampled=saved.per_class > 0):
            return f"the curve of {measure.name} cannot be"
    if saved.level != LEVEL or not (set(saved.dead) <= set(saved.sites) and set(saved.dead.values()) <= set(CAUSES)):
        return "its level or its dead blocks cannot be"
    return None


def _possible(saved: SavedCurve, measure: Measure, *, sampled: bool) -> bool:
    """Return whether a measure can have such values: within its range and its intervals, and with a null just where it has one."""
    curve = _curve(saved)
    unknown = np.full(len(curve.estimate), nan)
    others = [unknown if ends is None else ends for ends in (curve.low_over_classes, curve.high_over_classes)]
    values = np.concatenate([curve.estimate, curve.low, curve.high, *others])
    least, most = measure.range[0] - ROUNDING, measure.range[1] + ROUNDING
    inside = np.isnan(values) | ((values >= least) & (values <= most))
    ordered = np.isnan(others[0]) & np.isnan(others[1]) | (others[0] <= others[1] + ROUNDING)
    no_interval = np.isnan(curve.low) & np.isnan(curve.high)
    around = (curve.low <= curve.estimate + ROUNDING) & (curve.estimate <= curve.high + ROUNDING)
    has_null = bool(measure.chance) or measure.guessed
    told = curve.null is not None or not (sampled and has_null and not np.isnan(curve.estimate).all())
    return bool(np.all(inside) and np.all(no_interval | around) and np.all(ordered) and told and (has_null or curve.null is None))


def _short(text: str) -> str:
    """Return a stranger's text for a message: one line of at most 40 characters."""
    return " ".join(text.split())[:40]


def _known(values: NDArray[np.floating]) -> Numbers:
    return tuple(None if np.isnan(value) else value for value in values.tolist())


def _numbers(known: Numbers) -> NDArray[np.floating]:
    return np.array([nan if value is None else value for value in known])


def _saved(curve: Curve) -> SavedCurve:
    parts = {name: None if part is None else _known(part) for name, part in vars(curve).items()}
    return msgspec.convert(parts, SavedCurve)


def _curve(saved: SavedCurve) -> Curve:
    others = (saved.null, saved.low_over_classes, saved.high_over_classes)
    read = (None if part is None else _numbers(part) for part in others)
    return Curve(_numbers(saved.estimate), _numbers(saved.low), _numbers(saved.high), *read)
