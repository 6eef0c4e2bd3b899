"""All z and all s of timm's seresnet50: sevis and its peers against the plain forward pass, in turns in one run.

    pip install captum nnsight
    PYTHONPATH=. python benchmarks/peers.py [--pairs 20] [--save]

sevis is asked for at most 1.03x, and to be ahead of each of the others. What is made once for a model is made before the time is taken:
torchvision's graph, captum's attribution, nnsight's wrapper, and for the second row of sevis the hooks. Each way's numbers are compared
with sevis's first. A library that is not installed is left out, and said so.
"""

import argparse
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec

import timm
import torch
from torch import Tensor, nn

import sevis
from benchmarks.rows import add_options, begin
from sevis.blocks.hooks import keep_hooks
from sevis.experiments.timing import forward
from sevis.training.training import device_name

CASES = ((1, 64), (1, 224), (16, 224))  # images, pixels
Way = Callable[[Tensor], list[Tensor]]


def blocks(model: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(site.path, model.get_submodule(site.path)) for site in sevis.find_sites(model)]


def by_sevis(model: nn.Module, batch: Tensor) -> list[Tensor]:
    with sevis.capture(model) as record:
        forward(model, batch)
    return [part for block in record.values() for part in (block.squeeze, block.scale)]


def by_torchvision(model: nn.Module) -> Way:
    from torchvision.models.feature_extraction import create_feature_extractor

    nodes = [f"{path}.{node}" for path, _ in blocks(model) for node in ("mean", "gate")]
    extractor = create_feature_extractor(model, nodes)

    def run(batch: Tensor) -> list[Tensor]:
        with torch.inference_mode():
            found = extractor(batch)
        return [found[node].clone() for node in nodes]

    return run


def by_captum(model: nn.Module) -> Way:
    """The inputs of the first projection and of the gate: captum gives inputs or outputs in one pass, so the gate is applied here."""
    from captum.attr import LayerActivation

    layers = [layer for _, block in blocks(model) for layer in (block.fc1, block.gate)]
    activation = LayerActivation(model, layers)

    def run(batch: Tensor) -> list[Tensor]:
        with torch.no_grad():
            found = activation.attribute(batch, attribute_to_layer_input=True)
            return [part.sigmoid() if place % 2 else part.clone() for place, part in enumerate(found)]

    return run


def by_nnsight(model: nn.Module) -> Way:
    import nnsight

    wrapped = nnsight.NNsight(model)
    paths = [path for path, _ in blocks(model)]

    def run(batch: Tensor) -> list[Tensor]:
        with torch.inference_mode(), wrapped.trace(batch):
            found = nnsight.save([])
            for path in paths:
                block = wrapped.get(path)
                found.append(block.fc1.input)
                found.append(block.gate.output)
        return [value.clone() for value in found]

    return run


def peers(model: nn.Module) -> Iterator[tuple[str, Way]]:
    for name, package, make in (
        ("torchvision create_feature_extractor", "torchvision", by_torchvision),
        ("captum LayerActivation", "captum", by_captum),
        ("nnsight trace", "nnsight", by_nnsight),
    ):
        if find_spec(package):
            yield name, make(model)
        else:
            print(f"{name}: not installed")


def check(way: Way, expected: list[Tensor], batch: Tensor) -> None:
    """Raises when a way reads other numbers than sevis."""
    for own, other in zip(expected, way(batch), strict=True):
        torch.testing.assert_close(other.flatten(1), own, atol=1e-5, rtol=1e-4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20)
    add_options(parser)
    arguments = parser.parse_args()
    rows, pairs = begin(arguments, device_name(torch.device("cpu"))), arguments.pairs
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    model = timm.create_model("seresnet50", zero_init_last=False).eval().requires_grad_(False)
    print(f"timm {timm.__version__} seresnet50, torch {torch.__version__}, {torch.get_num_threads()} threads")
    for images, side in CASES:
        batch = torch.randn(images, 3, side, side)
        title, base = f"all z and s of timm's seresnet50, batch {images}, {side} px", partial(forward, model, batch)
        rows.add(f"{title}: sevis capture", rows.pair(base, partial(by_sevis, model, batch), pairs=pairs), aim="at most 1.03x")
        twin = timm.create_model("seresnet50").eval().requires_grad_(False)
        twin.load_state_dict(model.state_dict())
        release = keep_hooks(twin)
        rows.add(f"{title}: sevis capture, hooks kept", rows.pair(base, partial(by_sevis, twin, batch), pairs=pairs), aim="at most 1.03x")
        release()
        for name, way in peers(twin):
            check(way, by_sevis(model, batch), batch)
            rows.add(f"{title}: {name}", rows.pair(base, partial(way, batch), pairs=pairs))
    if arguments.save:
        rows.save(__file__)


if __name__ == "__main__":
    main()
