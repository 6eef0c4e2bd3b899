"""CIFAR's binary files, written here record by record as their description says, and read back."""

import argparse
import io
import pickle
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sevis import SevisError
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.cli.data import open_data
from sevis.cli.parser import main
from sevis.data import cifar, downloads
from sevis.data.cifar import LAYOUTS, unpack
from sevis.data.datasets import find_data, open_dataset
from sevis.data.image_formats import read_image
from sevis.files import sha256
from sevis.weights.loading import load
from tests.helpers.pictures import write_classes
from tests.helpers.slow import slow

NAMES = {"cifar10": ("airplane", "bird", "cat"), "cifar100": ("apple", "bear", "cloud", "tulip")}
PER_FILE = 6


def picture(name: str, file: str, number: int) -> np.ndarray:
    """The made-up pixels of one record, (32, 32, 3), unlike those of any other, and not symmetrical."""
    seed = [*name.encode(), *file.encode(), number]
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def files_of(name: str) -> dict[str, bytes]:
    """The files of a small data set in the binary version, by their names; the class of a record is its number modulo the classes."""
    layout, classes = LAYOUTS[name], NAMES[name]
    files = {layout.names: ("\n".join(classes) + "\n\n").encode()}
    for file in (*layout.train, layout.test):
        content = bytearray()
        for number in range(PER_FILE):
            content += bytes([99] * (layout.labels - 1)) + bytes([number % len(classes)])  # 99: a superclass, which is not read
            pixels = picture(name, file, number)
            for channel in range(3):
                for row in range(32):
                    content += bytes(pixels[row, :, channel])
        files[file] = bytes(content)
    return files


def write(name: str, parent: Path) -> Path:
    """Writes the folder of a data set into another; returns the folder."""
    folder = parent / LAYOUTS[name].folder
    folder.mkdir(parents=True)
    for file, content in files_of(name).items():
        (folder / file).write_bytes(content)
    return folder


