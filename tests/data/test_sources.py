"""What is listed of a folder or zip, in any layout, and what is refused before an image is read."""

import hashlib
import os
import sys
from pathlib import Path

import pytest

from sevis import SevisError
from sevis.data import sources
from sevis.data.datasets import open_dataset
from tests.helpers.pictures import WNIDS, write_classes, write_tiny_imagenet, zipped


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_imagenet(tmp_path / "tiny-imagenet-200")


# --- flat files with a list of their classes ---

NAME = "ILSVRC2012_val_0000000"
LINES = {
    "space": f"{NAME}1.JPEG n02\n{NAME}2.JPEG n01\n{NAME}3.JPEG n02\n",
    "tab": f"{NAME}1.JPEG\tn02\n{NAME}2.JPEG\tn01\t0\t0\t1\t1\n{NAME}3.JPEG\tn02\n",
    "comma": f"ImageId,PredictionString\n{NAME}1,n02 1 2 3 4\n{NAME}2,n01 1 2 3 4\n{NAME}3,n02 \n",
    "more": f"{NAME}1.JPEG n02\n\n{NAME}2.JPEG n01\n{NAME}3.JPEG n02\n{NAME}9.JPEG n07\n",
}


@pytest.mark.parametrize("below", ["", "val/"])
@pytest.mark.parametrize("lines", LINES.values(), ids=LINES)
def test_flat_files_take_their_classes_from_a_list(tmp_path: Path, below: str, lines: str) -> None:
    root = write_classes(tmp_path / "imagenet", *(f"{below}{NAME}{number}.JPEG" for number in (3, 1, 2, 4)))
    (tmp_path / "labels.txt").write_text(lines)
    for path in (root, zipped(root)):
        data = open_dataset(path, "val", labels=tmp_path / "labels.txt")
        assert data.files == tuple(f"{below}{NAME}{number}.JPEG" for number in (1, 2, 3)), "one is on no line"
        assert (data.wnids, data.labels, data.split) == (("n01", "n02"), (1, 0, 1), "val" if below else "")


def test_a_list_that_fits_no_file_is_refused(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "pets", "1.png", "2.png")
    (tmp_path / "labels.txt").write_text("3.png cat\n4.png dog\n")
    with pytest.raises(SevisError, match=r"none of the 2 lines of .*labels\.txt names one of the images here, and gives its class"):
        open_dataset(root, labels=tmp_path / "labels.txt")
    with pytest.raises(SevisError, match=r"1\.png is not a text file in UTF-8: expected lines with the name of a file and its class"):
        open_dataset(root, labels=root / "1.png")


# --- what cannot be listed, and what holds nothing ---


def test_folders_without_an_image_are_told_and_are_no_classes(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "pets", "dog/a.png", "cat/b.png", "notes/read me.txt")
    (root / "bird").mkdir()
    (root / ".cache").mkdir()
    data = open_dataset(root)
    assert (data.classes, data.empty) == (("cat", "dog"), ("bird", "notes"))
    assert open_dataset(zipped(root)).empty == ("bird", "notes")
    split = write_classes(tmp_path / "split", "train/dog/a.png", "train/cat/b.png", "val/dog/c.png")
    for name in ("val/cat", "val/bird"):
        (split / name).mkdir()
    assert (open_dataset(split).classes, open_dataset(split).empty) == (("cat", "dog"), ("bird",)), "cat has images in train"


def test_a_folder_too_high_up_is_refused(tmp_path: Path) -> None:
    write_classes(tmp_path / "home" / "pets", "dog/a.png", "cat/b.png")
    with pytest.raises(SevisError, match=r"all images in .*home lie at least one level too deep, .* below pets: name .*/home/pets itself"):
        open_dataset(tmp_path / "home")
    write_classes(tmp_path / "one", "cat/2024/a.png", "cat/b.png", "cat/2025/c.png")
    assert open_dataset(tmp_path / "one").classes == ("cat",)
    write_classes(tmp_path / "deep", "cat/images/a.png", "dog/images/b.png")
    assert open_dataset(tmp_path / "deep").classes == ("cat", "dog")


def test_folders_nested_too_deep_are_refused(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "pets", "dog/a.png", "cat/" + "x/" * sources.MAX_DEPTH + "b.png")
    with pytest.raises(SevisError, match=r"pets is nested more than 10 folders deep, at cat/x/x/.*: name a folder of class folders"):
        open_dataset(root)
    assert open_dataset(write_classes(tmp_path / "fine", "dog/" + "x/" * (sources.MAX_DEPTH - 1) + "b.png")).classes == ("dog",)


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_classes(tmp_path / "pets", *(f"cat/{number}.png" for number in range(5)))
    monkeypatch.setattr(sources, "MAX_FILES", 5)
    assert len(open_dataset(root)) == 5
    monkeypatch.setattr(sources, "MAX_FILES", 4)
    with pytest.raises(SevisError, match=r"pets holds more than 4 files, but at most that many are allowed: name a part of it"):
        open_dataset(root)


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_classes(tmp_path / "pets", "cat/a.png", "dog/b.png")
    scan = os.scandir

    def refuse(path: object) -> object:
        if str(path).endswith("dog"):  # permissions do not keep root out
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(
        SevisError, match=r"pets/dog cannot be read \(Permission denied\): give this user permission to read it, or move it away"
    ):
        open_dataset(root)


def test_listing_takes_time_in_proportion_to_the_files(tmp_path: Path) -> None:
    """Counted in calls, for clocks are no tests: a listing looks at every folder once, and at no file."""
    root = write_classes(tmp_path / "pets", *(f"{kind}/{number}.png" for kind in "abc" for number in range(20)))
    seen: list[str] = []

    def look(event: str, args: tuple[object, ...]) -> None:
        if event in ("os.scandir", "open") and watching and str(args[0]).startswith(str(root)):
            seen.append(str(args[0]))

    watching = [True]
    sys.addaudithook(look)
    assert len(open_dataset(root)) == 60
    watching.clear()
    assert len(seen) == 5, "the root twice, for its files and for its empty folders, and each class once"


def test_the_fingerprint_is_of_names_sizes_and_labels(tiny: Path) -> None:
    data = open_dataset(tiny)
    print_ = data.fingerprint()
    assert print_ == open_dataset(zipped(tiny)).fingerprint(), "where it lies is nothing to it"
    told = sorted((file, (tiny / file).stat().st_size, data.wnids[label]) for file, label in zip(data.files, data.labels, strict=True))
    expected = hashlib.sha256("".join(f"{file}\0{size}\0{wnid}\n" for file, size, wnid in told).encode())
    assert print_ == expected.hexdigest()
    assert data.select(sorted(WNIDS)).fingerprint() == data.select(WNIDS).fingerprint() == print_, (
        "the order of the classes is nothing to it"
    )
    assert data.select(WNIDS[:2]).fingerprint() != print_
    first = tiny / data.files[0]
    content = first.read_bytes()
    first.write_bytes(bytes(len(content)))
    assert open_dataset(tiny).fingerprint() == print_, "contents are not read"
    first.write_bytes(content + b"\0")
    assert open_dataset(tiny).fingerprint() != print_
    first.unlink()
    assert data.fingerprint() != print_, "one that has gone since counts as another"
