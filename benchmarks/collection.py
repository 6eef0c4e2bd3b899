"""Collecting class statistics: its speed against a bare loop, its memory, two processes against one, and a thousand classes.

    PYTHONPATH=. python benchmarks/collection.py [--images 2560] [--pairs 6] [--save]    # at most 1.05x of the time of a bare loop
    PYTHONPATH=. python benchmarks/collection.py --images 100000 --bf16 --channels-last --batch-size 512 --workers 16    # on a GPU
    PYTHONPATH=. python benchmarks/collection.py --memory                       # at most 1.05x at 10,000 images against 1,000
    PYTHONPATH=. python benchmarks/collection.py --processes [--pairs 4]        # at least 1.6x, where two cores are free
    PYTHONPATH=. python benchmarks/collection.py --large [--images 8000]        # under 2 GB; opened and drawn in under 1 s, under 1 MB

Each peak of memory is that of a process of its own. The images are made up, so no data is needed; every process has one thread where
processes are compared.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import sevis
from benchmarks.rows import Rows, add_options, begin
from sevis.architecture import Architecture
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.data.loader import make_loader
from sevis.data.preprocessing import Preprocessing
from sevis.distributed import joined
from sevis.experiments.collection import CollectOptions, collect, collect_dataset
from sevis.training.training import device_name
from sevis.weights.card import Card
from sevis.weights.loading import ReadyModel, make_ready


class Noise:
    """So many images of noise."""

    def __init__(self, count: int, *, classes: int = 20, side: int = 64) -> None:
        self.count = count
        self.classes = tuple(f"class {number}" for number in range(classes))
        self.pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.fromarray(np.roll(self.pixels, index)), index % len(self.classes)


def make_model(*, classes: int = 20, width: float = 0.5, side: int = 64) -> ReadyModel:
    names = tuple(f"class {number}" for number in range(classes))
    architecture = Architecture(name="se_resnet50", num_classes=classes, width=width)
    card = Card(
        name=f"se_resnet50x{width}", architecture=architecture, classes=names, preprocessing=Preprocessing.square(side), sha256="none"
    )
    return make_ready(card, sevis.build(**architecture.arguments()))


def speed(rows: Rows, images: int, pairs: int, options: CollectOptions) -> None:
    """The shipped network's kind on 64 pixels, and SE-ResNet-50 on 224, of which so many fewer images take as long."""
    for width, side, count in ((0.5, 64, images), (1.0, 224, max(images // 40, 1))):
        ready = make_model(width=width, side=side)
        data = Noise(count, side=side)
        collected = partial(collect_dataset, ready, data, options=options)
        ratio = rows.pair(partial(bare, ready, data, options), collected, pairs=pairs)
        what = f"collect against a bare loop of the same loader and forward pass: SE-ResNet-50 x{width}, {side} px"
        rows.add(what, ratio, aim="at most 1.05x", note=f", {count / ratio.plain:,.0f} images/s")


def bare(ready: ReadyModel, data: Noise, options: CollectOptions) -> None:
    """The same loader and forward pass, and nothing kept."""
    loader = make_loader(data, ready.preprocess, batch_size=options.batch_size, workers=options.workers)
    precision = torch.autocast(ready.device.type, torch.bfloat16, enabled=options.bf16)
    layout = torch.channels_last if options.channels_last else torch.contiguous_format
    with torch.inference_mode(), precision:
        for batch in loader:
            ready.model(batch.inputs.to(ready.device, non_blocking=True).contiguous(memory_format=layout)).cpu()


def memory(rows: Rows) -> None:
    small, large = (json.loads(_alone("--peak", str(count)))["peak"] for count in (1_000, 10_000))
    print(f"peak memory: {small / 1e3:.0f} MB at 1,000 images, {large / 1e3:.0f} MB at 10,000")
    rows.add_number("peak memory of collect at 10,000 images against 1,000", large / small, "x", aim="at most 1.05x", digits=3)


def processes(rows: Rows, images: int, pairs: int) -> None:
    """Each process says how long its collecting took, without its start; the slower one counts."""
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    ratios = []
    for number in range(pairs):
        turns = ((), torchrun) if number % 2 else (torchrun, ())
        seconds = {start: json.loads(_alone("--part", str(images), start=start))["seconds"] for start in turns}
        ratios.append(seconds[()] / seconds[torchrun])
    low, median, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    what = "images a second of collect with two processes against one, one thread each"
    rows.add_number(what, median, "x", aim="at least 1.6x", low=low, high=high, pairs=pairs)


def part(images: int) -> None:
    """The collecting of one process, all of it or its share."""
    ready = make_model()
    with joined() as shard:
        collect_dataset(ready, Noise(64), options=CollectOptions(progress=False), shard=shard)  # what is slow only once
        shard.meet()
        started = time.perf_counter()
        collect_dataset(ready, Noise(images), options=CollectOptions(progress=False), shard=shard)
        if shard.rank == 0:
            print(json.dumps({"seconds": time.perf_counter() - started}))


def large(rows: Rows, images: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.safetensors"
        made = json.loads(_alone("--make", str(path), "--images", str(images)))
        drawn = json.loads(_alone("--draw", str(path)))
        what = f"1,000 classes x {made['channels']:,} channels"
        rows.add_number(f"peak memory of the process that collects {what}", made["peak"] / 1e6, "GB", aim="at most 2 GB")
        print(f"with what is saved on the way: a file of {path.stat().st_size / 1e9:.2f} GB, {made['sample']} sampled images a class")
        rows.add_number(f"statistics of {what} opened and Figure 6 drawn", drawn["seconds"], "s", aim="at most 1 s")
        rows.add_number("the same, Figure 6 as JSON", drawn["bytes"] / 1e6, "MB", aim="at most 1 MB")
        print(f"memory of that process: {drawn['before'] / 1e3:.0f} MB before, {drawn['peak'] / 1e3:.0f} MB at most")


def make(path: Path, images: int) -> None:
    side = 32  # small pictures: what is kept of them is as large as of large ones
    ready = make_model(classes=1000, width=1.0, side=side)
    options = CollectOptions(out=path, save_every=20, progress=False)
    statistics = collect_dataset(ready, Noise(images, classes=1000, side=side), options=options)
    sample = len(statistics.sample("SE_2_1").ids) / 1000
    print(json.dumps({"peak": _peak(), "channels": sum(statistics.channels.values()), "sample": sample}))


def draw(path: Path) -> None:
    from sevis.figures.classes.class_curves import paper_blocks
    from sevis.figures.classes.figure6 import figure6

    before, times, size = _peak(), [], 0
    for _ in range(2):
        started = time.perf_counter()
        statistics = ClassStatistics.load(path)
        figure = figure6(statistics, paper_blocks(statistics.sites), statistics.classes[:4]).figure
        size = len(figure.to_json())
        times.append(time.perf_counter() - started)
    print(json.dumps({"seconds": times[0], "again": times[1], "bytes": size, "before": before, "peak": _peak()}))


def _peak() -> int:
    """The peak memory of this process, in kB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _alone(*words: str, start: tuple[str, ...] = ()) -> str:
    """What this file prints last in a process of its own, with one thread."""
    settings = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *start, __file__, *words]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=settings)
    return result.stdout.splitlines()[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int)
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=0)
    for name in ("--bf16", "--channels-last", "--memory", "--processes", "--large"):
        parser.add_argument(name, action="store_true")
    for name, kind in (("--peak", int), ("--part", int), ("--make", Path), ("--draw", Path)):
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    add_options(parser)
    arguments = parser.parse_args()
    rows = begin(arguments, device_name(torch.device("cuda" if torch.cuda.is_available() else "cpu")))
    if arguments.peak:
        ready = make_model()
        collect(ready, make_loader(Noise(arguments.peak), Preprocessing(resize=64, crop=64)))
        print(json.dumps({"peak": _peak()}))
    elif arguments.part:
        part(arguments.part)
    elif arguments.make:
        make(arguments.make, arguments.images)
    elif arguments.draw:
        draw(arguments.draw)
    elif arguments.memory:
        memory(rows)
    elif arguments.processes:
        processes(rows, arguments.images or 3200, arguments.pairs or 4)
    elif arguments.large:
        large(rows, arguments.images or 8000)
    else:
        chosen = {name: getattr(arguments, name) for name in ("batch_size", "workers", "bf16", "channels_last")}
        speed(rows, arguments.images or 2560, arguments.pairs or 6, CollectOptions(**chosen, progress=False))
    if arguments.save:
        rows.save(__file__)


if __name__ == "__main__":
    main()
