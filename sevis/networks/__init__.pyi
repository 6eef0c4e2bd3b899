from .libraries.sevis_library import GATED as GATED
from .libraries.sevis_library import PLAIN as PLAIN
from .libraries.sevis_library import build as build
from .libraries.sevis_library import input_size as input_size
from .libraries.sevis_library import list_models as list_models
from .libraries.sevis_library import plain_twin as plain_twin
