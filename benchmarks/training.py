"""A training step, paired: sevis's SE-ResNet-50 against timm's seresnet50, real data against a batch that stays, SE against plain.

    PYTHONPATH=. python benchmarks/training.py [--what networks input shares] [--pairs 20] [--batch 8] [--size 96] [--device cpu] [--save]

At most 1.02x is allowed for the network (`networks`), and 1.05x on a GPU for real data (`input`). A step is a forward and a backward pass
and SGD's, as `sevis train` takes it: channels_last, bfloat16 on a GPU. On a GPU, a measurement is so many steps that it need not wait for
each. `input` is all that real data adds: choosing images in memory, crop, flip, colour and norm; `shares` is what SE costs (and on a GPU
the peak memory): the share of a step's time by which it is longer than without SE blocks. The weights and images are made up.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import sevis
from benchmarks.rows import Rows, add_options, begin
from sevis.data.pixels import Pixels
from sevis.experiments.timing import wait
from sevis.recipe import Recipe
from sevis.training.learner import Learner
from sevis.training.training import device_name

Step = Callable[[], object]
CLASSES = 200


@dataclass(frozen=True)
class Setting:
    """Where and with what is measured: so many steps in a measurement, on images of `size` pixels."""

    device: torch.device
    batch: int
    size: int
    steps: int
    pairs: int
    bf16: bool
    rows: Rows

    @property
    def title(self) -> str:
        return f"{'bfloat16' if self.bf16 else 'float32'}, {self.size} px, batch {self.batch}"

    def repeat(self, step: Step) -> None:
        for _ in range(self.steps):
            step()
        wait(self.device)

    def compare(self, title: str, plain: Step, measured: Step, *, aim: str = "") -> float:
        ratio = self.rows.pair(partial(self.repeat, plain), partial(self.repeat, measured), pairs=self.pairs)
        rate = self.batch * self.steps / ratio.plain
        note = f"; {rate:,.0f} images/s against {rate / ratio.median:,.0f}"
        self.rows.add(f"a training step of {title}: {self.title}", ratio, aim=aim, note=note)
        return ratio.median

    def images(self) -> Tensor:
        return torch.randn(self.batch, 3, self.size, self.size, device=self.device).contiguous(memory_format=torch.channels_last)

    def targets(self) -> Tensor:
        labels = torch.randint(CLASSES, (self.batch,), device=self.device)
        return F.one_hot(labels, CLASSES).float()


def make_step(model: nn.Module, setting: Setting) -> Step:
    """Steps of a network on a batch that stays on the device."""
    model = model.to(setting.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4, nesterov=True)
    return partial(take_step, model, optimizer, setting.images(), setting.targets(), setting.bf16)


def take_step(model: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, targets: Tensor, bf16: bool) -> None:
    """As `Learner.step`, without its augmentation."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        logits = model(images)
    loss = F.cross_entropy(logits.float(), targets, label_smoothing=0.1, reduction="sum")
    optimizer.zero_grad(set_to_none=True)
    (loss / len(images)).backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def measure_networks(setting: Setting) -> None:
    make = partial(timm.create_model, num_classes=CLASSES)
    couples = {
        "sevis's se_resnet50 against timm's seresnet50": (make("seresnet50"), sevis.build("se_resnet50", num_classes=CLASSES)),
        "timm's resnet50 with sevis's blocks against timm's seresnet50": (make("seresnet50"), sevis.graft(make("resnet50"))),
        "sevis's resnet50 against timm's resnet50": (make("resnet50"), sevis.build("resnet50", num_classes=CLASSES)),
    }
    for title, couple in couples.items():
        theirs, own = (sevis.measure_cost(model, (3, setting.size, setting.size)).multiply_adds for model in couple)
        aim = "at most 1.02x" if "seresnet50" in title else ""
        setting.compare(title, *(make_step(model, setting) for model in couple), aim=aim)
        print(f"    of which {own / theirs:.3f}x the multiply-adds")


def measure_input(setting: Setting) -> None:
    """`Learner.step` on images in memory, against the rest of that step on views that are there."""
    recipe = Recipe(model="se_resnet50", width=1.0, size=setting.size, batch_size=setting.batch, bf16=setting.bf16)
    learner = Learner(recipe, CLASSES, device=setting.device)
    count = setting.batch * 16
    pixels = torch.randint(256, (count, 3, setting.size, setting.size), dtype=torch.uint8, device=setting.device)
    data = Pixels(pixels, torch.randint(CLASSES, (count,), device=setting.device), CLASSES)
    rng = np.random.default_rng(0)

    def real() -> None:
        for images, labels in data.pick([torch.from_numpy(rng.integers(count, size=setting.batch))]):
            learner.step(images, labels, rate=1e-3, side=setting.size, share=1 / setting.batch, rng=rng)

    resident = partial(take_step, learner.model.train(), learner.optimizer, setting.images(), setting.targets(), setting.bf16)
    aim = "at most 1.05x" if setting.device.type == "cuda" else ""
    setting.compare("images in memory with augmentation against a batch that stays", resident, real, aim=aim)


def measure_shares(setting: Setting) -> None:
    sizes = []
    steps = []
    for name in ("resnet50", "se_resnet50"):
        if setting.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated() if setting.device.type == "cuda" else 0
        steps.append(make_step(sevis.build(name, num_classes=CLASSES), setting))
        if setting.device.type == "cuda":
            setting.repeat(steps[-1])
            sizes.append(torch.cuda.max_memory_allocated() - before)
    ratio = setting.compare("sevis's se_resnet50 against its resnet50", *steps)
    print(f"    SE takes {1 - 1 / ratio:.1%} of a step")
    if sizes:
        print(f"    peak memory {sizes[0] / 1e9:.2f} GB against {sizes[1] / 1e9:.2f} GB: {sizes[1] / sizes[0]:.3f}x")


MEASUREMENTS = {"networks": measure_networks, "input": measure_input, "shares": measure_shares}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    on_gpu = torch.cuda.is_available()
    parser.add_argument("--what", nargs="+", choices=MEASUREMENTS, default=[*MEASUREMENTS])
    parser.add_argument("--device", default="cuda" if on_gpu else "cpu")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--batch", type=int, help="by default 8, or 128 on a GPU")
    parser.add_argument("--size", type=int, help="of the images in pixels; by default 96, or 224 on a GPU")
    parser.add_argument("--steps", type=int, help="in one measurement; by default 1, or 10 on a GPU")
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, help="by default on a GPU")
    add_options(parser)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    batch, size, steps, bf16 = (128, 224, 10, True) if device.type == "cuda" else (8, 96, 1, False)
    setting = Setting(
        device=device,
        batch=arguments.batch or batch,
        size=arguments.size or size,
        steps=arguments.steps or steps,
        pairs=arguments.pairs,
        bf16=bf16 if arguments.bf16 is None else arguments.bf16,
        rows=begin(arguments, device_name(device)),
    )
    torch.manual_seed(0)
    print(f"device {setting.rows.device}, torch {torch.__version__}, timm {timm.__version__}; {setting.title}")
    for what in arguments.what:
        MEASUREMENTS[what](setting)
    if arguments.save:
        setting.rows.save(__file__)


if __name__ == "__main__":
    main()
