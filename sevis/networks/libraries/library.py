"""What every library tells of a network of its own: how to build it, what it is fed, and where its trained weights lie.

timm and torchvision take seconds to import, so every method imports what it needs when it runs.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self
from urllib.parse import urlsplit

import msgspec

from sevis.architecture import Architecture
from sevis.data.preprocessing import Preprocessing
from sevis.errors import SevisError

if TYPE_CHECKING:
    from torch import Tensor, nn

HUB_FILES = ("model.safetensors", "pytorch_model.bin")  # of a repository at Hugging Face, in timm's order


@dataclass(frozen=True)
class PublishedWeights:
    """Where the trained weights of one network are published.

    Attributes:
        name: the network's, for messages.
        address: of the file.
        repository: at Hugging Face, empty where it is not there; downloads from there go to its own cache.
    """

    name: str
    address: str
    repository: str = ""

    @property
    def path(self) -> Path:
        """Where the file lies when it is downloaded from `address`, or was put there by hand: in PyTorch's cache."""
        import torch

        file = Path(urlsplit(self.address).path)
        return Path(torch.hub.get_dir()) / "checkpoints" / (f"{self.name}{file.suffix}" if self.repository else file.name)


@dataclass(frozen=True)
class LibraryNetwork(ABC):
    """A network of a library.

    Attributes:
        architecture: which, and what it is built with.
    """

    library: ClassVar[str | None]  # as an Architecture names it
    converts: ClassVar[bool] = False  # whether `convert` understands files with the names of older versions, or of other projects
    architecture: Architecture

    @property
    def name(self) -> str:
        """Return the library's name, and after a dot the tag of the weights, where it knows some: seresnet50.ra2_in1k."""
        return self.architecture.name

    @classmethod
    def named(cls, name: str, *, num_classes: int | None = None) -> Self:
        """Return the network of that name, which the library is known to have, with so many outputs; None: as many as it has there."""
        return cls(Architecture(library=cls.library, name=name, num_classes=num_classes))

    @classmethod
    @abstractmethod
    def find(cls, name: str) -> Self | None:
        """Return the library's network of that name. Raises SevisError for a tag that it does not have, with those that it has."""

    @staticmethod
    @abstractmethod
    def list_names() -> list[str]:
        """Return the names of the library's architectures, without tags."""

    @classmethod
    def read(cls, architecture: Architecture) -> Self:
        """Return the network that a card names. Raises SevisError where the library has none of that name."""
        found = cls.find(architecture.name)
        if found is None:
            raise SevisError(f"index.json names a network {architecture.name!r} of {cls.library}, which does not have it: repair the entry")
        return cls(msgspec.structs.replace(architecture, name=found.name))

    def with_outputs(self, num_classes: int) -> Self:
        """Return the same network with so many outputs."""
        return type(self)(msgspec.structs.replace(self.architecture, num_classes=num_classes))

    @abstractmethod
    def build(self) -> "nn.Module":
        """Build the network with fresh weights. Raises SevisError for one without a classifier."""

    def convert(self, state: "dict[str, Tensor]") -> "nn.Module":
        """Build the network with weights as the library publishes them; raises whatever the library raises where they do not fit."""
        model = self.build()
        model.load_state_dict(state)
        return model

    def on_meta(self) -> "nn.Module":
        """Return the network without any memory for its weights, where its library can do that: for its blocks and shapes."""
        import torch

        from sevis.networks.initialisation import building

        with building(), torch.device("meta"):
            return self.build()

    def count_parameters(self) -> int:
        """Count the parameters without the memory for them."""
        return sum(parameter.numel() for parameter in self.on_meta().parameters())

    @abstractmethod
    def outputs(self, model: "nn.Module") -> int:
        """Return how many outputs `model` has, which this network built without `num_classes`."""

    @abstractmethod
    def preprocessing(self) -> Preprocessing:
        """Return how a picture is prepared for these weights when they are evaluated. Raises SevisError where sevis cannot do that."""

    @abstractmethod
    def published(self) -> PublishedWeights:
        """Return where the trained weights are. Raises SevisError where the library knows none."""
