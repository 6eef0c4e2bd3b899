"""timm: its networks by name, what they are fed, and where their weights are."""

from typing import TYPE_CHECKING, Any, Self

from sevis.data.preprocessing import Preprocessing
from sevis.errors import SevisError
from sevis.networks.libraries.library import HUB_FILES, LibraryNetwork, PublishedWeights

if TYPE_CHECKING:
    from torch import Tensor, nn


class TimmNetwork(LibraryNetwork):
    """A network of timm."""

    library = "timm"
    converts = True

    @classmethod
    def find(cls, name: str) -> Self | None:
        import timm
        from timm.models import get_pretrained_cfg

        if not timm.is_model(name):
            return None
        architecture, _, tag = name.partition(".")
        try:
            config = get_pretrained_cfg(name)
        except RuntimeError:  # a tag that it does not have
            tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
            raise SevisError(f"timm has no weights {tag!r} of {architecture}; it has {', '.join(tags) or 'none'}") from None
        return cls.named(f"{architecture}.{config.tag}" if config is not None and config.has_weights else architecture)

    @staticmethod
    def list_names() -> list[str]:
        import timm

        return list(timm.list_models())

    def build(self) -> "nn.Module":
        return self._create()

    def convert(self, state: "dict[str, Tensor]") -> "nn.Module":
        return self._create(state)

    def _create(self, state: "dict[str, Tensor] | None" = None) -> "nn.Module":
        import timm

        num_classes = self.architecture.num_classes
        options: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
        if state is not None:
            # With `pretrained`, timm renames tensors and takes off background classes itself. It would drop a classifier whose size is
            # not the one in its configuration, so the number of classes is put there, too.
            options |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": state, **options}}
        model: nn.Module = timm.create_model(self.name, **options)
        if not model.num_classes:
            architecture = self.name.partition(".")[0]
            raise SevisError(f"{self.name} of timm has no classifier, only features: choose other weights of {architecture}")
        return model

    def outputs(self, model: "nn.Module") -> int:
        return int(model.num_classes)  # type: ignore[arg-type]

    def preprocessing(self) -> Preprocessing:
        """Return timm's own at its test size, where it has one. Raises SevisError for an input that is no square RGB picture."""
        from timm.data.config import resolve_data_config
        from timm.models import get_pretrained_cfg

        known = get_pretrained_cfg(self.name)
        fields = known.to_dict() if known else {}  # type: ignore[no-untyped-call]
        config = resolve_data_config(pretrained_cfg=fields, use_test_size=True)  # type: ignore[no-untyped-call]
        channels, height, width = config["input_size"]
        if channels != 3 or height != width:
            raise SevisError(f"{self.name} takes inputs of shape {config['input_size']}; sevis prepares square RGB pictures only")
        return Preprocessing(
            resize=int(height / config["crop_pct"]),
            crop=height,
            mean=tuple(config["mean"]),
            std=tuple(config["std"]),
            interpolation=config["interpolation"],
            crop_mode=config["crop_mode"],
        )

    def published(self) -> PublishedWeights:
        from timm.models import get_pretrained_cfg

        config = get_pretrained_cfg(self.name)
        if config is not None and config.hf_hub_id:
            from huggingface_hub import hf_hub_url

            return PublishedWeights(self.name, hf_hub_url(config.hf_hub_id, HUB_FILES[0]), config.hf_hub_id)
        if config is not None and isinstance(config.url, str) and config.url:
            return PublishedWeights(self.name, config.url)
        raise SevisError(f"timm has no trained weights of {self.name}: use random weights (weights='random', --weights random)")