def tar(path: Path, files: dict[str, bytes], *, kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.type = len(content), kind
            member.linkname = "/etc/hostname"
            archive.addfile(member, io.BytesIO(content))
    return path


# --- reading ---


@pytest.mark.parametrize("name", NAMES)
def test_records_become_pictures_and_labels(name: str, tmp_path: Path) -> None:
    layout, classes = LAYOUTS[name], NAMES[name]
    train, test = (open_dataset(write(name, tmp_path / split), split) for split in ("train", "test"))
    assert (train.name, train.split, test.split) == (name, "train", "test")
    assert train.wnids == train.classes == test.classes == classes
    for data, files in ((train, layout.train), (test, (layout.test,))):
        expected = [(picture(name, file, number), number % len(classes)) for file in files for number in range(PER_FILE)]
        assert len(data) == len(expected)
        for (image, label), (pixels, wanted) in zip(data, expected, strict=True):
            assert (image.mode, label) == ("RGB", wanted)
            np.testing.assert_array_equal(np.asarray(image), pixels)


def test_the_layout_is_that_of_torchvision() -> None:
    torchvision = pytest.importorskip("torchvision")
    for name, layout in LAYOUTS.items():
        theirs = getattr(torchvision.datasets, name.upper())
        assert theirs.url.replace("python", "binary") == cifar.ADDRESS + layout.archive
        assert len(theirs.train_list) == len(layout.train)


def test_what_a_data_set_can_do_works_with_records(tmp_path: Path) -> None:
    folder = write("cifar10", tmp_path)
    data = open_dataset(folder)
    assert data.split == "test"
    assert [data[index][1] for index in data.indices_of(1)] == [1, 1]
    chosen = data.select(["cat"])
    assert (chosen.labels, chosen.classes) == ((0, 0), ("cat",))
    np.testing.assert_array_equal(np.asarray(chosen[1][0]), picture("cifar10", "test_batch.bin", 5))
    assert np.asarray(pickle.loads(pickle.dumps(data))[3][0]).tolist() == np.asarray(data[3][0]).tolist()  # noqa: S301  (made here)
    assert data.source.size(data.files[0]) == len(data.read(0))
    assert data.source.names() == sorted(data.files)
    assert data.source.folders() == ["test_batch.bin"]
    image = read_image(data.read(4))
    assert isinstance(image, Image.Image)
    assert data.fingerprint() == open_dataset(folder, "val").fingerprint() != open_dataset(folder, "train").fingerprint()


def test_the_fingerprint_depends_on_the_labels(tmp_path: Path) -> None:
    folder = write("cifar10", tmp_path)
    before = open_dataset(folder).fingerprint()
    content = bytearray((folder / "test_batch.bin").read_bytes())
    content[0] = 2
    (folder / "test_batch.bin").write_bytes(content)
    assert open_dataset(folder).fingerprint() != before


# --- damage ---


def test_damaged_files_are_named(tmp_path: Path) -> None:
    folder = write("cifar10", tmp_path)
    with pytest.raises(SevisError, match=r"cifar10 has the splits train and test, not 'extra'"):
        open_dataset(folder, "extra")
    records = open_dataset(folder)
    whole = (folder / "test_batch.bin").read_bytes()
    (folder / "test_batch.bin").write_bytes(whole[:-1])
    with pytest.raises(SevisError, match=r"test_batch\.bin is cut off: expected records of 3,073 bytes, got 18,437 bytes in all"):
        open_dataset(folder)
    with pytest.raises(SevisError, match=r"test_batch\.bin/00005\.bmp of cifar10: .*test_batch\.bin is cut off: download it again"):
        records[5]
    (folder / "test_batch.bin").write_bytes(b"\x09" + whole[1:])
    with pytest.raises(SevisError, match=r"has a class 9, but only 3 names: download cifar10 again"):
        open_dataset(folder)
    (folder / "test_batch.bin").write_bytes(b"")
    with pytest.raises(SevisError, match=r"no images in .*: download cifar10 again"):
        open_dataset(folder)
    (folder / "data_batch_4.bin").unlink()
    with pytest.raises(SevisError, match=r"data_batch_4\.bin cannot be read \(No such file"):
        open_dataset(folder, "train")
    (folder / "test_batch.bin").unlink()
    with pytest.raises(SevisError, match=r"test_batch\.bin cannot be read \(No such file.*restore it"):
        records[0]


# --- unpacking ---


def test_an_archive_is_unpacked_as_a_whole(tmp_path: Path) -> None:
    files = {f"cifar-10-batches-bin/{file}": content for file, content in files_of("cifar10").items()}
    archive = tar(tmp_path / "cifar.tar.gz", {**files, "cifar-10-batches-bin/readme.html": b"<html>"})
    unpack(archive, LAYOUTS["cifar10"], tmp_path / "there")
    assert {path.name: path.read_bytes() for path in (tmp_path / "there").iterdir()} == files_of("cifar10")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cifar.tar.gz", "there"]


def test_an_archive_writes_nowhere_else(tmp_path: Path) -> None:
    inside = tmp_path / "inner" / "data"
    inside.mkdir(parents=True)
    names = iter(("../../{}", "/{}", "a/b/c/{}", "../{}", "{}", "{}", "{}"))
    files = {next(names).format(file): content for file, content in files_of("cifar10").items()}
    unpack(tar(tmp_path / "cifar.tar.gz", {**files, "../other": b"?"}), LAYOUTS["cifar10"], inside / "there")
    assert {path.name: path.read_bytes() for path in (inside / "there").iterdir()} == files_of("cifar10")
    assert [path.name for path in inside.iterdir()] == ["there"]
    assert [path.name for path in inside.parent.iterdir()] == ["data"]


@pytest.mark.parametrize("harm", ["links", "giants", "missing", "cut", "no archive"])
def test_a_bad_archive_leaves_nothing(harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = files_of("cifar100")
    if harm == "missing":
        del files["test.bin"]
    monkeypatch.setattr(cifar, "LARGEST", PER_FILE * 3074 - (harm == "giants"))
    archive = tar(tmp_path / "cifar.tar.gz", files, kind=tarfile.SYMTYPE if harm == "links" else tarfile.REGTYPE)
    if harm == "cut":
        archive.write_bytes(archive.read_bytes()[:-5000])
    if harm == "no archive":
        archive.write_bytes(b"<html>sorry</html>" * 1000)
    with pytest.raises(SevisError, match=r"(lacks .*test\.bin.*|is damaged \(.+\)): delete it and run this again"):
        unpack(archive, LAYOUTS["cifar100"], tmp_path / "there")
    assert [path.name for path in tmp_path.iterdir()] == ["cifar.tar.gz"]


# --- the commands ---


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Archives in place of downloads, by their address; SEVIS_DATA names an empty place."""
    sent = {}
    for name, layout in LAYOUTS.items():
        archive = tar(tmp_path / layout.archive, {f"x/{file}": content for file, content in files_of(name).items()})
        monkeypatch.setitem(LAYOUTS, name, replace(layout, size=archive.stat().st_size, sha256=sha256(archive)))
        sent[cifar.ADDRESS + layout.archive] = archive

    def fetch(url: str, path: Path, *, size: int, progress: bool, **checks: str) -> Path:
        content = sent[url].read_bytes()
        assert (size, checks) == (len(content), {"sha256": sha256(sent[url])})
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    monkeypatch.setattr(downloads, "fetch", fetch)
    monkeypatch.setenv("SEVIS_DATA", str(tmp_path / "place"))
    return sent


def test_data_downloads_once(server: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data"]) == 0
    assert "cifar10: not found: python -m sevis data cifar10 downloads it" in capsys.readouterr().out
    for name, layout in LAYOUTS.items():
        assert main(["data", name]) == 0
        server.clear()  # a second download would fail
        assert main(["data", name]) == 0
        assert capsys.readouterr().out == f"{name}: {tmp_path / 'place' / layout.folder}\n" * 2
        server.update({cifar.ADDRESS + other.archive: tmp_path / other.archive for other in LAYOUTS.values()})
    assert sorted(path.name for path in (tmp_path / "place").iterdir()) == ["cifar-10-batches-bin", "cifar-100-binary"]
    assert main(["data"]) == 0
    shown = capsys.readouterr().out
    assert f"cifar100: {tmp_path / 'place' / 'cifar-100-binary'}" in shown
    assert "tiny-imagenet: not found" in shown


def test_an_archive_that_was_there_stays(server: dict[str, Path], tmp_path: Path) -> None:
    mine = tmp_path / "place" / "cifar-10-binary.tar.gz"
    mine.parent.mkdir()
    mine.write_bytes((tmp_path / "cifar-10-binary.tar.gz").read_bytes())
    assert main(["data", "cifar10"]) == 0
    assert mine.exists()


def test_a_damaged_folder_is_not_taken_for_the_data(server: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write("cifar10", tmp_path / "place")
    (folder / "test_batch.bin").write_bytes(b"?")
    assert main(["data", "cifar10"]) == 2
    assert "is damaged, delete it and run this again (" in capsys.readouterr().err


def test_a_place_of_tiny_imagenet_is_not_taken_for_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "wnids.txt").write_text("n01")
    monkeypatch.setenv("SEVIS_DATA", str(tmp_path / "mine"))
    assert find_data() == tmp_path / "mine"
    assert find_data("cifar-10-batches-bin") is None


@pytest.mark.parametrize("model", slow(["se_resnet20", "resnet20", "se_resnet110"]))
def test_the_networks_of_table_4_train(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEVIS_DATA", str(tmp_path))
    write("cifar10", tmp_path)
    run = ["train", model, "--width", "1", "--size", "32", "--epochs", "1", "--batch-size", "15", "--no-bf16"]
    assert main([*run, "--data", "cifar10", "--folder", str(tmp_path / "run")]) == 0
    network = load(tmp_path / "run" / "checkpoint.pt")
    assert network.classes == NAMES["cifar10"]
    assert network.preprocess.crop == 32


def test_a_trained_network_is_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SEVIS_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    named = ["--data", "cifar10"]
    train = ["train", "se_resnet20", "--width", "1", "--size", "32", "--epochs", "1", "--folder", "run", *named]
    assert main(train) == 2
    assert "cifar10 is not here: name its place with SEVIS_DATA, or run python -m sevis data cifar10" in capsys.readouterr().err
    folder = write("cifar10", tmp_path)
    assert main(train) == 0
    assert main(["collect", "--model", "run/checkpoint.pt", "--out", "gates.safetensors", *named]) == 0
    statistics = ClassStatistics.load(tmp_path / "gates.safetensors")
    assert (statistics.metadata["data"], statistics.metadata["split"], statistics.classes) == ("cifar10", "test", NAMES["cifar10"])
    assert statistics.count.tolist() == [2, 2, 2]
    assert main(["audit", "--model", "run/checkpoint.pt", "--out", "audit.json", "--data", str(folder)]) == 0
    assert (tmp_path / "audit.json").exists()


def test_a_folder_of_the_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEVIS_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write("cifar10", tmp_path)
    write_classes(tmp_path / "cifar10", "cat/1.png", "dog/2.png")
    arguments = argparse.Namespace(data=Path("cifar10"))
    assert open_data(arguments, "val").classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("files", "name"), [(("batches.meta", "test_batch", "data_batch_1"), "cifar10"), (("meta", "train", "test"), "cifar100")]
)
def test_the_pickles_that_torchvision_keeps_are_named_and_not_read(tmp_path: Path, files: tuple[str, ...], name: str) -> None:
    for file in files:
        (tmp_path / file).write_bytes(b"cos\nsystem\n(S'echo'\ntR.")
    with pytest.raises(SevisError, match=f"{name} as pickles, .* python -m sevis data {name}"):
        open_dataset(tmp_path, "val")
