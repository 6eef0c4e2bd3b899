"""Made-up data sets for tests, in the layouts that are read: one folder a class, and Tiny ImageNet's."""

import io
import zipfile
from pathlib import Path

from PIL import Image

WNIDS = ("n03", "n01", "n02")  # not sorted: the file decides the order of the labels
WORDS = {"n01": "ant, pismire", "n02": "bee", "n03": "cat, true cat", "n99": "not here"}


def colour(wnid: str, number: int) -> tuple[int, int, int]:
    return (40 * int(wnid[1:]), 20 * number, 200)


def png(wnid: str, number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), colour(wnid, number)).save(buffer, "PNG")
    return buffer.getvalue()


def write_tiny_imagenet(root: Path) -> Path:
    """The official layout with 3 classes, 3 training and 2 validation images each; the pictures are PNG under the official suffix."""
    root.mkdir(parents=True)
    (root / "wnids.txt").write_text("\n".join(WNIDS))
    (root / "words.txt").write_text("".join(f"{wnid}\t{words}\n" for wnid, words in WORDS.items()))
    for wnid in WNIDS:
        (root / "train" / wnid / "images").mkdir(parents=True)
        (root / "train" / wnid / f"{wnid}_boxes.txt").write_text("0 0 1 1")
        for number in range(3):
            (root / "train" / wnid / "images" / f"{wnid}_{number}.JPEG").write_bytes(png(wnid, number))
    (root / "val" / "images").mkdir(parents=True)
    lines = []
    for number in range(6):
        wnid = WNIDS[number % 3]
        (root / "val" / "images" / f"val_{number}.JPEG").write_bytes(png(wnid, number))
        lines.append(f"val_{number}.JPEG\t{wnid}\t0\t0\t62\t57\n")
    lines += ["../../wnids.txt\tn01\t0\t0\t1\t1\n", "val_gone.JPEG\tn01\n", "val_1.JPEG\n", "val_2.JPEG\tn77\n", "\n"]
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    return root


def write_classes(root: Path, *places: str) -> Path:
    for number, place in enumerate(places):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(png("n01", number))
    return root


def zipped(folder: Path, *, within: str = "", compression: int = zipfile.ZIP_STORED) -> Path:
    path = folder.parent / f"{folder.name}-{within.strip('/') or 'flat'}.zip"
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, within + file.relative_to(folder).as_posix())
    return path
