"""Train a network, plain or SE, with a recipe that keeps the gates alive; a killed run resumes with the step it had saved.

Several processes that torchrun started share each batch; all of them hold the same parameters, and the first one evaluates and writes.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, distributed, nn
from tqdm import tqdm

from sevis.blocks.sites import find_sites
from sevis.data.datasets import ImageDataset
from sevis.data.pixels import EVALUATED, Images, evaluation_batches, open_images, split_batches
from sevis.data.preprocessing import Preprocessing
from sevis.distributed import Shard
from sevis.errors import Diverged, SevisError
from sevis.experiments.evaluation import evaluate, measure_gates
from sevis.networks.costs import count_parameters
from sevis.recipe import Recipe
from sevis.training.learner import Learner, deterministic
from sevis.training.run_folder import is_started, read_progress, save_checkpoint, write_log
from sevis.training.run_record import Run, describe_data

LogRow = dict[str, float]
FROZEN_OVER = 4000  # training images, at most, whose means frozen gates keep: to 0.016 of a scale's deviation over images
CHECKED = 20  # steps after which their losses are looked at on a GPU, where looking waits for it; on a CPU, it is every step


@dataclass(frozen=True)
class Trained:
    """The end of a run.

    Attributes:
        model: in evaluation mode; the average of its weights where the recipe keeps one.
        rows: of the log, one an epoch.
        images: for training and validation, as they were read.
    """

    model: nn.Module
    rows: list[LogRow]
    images: tuple[Images, Images]


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How a run is carried out; of it, only the number of processes changes the result.

    Attributes:
        resume: go on from the checkpoint in the run's folder, if there is one.
        save_every: seconds between two checkpoints within an epoch; there is one after every epoch.
        on_epoch: called after every epoch with its row of the log.
        on_step: called after every step with its number, from 1, and its loss, which makes a GPU wait. Both may raise to end the run.
        bar: whether progress is shown in the terminal.
        shard: which of several processes this is.
    """

    resume: bool = False
    save_every: float = 300.0
    on_epoch: Callable[[LogRow], None] | None = None
    on_step: Callable[[int, float], None] | None = None
    bar: bool = True
    shard: Shard = field(default_factory=Shard)


def train_and_measure(
    recipe: Recipe, data: tuple[ImageDataset, ImageDataset], folder: Path, *, options: TrainOptions | None = None
) -> tuple[Trained, Run]:
    """Train as `train` does, and measure the final weights on the validation images, in float32.

    Frozen gates keep their means over the training images. Raises what `train` raises.
    """
    trained = train(recipe, data, folder, options=options)
    return trained, measure_run(trained, recipe, data)


def train(recipe: Recipe, data: tuple[ImageDataset, ImageDataset], folder: Path, *, options: TrainOptions | None = None) -> Trained:
    """Train the recipe's network.

    `folder` holds checkpoint.pt, the one before it, and log.csv, each replaced as a whole. The randomness of a step depends only on the
    seed, the epoch, the step and the process, so a resumed run goes on as the uninterrupted one would have.

    Args:
        recipe: what to do.
        data: the training and the validation images, with the same classes.
        folder: where the checkpoints and the log go.
        options: how.

    Raises:
        SevisError: when the two data sets differ in their classes, the folder holds a run and `resume` is not set, the checkpoint belongs
            to another recipe or other data, or the loss is no longer a number.
    """
    options = options or TrainOptions()
    if data[0].wnids != data[1].wnids:
        raise SevisError("the training and the validation images have different classes")
    if not options.resume and is_started(folder):
        raise SevisError(f"{folder} already holds a run: continue it (--resume), or train into another folder (--folder)")
    device = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    learner = Learner(recipe, len(data[0].wnids), device=device, world=options.shard.world)
    run = _Training(recipe, learner, folder, facts=_facts(recipe, data[0], options.shard), options=options)
    if options.resume:
        run.restore()
    preprocess = Preprocessing.square(recipe.size)
    training, validation = (open_images(part, preprocess, device, bar=options.bar) for part in data)
    with deterministic(device):
        run.finish(training, validation)
    return Trained(learner.result(), run.rows, (training, validation))


