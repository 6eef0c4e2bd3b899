"""Made-up pictures for tests, in every layout that is read: folders of classes, Tiny ImageNet's, zips."""

import io
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from sevis.data.datasets import ImageDataset, open_dataset

TINY_IMAGENET = "tiny-imagenet-200"
WNIDS = ("n03", "n01", "n02")  # not sorted: the file decides the order of the labels
WORDS = {"n01": "ant, pismire", "n02": "bee", "n03": "cat, true cat", "n99": "not here"}
ODD_LINES = ("../../wnids.txt\tn01\t0\t0\t1\t1", "n01_gone.JPEG\tn01", "n01_1.JPEG", "n02_0.JPEG\tn77", "")  # of no picture, or of no class
COLOURS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 50, 40)}

SIZES = [(224, 224), (303, 257), (257, 303), (640, 481), (100, 333), (51, 50), (1023, 67)]  # width and height, for preprocessings


def noise(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(width)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def a_picture(width: int = 40, height: int = 30, *, seed: int = 0) -> Image.Image:
    """Smooth enough for JPEG, and unlike its mirror images."""
    y, x = np.mgrid[:height, :width] / max(width, height)
    waves = np.random.default_rng(seed).uniform(1, 5, (3, 2))
    channels = [127.5 * (1 + np.sin(wx * x * 3 + wy * y * 2)) for wx, wy in waves]
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def write_colours(folder: Path, *, train: int = 12, val: int = 4, side: int = 32) -> Path:
    """Writes train/ and val/ below `folder`, with so many noisy one-coloured PNGs a class; returns the folder."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        for name, colour in COLOURS.items():
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                noisy = np.clip(np.array(colour) + rng.normal(0, 30, (side, side, 3)), 0, 255)
                Image.fromarray(noisy.astype(np.uint8)).save(folder / split / name / f"{number}.png")
    return folder


def open_colours(folder: Path) -> tuple[ImageDataset, ImageDataset]:
    """The training and the validation images."""
    return open_dataset(folder, "train"), open_dataset(folder, "val")


def colour(wnid: str, number: int) -> tuple[int, int, int]:
    """Return the colour of a picture of a class."""
    return (40 * int(wnid[1:]), 20 * number, 200)


def png(image: Image.Image) -> bytes:
    """Return a picture as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def plain(wnid: str, number: int) -> bytes:
    """Return a small picture of one colour, which tells its class and number."""
    return png(Image.new("RGB", (8, 6), colour(wnid, number)))


def noisy(wnid: str, number: int) -> bytes:
    """Return a picture of noise, of its own for each class and number."""
    random = np.random.default_rng([int(wnid[1:]), number])
    return png(Image.fromarray(random.integers(0, 256, size=(64, 64, 3), dtype=np.uint8)))


def write_tiny_imagenet(
    root: Path,
    wnids: Sequence[str] = WNIDS,
    *,
    words: dict[str, str] = WORDS,
    train: int = 3,
    val: int = 2,
    draw: Callable[[str, int], bytes] = plain,
    odd: Sequence[str] = ODD_LINES,
) -> Path:
    """Write the official layout with so many pictures a class, which are PNG under the official suffix; returns its folder."""
    (root / "val" / "images").mkdir(parents=True)
    (root / "wnids.txt").write_text("\n".join(wnids))
    (root / "words.txt").write_text("".join(f"{wnid}\t{name}\n" for wnid, name in words.items()))
    for wnid in wnids:
        (root / "train" / wnid / "images").mkdir(parents=True)
        (root / "train" / wnid / f"{wnid}_boxes.txt").write_text("0 0 1 1")
        for number in range(train):
            (root / "train" / wnid / "images" / f"{wnid}_{number}.JPEG").write_bytes(draw(wnid, number))
    lines = []
    for number in range(val):
        for wnid in wnids:
            (root / "val" / "images" / f"{wnid}_{number}.JPEG").write_bytes(draw(wnid, number))
            lines.append(f"{wnid}_{number}.JPEG\t{wnid}\t0\t0\t62\t57")
    (root / "val" / "val_annotations.txt").write_text("\n".join([*lines, *odd]))
    return root


def write_photos(root: Path, wnids: Sequence[str]) -> Path:
    """Write a folder for SEVIS_DATA: Tiny ImageNet with three noisy photos of each of these classes to validate with."""
    words = {wnid: f"name of {wnid}, alias" for wnid in wnids}
    write_tiny_imagenet(root / TINY_IMAGENET, list(wnids), words=words, train=0, val=3, draw=noisy, odd=())
    return root


def write_classes(root: Path, *names: str) -> Path:
    """Write small pictures under these names below a folder; returns it."""
    return fill(root, {name: plain("n01", number) for number, name in enumerate(names)})


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files with these contents below a folder; returns it."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def zip_of(members: Iterable[tuple[str | zipfile.ZipInfo, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip of these members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for member, data in members:
            archive.writestr(member, data)
    return file.getvalue()


def zipped(folder: Path, *, within: str = "", compression: int = zipfile.ZIP_STORED) -> Path:
    """Write a zip of a folder beside it; returns the zip."""
    path = folder.parent / f"{folder.name}-{within.strip('/') or 'flat'}.zip"
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, within + file.relative_to(folder).as_posix())
    return path
