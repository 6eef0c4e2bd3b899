"""A tiny network that a thread trains beside the pages, for as long as somebody looks; the thread calls nothing of Streamlit."""

import math
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sevis.analysis.intervals import Interval, wilson
from sevis.errors import SevisError, one_line
from sevis.figures.networks.training_curves import LiveCurve
from sevis.pages.ablations.live_data import TrialData, Watched
from sevis.pages.shared.turns import Turns
from sevis.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor

    from sevis.data.pixels import Images
    from sevis.training.training import Trained

ALONE = 20.0  # seconds without a look after which a run ends: its visitor has left
MODEL, WIDTH = "resnet18", 0.25
STAGES = (2, 3, 4, 5)
RATIOS = (2, 4, 8, 16)  # its narrowest block has 16 channels
SHARED = {"width": WIDTH, "batch_size": 32, "learning_rate": 0.1, "min_area": 0.5, "colour": 0.0}
READING, TRAINING, MEASURING = "Reading the images", "Training", "Measuring the gates"


@dataclass(frozen=True, kw_only=True)
class TrialChoice:
    """What a visitor wants to train: ResNet-18 at a quarter of its width, plain or with SE put into it."""

    gated: bool = True
    reduction: int = 16
    squeeze: str = "avg"
    gate: str = "sigmoid"
    placement: str = "standard"
    stages: tuple[int, ...] = STAGES
    seed: int = 0

    @property
    def title(self) -> str:
        """Return what it is called: short, with what is not the default."""
        if not self.gated or not self.stages:
            return f"plain, seed {self.seed}"
        default = TrialChoice()
        changed = [str(getattr(self, name)) for name in ("squeeze", "gate", "placement") if getattr(self, name) != getattr(default, name)]
        where = [] if self.stages == STAGES else [f"stage {', '.join(map(str, self.stages))}"]
        return ", ".join([f"SE r = {self.reduction}", *changed, *where, f"seed {self.seed}"])

    def recipe(self, data: TrialData) -> Recipe:
        """Return what the run is told."""
        shared: dict[str, Any] = {**SHARED, "size": data.size, "epochs": data.epochs, "seed": self.seed}
        if not self.gated or not self.stages:
            return Recipe(model=MODEL, **shared)
        return Recipe(
            model=f"se_{MODEL}",
            reduction=self.reduction,
            squeeze=self.squeeze,
            gate=self.gate,
            placement=self.placement,
            stages="all" if self.stages == STAGES else ",".join(map(str, self.stages)),
            **shared,
        )


@dataclass(frozen=True)
class TrialOutcome:
    """A finished run.

    Attributes:
        title: of its `TrialChoice`.
        curve: how it went.
        top1: of the final weights on the validation images, as a fraction, with its interval over these images.
        alive: the standard deviation of s over images, mean over channels and blocks; None of the plain network.
        frozen: top-1 with every gate held at its mean over the training images; None of the plain network.
        parameters, seconds, device, date: of the run.
        images: how many it was trained on, and scored on.
        classes: of these images.
    """

    title: str
    curve: LiveCurve
    top1: float
    interval: Interval
    alive: float | None
    frozen: float | None
    parameters: int
    seconds: float
    device: str
    date: str
    images: tuple[int, int]
    classes: int


class _EndedError(Exception):
    """Ends the run; says why."""


