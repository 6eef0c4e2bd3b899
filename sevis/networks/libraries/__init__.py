"""The libraries whose networks are known by name: timm, torchvision and sevis itself, a file each with the same methods."""

from collections.abc import Mapping

from sevis.architecture import Architecture
from sevis.errors import SevisError
from sevis.extras import is_installed, require
from sevis.networks.libraries.library import LibraryNetwork
from sevis.networks.libraries.sevis_library import SevisNetwork
from sevis.networks.libraries.timm_library import TimmNetwork
from sevis.networks.libraries.torchvision_library import TorchvisionNetwork

LIBRARIES: Mapping[str, type[LibraryNetwork]] = {"timm": TimmNetwork, "torchvision": TorchvisionNetwork, "sevis": SevisNetwork}


def find(name: str) -> LibraryNetwork | None:
    """Return the network of that name in the first library that has it, or None; `timm/NAME` asks one library only.

    Raises:
        SevisError: for a tag that the library does not have, with those that it has, and for a named library that is not installed.
    """
    library, _, rest = name.partition("/")
    if library in LIBRARIES:
        _require(library, rest)
        return LIBRARIES[library].find(rest)
    return next((network for kind in _installed() if (network := kind.find(name))), None)


def read(architecture: Architecture) -> LibraryNetwork:
    """Return the network that a card or a recipe names.

    Raises:
        SevisError: for a library that is not known or not installed, and a network that timm or torchvision does not have.
    """
    library = architecture.library or "sevis"
    if library not in LIBRARIES:
        raise SevisError(f"index.json names a library {library!r}; expected one of {', '.join(LIBRARIES)}: repair the entry")
    _require(library, architecture.name)
    return LIBRARIES[library].read(architecture)


def list_names() -> list[str]:
    """Return the names of all architectures that can be built here, each once, without those of their weights."""
    return list(dict.fromkeys(name for kind in _installed() for name in kind.list_names()))


def missing() -> tuple[str, ...]:
    """Return the libraries that are not installed."""
    return tuple(name for name in LIBRARIES if name != "sevis" and not is_installed(name))


def _installed() -> list[type[LibraryNetwork]]:
    return [kind for name, kind in LIBRARIES.items() if name not in missing()]


def _require(library: str, name: str) -> None:
    if library != "sevis":
        require(library, f"the network {name}")
