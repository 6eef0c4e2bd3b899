"""The libraries whose networks are known by name: timm, torchvision and sevis itself, a file each with the same methods."""

from collections.abc import Mapping

from sevis.architecture import Architecture
from sevis.errors import SevisError
from sevis.networks.libraries.library import LibraryNetwork
from sevis.networks.libraries.sevis_library import SevisNetwork
from sevis.networks.libraries.timm_library import TimmNetwork
from sevis.networks.libraries.torchvision_library import TorchvisionNetwork

LIBRARIES: Mapping[str, type[LibraryNetwork]] = {"timm": TimmNetwork, "torchvision": TorchvisionNetwork, "sevis": SevisNetwork}


def find(name: str) -> LibraryNetwork | None:
    """Return the network of that name in the first library that has it, or None; `timm/NAME` asks one library only.

    Raises:
        SevisError: for a tag that the library does not have, with those that it has.
    """
    library, _, rest = name.partition("/")
    if library in LIBRARIES:
        return LIBRARIES[library].find(rest)
    return next((network for kind in LIBRARIES.values() if (network := kind.find(name))), None)


def read(architecture: Architecture) -> LibraryNetwork:
    """Return the network that a card or a recipe names.

    Raises:
        SevisError: for a library that is not known, and a network that timm or torchvision does not have.
    """
    library = architecture.library or "sevis"
    if library not in LIBRARIES:
        raise SevisError(f"index.json names a library {library!r}; expected one of {', '.join(LIBRARIES)}: repair the entry")
    return LIBRARIES[library].read(architecture)


def list_names() -> list[str]:
    """Return the names of all architectures, each once, without those of their weights."""
    return list(dict.fromkeys(name for kind in LIBRARIES.values() for name in kind.list_names()))