class Trial:
    """A run; it begins at once, waits in `row` for those before it, and takes a turn of `turns` for each step, as every forward pass does.

    Attributes:
        title: of the choice.
        losses, top1: so far, as in `LiveCurve`.
        steps: of one epoch; 0 as long as it is not known.
        epochs: of the whole run.
        phase: what it is doing, in words.
        device: that it is trained on; empty as long as it is not known.
        date: of its beginning (ISO).
        before: how many others it waits for.
        outcome: at its end.
        ended: why it ended early, in words: it was cancelled, or nobody looked.
        error: why it broke off.
    """

    def __init__(self, choice: TrialChoice, data: TrialData, *, row: Turns, turns: Turns) -> None:
        self.title, self.phase, self.before = choice.title, READING, 0
        self.device, self.date = "", datetime.now(UTC).date().isoformat()
        self.losses: list[float] = []
        self.top1: list[float] = []
        self.steps, self.epochs, self.began = 0, data.epochs, 0.0
        self.outcome: TrialOutcome | None = None
        self.ended = ""
        self.error: SevisError | None = None
        self._choice, self._data, self._row, self._turns = choice, data, row, turns
        self._cancelled = threading.Event()
        self._read, self._total = 0, 0
        self._seen = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"train-{choice.title}")
        self._thread.start()

    @property
    def over(self) -> bool:
        """Return whether the thread has ended, with an outcome, an error, or early."""
        return not self._thread.is_alive()

    @property
    def curve(self) -> LiveCurve | None:
        """Return how it has gone so far; None before the first step."""
        return LiveCurve(tuple(self.losses), tuple(self.top1), self.steps) if self.steps and self.losses else None

    @property
    def done(self) -> float:
        """Return how much of what is being done, in 0..1."""
        done, whole = (self._read, self._total) if self.phase == READING else (len(self.losses), self.steps * self.epochs)
        return min(1.0, done / whole) if whole else 0.0

    @property
    def left(self) -> float | None:
        """Return the seconds that the training will still take at this pace; None as long as that cannot be told."""
        done = self.done if self.phase == TRAINING else 0.0
        return (time.monotonic() - self.began) * (1 - done) / done if done else None

    def look(self) -> None:
        """Say that somebody still looks."""
        self._seen = time.monotonic()

    def cancel(self) -> None:
        """End the run at its next step."""
        self._cancelled.set()

    def join(self, timeout: float) -> None:
        """Wait for the end of the run."""
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            with self._row.take(self._wait), ExitStack() as turn, tempfile.TemporaryDirectory(prefix="sevis-") as folder:
                self.before = 0
                self.outcome = self._train(turn, Path(folder))
        except _EndedError as error:
            self.ended = str(error)
        except SevisError as error:
            self.error = SevisError(str(error))  # anew, for the traceback of the first holds the network and its images
        except BaseException as error:  # told to whoever looks, who would otherwise wait for ever
            self.error = SevisError(f"the training stopped with an error ({type(error).__name__}: {one_line(error)})")

    def _train(self, turn: ExitStack, folder: Path) -> TrialOutcome:
        import torch

        from sevis.training.training import TrainOptions, device_name, train

        self.device = device_name(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        training, validation = (replace(part, source=Watched(part.source, self._count)) for part in self._data.open())
        images, recipe = (training, validation), self._choice.recipe(self._data)
        self._total = len(training) + len(validation)
        self.steps = math.ceil(len(images[0]) / recipe.batch_size)

        def on_step(number: int, loss: float) -> None:
            if not self.losses:
                self.phase, self.began = TRAINING, time.monotonic()
            self.losses.append(loss)
            self._let_others(turn)

        options = TrainOptions(on_step=on_step, on_epoch=lambda row: self.top1.append(row["top1"]), bar=False)
        started = time.monotonic()
        trained = train(recipe, images, folder, options=options)
        seconds = time.monotonic() - started
        self.phase = MEASURING
        return self._measure(trained, turn, seconds=seconds)

    def _measure(self, trained: "Trained", turn: ExitStack, *, seconds: float) -> TrialOutcome:
        from sevis.blocks.sites import find_sites
        from sevis.networks.costs import count_parameters

        alive, frozen = self._measure_gates(trained, turn) if find_sites(trained.model) else (None, None)
        images = (len(trained.images[0].labels), len(trained.images[1].labels))
        return TrialOutcome(
            title=self.title,
            curve=LiveCurve(tuple(self.losses), tuple(self.top1), self.steps),
            top1=self.top1[-1],
            interval=wilson(round(self.top1[-1] * images[1]), images[1]),
            alive=alive,
            frozen=frozen,
            parameters=count_parameters(trained.model),
            seconds=seconds,
            device=self.device,
            date=self.date,
            images=images,
            classes=trained.images[0].num_classes,
        )

    def _measure_gates(self, trained: "Trained", turn: ExitStack) -> tuple[float, float]:
        """Return how far s varies over the validation images, and top-1 with every s at its mean over the training images."""
        from sevis.blocks.hooks import override
        from sevis.experiments.evaluation import evaluate, gate_moments

        training, validation = trained.images
        learned = gate_moments(trained.model, self._batches(training, turn))
        tested = gate_moments(trained.model, self._batches(validation, turn))
        with override(trained.model, {site: learned.overall_mean(site) for site in learned.sites}):
            frozen = evaluate(trained.model, self._batches(validation, turn)).top1
        return sum(float(tested.overall_std(site).mean()) for site in tested.sites) / len(tested.sites), frozen

    def _batches(self, images: "Images", turn: ExitStack) -> "Iterator[tuple[Tensor, Tensor]]":
        """Yield batches to measure on, each in a turn of its own."""
        from sevis.data.pixels import evaluation_batches
        from sevis.data.preprocessing import Preprocessing

        for batch in evaluation_batches(images, Preprocessing.square(self._data.size), 128):
            self._let_others(turn)
            yield batch

    def _let_others(self, turn: ExitStack) -> None:
        """Give the turn up, and take the next one, unless the run has to end."""
        turn.close()
        self._check()
        turn.enter_context(self._turns.take(lambda before: self._check()))

    def _count(self) -> None:
        """Count the images that are read."""
        self._check()
        self._read += 1

    def _wait(self, before: int) -> None:
        self.before = before
        self._check()

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise _EndedError("it was cancelled")
        if time.monotonic() - self._seen > ALONE:
            raise _EndedError(f"nobody looked at it for {ALONE:.0f} seconds")
