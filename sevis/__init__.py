"""sevis opens up Squeeze-and-Excitation networks: see, image by image and class by class, which channels they turn down."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sevis.ablations import read_ablations as read_ablations
    from sevis.auditing import audit as audit
    from sevis.audits import Audit as Audit
    from sevis.blocks import SqueezeExcitation as SqueezeExcitation
    from sevis.changes import Change as Change
    from sevis.class_statistics import ClassStatistics as ClassStatistics
    from sevis.collection import collect as collect
    from sevis.collection import collect_dataset as collect_dataset
    from sevis.costs import measure_cost as measure_cost
    from sevis.errors import SevisError as SevisError
    from sevis.explanation import Explanation as Explanation
    from sevis.explanation import explain as explain
    from sevis.hooks import capture as capture
    from sevis.hooks import override as override
    from sevis.interventions import intervene as intervene
    from sevis.interventions import parse_steps as parse_steps
    from sevis.networks import build as build
    from sevis.networks import list_models as list_models
    from sevis.networks.grafting import graft as graft
    from sevis.profiles import depth_profile as depth_profile
    from sevis.sensitivity import ablate_channels as ablate_channels
    from sevis.sensitivity import measure_sensitivity as measure_sensitivity
    from sevis.sites import find_sites as find_sites
    from sevis.statements import judge as judge
    from sevis.weights import list_pretrained as list_pretrained
    from sevis.weights import load as load

__version__ = "0.1.0"

# Each name is imported on first use: the app draws its first page from arrays while torch, two seconds of import, loads beside it.
_HOMES = {
    "Audit": "audits",
    "Change": "changes",
    "ClassStatistics": "class_statistics",
    "Explanation": "explanation",
    "SevisError": "errors",
    "SqueezeExcitation": "blocks",
    "ablate_channels": "sensitivity",
    "audit": "auditing",
    "build": "networks",
    "capture": "hooks",
    "collect": "collection",
    "collect_dataset": "collection",
    "depth_profile": "profiles",
    "explain": "explanation",
    "find_sites": "sites",
    "graft": "networks.grafting",
    "intervene": "interventions",
    "judge": "statements",
    "list_models": "networks",
    "list_pretrained": "weights",
    "load": "weights",
    "measure_cost": "costs",
    "measure_sensitivity": "sensitivity",
    "override": "hooks",
    "parse_steps": "interventions",
    "read_ablations": "ablations",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605  (a list, but not a literal one)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sevis' has no attribute {name!r}")
    return getattr(import_module(f"sevis.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