def measure_run(trained: Trained, recipe: Recipe, data: tuple[ImageDataset, ImageDataset]) -> Run:
    """Return the record of a run: measure the network at its end."""
    model = trained.model
    device = next(model.parameters()).device
    preprocess = Preprocessing.square(recipe.size)
    training, validation = trained.images
    score = evaluate(model, evaluation_batches(validation, preprocess, EVALUATED))
    gates = None
    if find_sites(model):
        gates = measure_gates(
            model,
            lambda: evaluation_batches(training, preprocess, EVALUATED, per_class=max(1, FROZEN_OVER // training.num_classes)),
            lambda: evaluation_batches(validation, preprocess, EVALUATED),
        )
    return Run(
        recipe=recipe,
        data=describe_data(data),
        rows=tuple(trained.rows),
        top1=score.top1,
        top5=score.top5,
        gates=gates,
        parameters=count_parameters(model),
        seconds=round(sum(row["seconds"] for row in trained.rows), 1),
        device=device_name(device),
        torch=torch.__version__.partition("+")[0],
        date=datetime.now(UTC).date().isoformat(),
    )


def device_name(device: torch.device) -> str:
    """Return what people call a device: the name of a GPU, or `cpu` and its threads, on which results depend in their last bits."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"cpu, {threads} thread{'s' if threads > 1 else ''}"


@dataclass
class _Training:
    """A run on its way; `step`, `loss` and `spent` are of its present epoch: steps done, sum of their images' losses, and seconds."""

    recipe: Recipe
    learner: Learner
    folder: Path
    facts: dict[str, dict[str, Any]]
    options: TrainOptions
    rows: list[LogRow] = field(default_factory=list)
    step: int = 0
    loss: float = 0.0
    spent: float = 0.0

    def restore(self) -> None:
        """Go back to the newest checkpoint, if there is one."""
        self.options.shard.agree({f"{part}: {name}": value for part, values in self.facts.items() for name, value in values.items()})
        with self.options.shard.in_turn():  # the first may put the checkpoint before in the place of a damaged one
            state = read_progress(self.folder, self.facts)
        if state is not None:
            self.learner.load(state)
            self.rows, self.step, self.loss, self.spent = list(state["rows"]), state["step"], state["loss"], state["spent"]
        self.options.shard.agree({"checkpoints": (len(self.rows), self.step)})
        if self.rows and self.options.shard.rank == 0:
            write_log(self.folder, self.rows)

    def finish(self, training: Images, validation: Images) -> None:
        """Do what is left."""
        steps = len(self._batches(torch.arange(len(training.labels))))
        done = len(self.rows) * steps + self.step
        shown = self.options.bar and self.options.shard.rank == 0
        with tqdm(total=self.recipe.epochs * steps, initial=done, unit="step", desc=self.recipe.model, disable=not shown) as bar:
            for epoch in range(len(self.rows), self.recipe.epochs):
                self._train(training, epoch, bar)
                self._close(validation, epoch, len(training.labels))
                bar.set_postfix({name: f"{self.rows[-1].get(name, 0):.3f}" for name in ("train_loss", "top1")})

    def _train(self, data: Images, epoch: int, bar: Any) -> None:
        """Train what is left of one pass over the training images."""
        shard = self.options.shard
        order = torch.from_numpy(np.random.default_rng((self.recipe.seed, epoch)).permutation(len(data.labels)))
        batches = self._batches(order)
        left = range(self.step, len(batches))
        unseen: list[Tensor] = []
        patience = CHECKED if self.learner.device.type == "cuda" and not self.options.on_step else 1
        saved = lap = time.perf_counter()
        for number, (images, labels) in zip(left, data.pick([batches[at][shard.rank :: shard.world] for at in left]), strict=True):
            overall = epoch * len(batches) + number
            unseen.append(
                self.learner.step(
                    images,
                    labels,
                    rate=self.recipe.rate(overall, self.recipe.epochs * len(batches)),
                    side=self.recipe.side(epoch),
                    share=shard.world / len(batches[number]),
                    rng=np.random.default_rng((self.recipe.seed, epoch, number, shard.rank)),
                )
            )
            self.step = number + 1
            bar.update()
            if len(unseen) == patience or self.step == len(batches):
                self._count(unseen, overall + 1, len(labels))
                unseen = []
                self.spent, lap = self.spent + time.perf_counter() - lap, time.perf_counter()
                if lap - saved >= self.options.save_every and self.step < len(batches) and self.learner.sound():
                    self._save()
                    saved = lap

    def _batches(self, order: Tensor) -> list[Tensor]:
        return split_batches(order, self.recipe.batch_size, least=2 * self.options.shard.world)

    def _count(self, losses: list[Tensor], last: int, images: int) -> None:
        """Add up the losses of the steps up to the one of number `last`. Raises SevisError where one is no number."""
        sums = torch.stack(losses).double()
        if self.options.shard.world > 1:
            distributed.all_reduce(sums)
        for step, loss in enumerate(sums.tolist(), last + 1 - len(losses)):
            if not math.isfinite(loss):
                raise self._diverged(f"the loss became {loss} in step {step} of epoch {len(self.rows) + 1}")
            self.loss += loss
        if self.options.on_step:
            self.options.on_step(last, float(losses[-1]) / images)

    def _diverged(self, what: str) -> Diverged:
        cure = f"lower the learning rate ({self.recipe.learning_rate}), or lengthen its warm-up ({self.recipe.warmup})"
        return Diverged(what, cure=cure + (", or leave bf16 out" if self.recipe.bf16 else ""))

    def _close(self, validation: Images, epoch: int, images: int) -> None:
        """Evaluate an epoch, write it down and tell of it; the other processes wait."""
        started = time.perf_counter()
        if not self.learner.sound():
            raise self._diverged(f"the weights are no longer numbers after step {(epoch + 1) * self.step}, the last of epoch {epoch + 1}")
        row: LogRow = {"epoch": epoch + 1, "size": self.recipe.side(epoch), "train_loss": self.loss / images}
        if self.options.shard.rank == 0:
            preprocess = Preprocessing.square(self.recipe.size)
            with torch.autocast(self.learner.device.type, torch.bfloat16, enabled=self.recipe.bf16):
                row |= asdict(evaluate(self.learner.result(), evaluation_batches(validation, preprocess, EVALUATED)))
        self.rows.append(row | {"seconds": round(self.spent + time.perf_counter() - started, 2)})
        self.step, self.loss, self.spent = 0, 0.0, 0.0
        self._save()
        if self.options.shard.rank == 0:
            write_log(self.folder, self.rows)
            if self.options.on_epoch:
                self.options.on_epoch(self.rows[-1])
        self.options.shard.meet()

    def _save(self) -> None:
        if self.options.shard.rank == 0:
            progress = {"rows": self.rows, "step": self.step, "loss": self.loss, "spent": self.spent}
            save_checkpoint(self.folder, {**self.facts, **self.learner.state(), **progress})


def _facts(recipe: Recipe, dataset: ImageDataset, shard: Shard) -> dict[str, dict[str, Any]]:
    """Return what a resumed run must have in common with the one that wrote the checkpoint."""
    return {
        "recipe": msgspec.structs.asdict(recipe),
        "data": {"classes": list(dataset.wnids), "number of training images": len(dataset), "fingerprint": dataset.fingerprint()},
        "machine": {"number of processes": shard.world},
    }
