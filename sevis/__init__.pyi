from .ablations.results import read_ablations as read_ablations
from .analysis.audit import Audit as Audit
from .analysis.depth import depth_profile as depth_profile
from .analysis.statements import judge as judge
from .blocks.block import SqueezeExcitation as SqueezeExcitation
from .blocks.changes import Change as Change
from .blocks.hooks import capture as capture
from .blocks.hooks import override as override
from .blocks.sites import find_sites as find_sites
from .class_statistics.class_statistics import ClassStatistics as ClassStatistics
from .errors import SevisError as SevisError
from .experiments.audit import audit as audit
from .experiments.collection import collect as collect
from .experiments.collection import collect_dataset as collect_dataset
from .experiments.explanation import Explanation as Explanation
from .experiments.explanation import explain as explain
from .experiments.interventions import intervene as intervene
from .experiments.interventions import parse_steps as parse_steps
from .experiments.sensitivity import ablate_channels as ablate_channels
from .experiments.sensitivity import measure_sensitivity as measure_sensitivity
from .networks import build as build
from .networks import list_models as list_models
from .networks.costs import measure_cost as measure_cost
from .networks.grafting import graft as graft
from .weights.card import list_pretrained as list_pretrained
from .weights.loading import load as load

__version__: str
