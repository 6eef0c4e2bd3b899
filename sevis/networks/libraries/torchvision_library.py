"""torchvision: its classifiers by name, what they are fed, and where their weights are."""

from typing import TYPE_CHECKING, Any, Self

from sevis.data.preprocessing import Preprocessing
from sevis.errors import SevisError
from sevis.networks.libraries.library import LibraryNetwork, PublishedWeights

if TYPE_CHECKING:
    from torch import nn

IMAGENET = 1000  # classes of the challenge: all of torchvision's classifiers have them


class TorchvisionNetwork(LibraryNetwork):
    """A classifier of torchvision."""

    library = "torchvision"

    @classmethod
    def find(cls, name: str) -> Self | None:
        import torchvision

        architecture, _, tag = name.partition(".")
        if architecture not in cls.list_names():
            return None
        weights = torchvision.models.get_model_weights(architecture)
        if tag and tag not in weights.__members__:
            raise SevisError(f"torchvision has no weights {tag!r} of {architecture}; it has {', '.join(weights.__members__)}")
        return cls.named(f"{architecture}.{tag or weights.DEFAULT.name}")

    @staticmethod
    def list_names() -> list[str]:
        from torchvision import models

        return list(models.list_models(module=models))  # without `module`, detectors and networks for films as well

    def build(self) -> "nn.Module":
        import torchvision

        outputs = self.architecture.num_classes or IMAGENET
        model: nn.Module = torchvision.models.get_model(self.name.partition(".")[0], weights=None, num_classes=outputs)
        return model

    def on_meta(self) -> "nn.Module":
        from sevis.networks.initialisation import building

        try:
            return super().on_meta()
        except NotImplementedError:  # its RegNets compute their widths with tensors
            with building():
                return self.build()

    def count_parameters(self) -> int:
        """Return what torchvision says, for its own outputs: to count those of a RegNet takes the memory for them."""
        return int(self._weights().meta["num_params"])

    def outputs(self, model: "nn.Module") -> int:
        return IMAGENET

    def preprocessing(self) -> Preprocessing:
        preset = self._weights().transforms()
        return Preprocessing(
            resize=preset.resize_size[0],
            crop=preset.crop_size[0],
            mean=tuple(preset.mean),
            std=tuple(preset.std),
            interpolation=preset.interpolation.value,
        )

    def published(self) -> PublishedWeights:
        return PublishedWeights(self.name, self._weights().url)

    def _weights(self) -> Any:
        """Return what torchvision says of its weights: an entry of its enumeration, with `url`, `meta` and `transforms`."""
        import torchvision

        architecture, _, tag = self.name.partition(".")
        return torchvision.models.get_model_weights(architecture)[tag]
