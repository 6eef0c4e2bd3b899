"""Data sets as folders and zips: the official layout, class folders, and what is wrong with some of them."""

import os
import pickle
import shutil
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from sevis import SevisError
from sevis.data.datasets import ImageDataset, find_data, open_dataset, sample_photos
from sevis.data.image_formats import read_image
from sevis.data.sources import Zip
from sevis.settings import cache_folder
from tests.helpers.pictures import WNIDS, colour, plain, write_classes, write_tiny_imagenet, zipped


def content(data: ImageDataset) -> list[tuple[tuple[int, ...], int]]:
    return [(image.getpixel((0, 0)), label) for image, label in data]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_imagenet(tmp_path / "tiny-imagenet-200")


# --- Tiny ImageNet's layout ---


def test_the_official_layout_is_read(tiny: Path) -> None:
    train, val = open_dataset(tiny, "train"), open_dataset(tiny)
    assert (train.name, train.split, val.split) == ("tiny-imagenet-200", "train", "val")
    assert train.wnids == val.wnids == WNIDS
    assert train.classes == val.classes == ("cat", "ant", "bee")
    assert sorted(content(train)) == sorted((colour(wnid, number), WNIDS.index(wnid)) for wnid in WNIDS for number in range(3))
    assert content(val) == [(colour(wnid, number), label) for number in range(2) for label, wnid in enumerate(WNIDS)]
    assert [val[index][1] for index in val.indices_of(1)] == [1, 1]
    assert val.indices_of(77) == []


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize(("within", "compression"), [("tiny-imagenet-200/", zipfile.ZIP_STORED), ("", zipfile.ZIP_DEFLATED)])
def test_folder_and_zip_read_equal(tiny: Path, split: str, within: str, compression: int) -> None:
    folder, archive = open_dataset(tiny, split), open_dataset(zipped(tiny, within=within, compression=compression), split)
    assert [folder.read(index) for index in range(len(folder))] == [archive.read(index) for index in range(len(archive))]
    assert (folder.labels, folder.wnids, folder.classes, folder.name) == (archive.labels, archive.wnids, archive.classes, archive.name)


def test_select_keeps_the_order_given(tiny: Path) -> None:
    data = open_dataset(tiny, "train").select(["n02", "n03", "n02"])
    assert (data.wnids, data.classes) == (("n02", "n03"), ("bee", "cat"))
    assert Counter(label for _, label in content(data)) == {0: 3, 1: 3}
    assert all(pixel[0] == {0: 80, 1: 120}[label] for pixel, label in content(data))
    assert len(data.indices_of(0)) == 3
    assert data.select(["n03"]).labels == (0, 0, 0)


def test_the_first_images_of_each_class(tiny: Path) -> None:
    whole = open_dataset(tiny, "train")
    assert whole.per_class is None
    some = whole.first(2)
    assert (some.per_class, some.wnids, some.classes) == (2, whole.wnids, whole.classes)
    assert some.labels == (0, 0, 1, 1, 2, 2)
    assert list(some.files) == [whole.files[index] for label in range(3) for index in whole.indices_of(label)[:2]]
    assert Counter(whole.first(99).files) == Counter(whole.files)


def test_classes_of_one_name_are_told_apart_by_their_ids(tiny: Path) -> None:
    (tiny / "words.txt").write_text("n01\tcrane\nn02\tbee\nn03\tcrane, bird\n")
    data = open_dataset(tiny)
    assert data.classes == ("crane (n03)", "crane (n01)", "bee")
    assert data.select(["n01"]).classes == ("crane (n01)",)


def test_a_networks_names_replace_those_of_the_folders(tiny: Path) -> None:
    data = open_dataset(tiny)
    named = data.named({data.wnids[0]: "lion", data.wnids[2]: "lion", "n99": "nobody"})
    assert named.classes == (f"lion ({data.wnids[0]})", data.classes[1], f"lion ({data.wnids[2]})")
    assert (named.wnids, named.files, named.labels) == (data.wnids, data.files, data.labels)
    assert data.named({}).classes == data.classes


def test_select_refuses_unknown_classes_and_none(tiny: Path) -> None:
    data = open_dataset(tiny)
    with pytest.raises(SevisError, match=r"tiny-imagenet-200 has no class 'n04' among its 3; the nearest are n0"):
        data.select(["n01", "n04"])
    with pytest.raises(SevisError, match=r"at least one class of tiny-imagenet-200, got none"):
        data.select([])


def test_a_split_by_another_word_is_taken_and_said(tiny: Path) -> None:
    data = open_dataset(tiny, "validation")
    assert (data.files, data.split) == (open_dataset(tiny).files, "val")
    assert data.notes == ("there is no part validation, so its part val is taken",)


def test_a_split_without_labels_is_refused(tiny: Path) -> None:
    with pytest.raises(SevisError, match=r"labels for train and val, not for 'test'"):
        open_dataset(tiny, "test")


def test_missing_words_leave_the_ids_as_names(tiny: Path) -> None:
    (tiny / "words.txt").unlink()
    assert open_dataset(tiny).classes == WNIDS


@pytest.mark.parametrize("gone", ["val/val_annotations.txt", "val/images"])
def test_a_split_without_images_is_refused(tiny: Path, gone: str) -> None:
    shutil.rmtree(tiny / gone) if (tiny / gone).is_dir() else (tiny / gone).unlink()
    with pytest.raises(SevisError, match=r"no images in .*tiny-imagenet-200: expected one folder for each class"):
        open_dataset(tiny)


# --- one folder a class ---


def test_class_folders_without_splits(tmp_path: Path) -> None:
    write_classes(tmp_path / "pets", "dog/a.png", "cat/b.PNG", "cat/deep/c.png", "loose.png", ".git/x.png", "cat/._b.png", "cat/notes.txt")
    data = open_dataset(tmp_path / "pets")
    assert (data.name, data.split, data.classes) == ("pets", "", ("cat", "dog"))
    assert list(zip(data.files, data.labels, strict=True)) == [("cat/b.PNG", 0), ("cat/deep/c.png", 0), ("dog/a.png", 1)]


def test_class_folders_with_splits_share_their_labels(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "pets", "train/ant/1.png", "train/cat/2.png", "train/dog/3.png", "val/dog/4.png", "docs/logo.png")
    train, val = open_dataset(root, "train"), open_dataset(root, "val")
    assert train.classes == val.classes == ("ant", "cat", "dog")
    assert (train.labels, val.labels, val.split) == ((0, 1, 2), (2,), "val")
    with pytest.raises(SevisError, match=r"there is no 'test' in .*pets: choose one of train, val"):
        open_dataset(root, "test")


@pytest.mark.parametrize("within", ["", "pets/"])
def test_zipped_class_folders_with_and_without_the_folder_around_them(tmp_path: Path, within: str) -> None:
    root = write_classes(tmp_path / "pets", "dog/a.png", "cat/b.png")
    assert open_dataset(zipped(root, within=within)).classes == ("cat", "dog")
    split = write_classes(tmp_path / "split", "train/dog/a.png", "train/cat/b.png")
    assert open_dataset(zipped(split, within=within), "train").classes == ("cat", "dog")
    with pytest.raises(SevisError, match="there is no 'val'"):
        open_dataset(zipped(split, within=within), "val")


# --- what is wrong with some ---


def test_missing_places_and_places_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SevisError, match=r"there is no data at .*nowhere: name a folder with one folder of images for each class"):
        open_dataset(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SevisError, match=r"no images in .*empty: expected one folder for each class with files ending in \.png, \.jpeg"):
        open_dataset(tmp_path / "empty")
    with pytest.raises(SevisError, match=r"2 images lie in .*loose without class folders, so nothing tells their classes"):
        open_dataset(write_classes(tmp_path / "loose", "a.png", "b.png"))


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x03\x04" + b"\0" * 100])
def test_a_file_that_is_no_zip_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(SevisError, match=r"a\.zip is no readable zip file \(.*\): download it again"):
        open_dataset(tmp_path / "a.zip")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_damaged_zip_is_refused_where_the_damage_is(tmp_path: Path, compression: int) -> None:
    path = zipped(write_classes(tmp_path / "pets", "cat/a.png", "dog/b.png"), compression=compression)
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("cat/a.png")
    whole = path.read_bytes()
    beginning = member.header_offset + 30 + len(member.filename)
    for position in (member.compress_size // 4, member.compress_size // 2, member.compress_size * 3 // 4):
        data = bytearray(whole)
        data[beginning + position] ^= 0xFF
        path.write_bytes(data)
        damaged = open_dataset(path)
        assert damaged[1][1] == 1
        with pytest.raises(SevisError, match=r"cat/a\.png .*damaged"):
            damaged[0]
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SevisError, match="is no readable zip file"):
        open_dataset(path)


def test_names_that_point_out_of_the_root_are_not_read_nor_written(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in" / "evil.zip", "w") as archive:
        for name in ("../escaped/a.png", "cat/../../escaped/b.png", "/escaped/c.png", "cat/good.png"):
            archive.writestr(name, plain("n01", 1))
    data = open_dataset(tmp_path / "in" / "evil.zip")
    assert (data.files, data.classes) == (("cat/good.png",), ("cat",))
    assert data[0][0].size == (8, 6)
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "evil.zip"]


def test_links_to_folders_are_not_followed_for_visitors(tmp_path: Path) -> None:
    write_classes(tmp_path / "elsewhere", "private/a.png")
    root = write_classes(tmp_path / "pets", "cat/a.png")
    (root / "dog").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (root / "cat" / "circle").symlink_to(root, target_is_directory=True)
    assert open_dataset(root, links=False).files == ("cat/a.png",)


def test_links_to_files_are_followed_within_the_root_only_for_visitors(tmp_path: Path) -> None:
    write_classes(tmp_path / "elsewhere", "private.png")
    root = write_classes(tmp_path / "pets", "cat/a.png")
    (root / "cat" / "b.png").symlink_to(root / "cat" / "a.png")
    (root / "cat" / "c.png").symlink_to(tmp_path / "elsewhere" / "private.png")
    (root / "cat" / "d.png").symlink_to(root / "cat" / "d.png")
    (tmp_path / "linked").symlink_to(root, target_is_directory=True)
    for path in (root, tmp_path / "linked"):
        data = open_dataset(path, links=False)
        assert data[0][0].tobytes() == data[1][0].tobytes()
        with pytest.raises(SevisError, match=r"c\.png is a link that leads out of .*: replace it by a copy"):
            data[2]
        with pytest.raises(SevisError, match=r"d\.png cannot be read"):
            data[3]


@pytest.mark.parametrize("as_zip", [False, True])
def test_a_large_file_is_refused_by_its_size(tmp_path: Path, as_zip: bool) -> None:
    root = write_classes(tmp_path / "pets", "cat/a.png")
    with (root / "cat" / "a.png").open("ab") as file:
        file.truncate(21_000_000)
    data = open_dataset(zipped(root, compression=zipfile.ZIP_DEFLATED) if as_zip else root)
    with pytest.raises(SevisError, match=r"cat/a\.png of pets.*(is larger|unpacks to more) than 20 MB"):
        data[0]


def test_a_bad_picture_is_named(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "pets", "cat/a.png", "cat/b.png")
    data = open_dataset(root)
    (root / "cat" / "a.png").write_bytes(b"not a picture")
    (root / "cat" / "b.png").unlink()
    with pytest.raises(SevisError, match=r"^cat/a\.png of pets: This file is not a picture"):
        data[0]
    with pytest.raises(SevisError, match=r"^cat/b\.png of pets: .* cannot be read \(No such file or directory\)"):
        data[1]


# --- processes ---


@pytest.mark.parametrize("as_zip", [False, True])
def test_workers_read_what_the_parent_reads(tiny: Path, as_zip: bool) -> None:
    data = Pixels(open_dataset(zipped(tiny) if as_zip else tiny, "train"))
    expected = [data[index] for index in range(len(data))]  # opens the zip in the parent, too
    loader = DataLoader(data, batch_size=None, num_workers=2)
    assert [(int(mean), int(label)) for mean, label in loader] == expected


class Pixels:
    """A data set of numbers, at the top of a module as pickle wants it."""

    def __init__(self, data: ImageDataset) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[int, int]:
        image, label = self.data[index]
        return int(np.asarray(image).sum()), label


def test_a_forked_process_opens_its_own_handle(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_dataset(zipped(tiny)).source
    assert isinstance(source, Zip)
    parents = source.archive()
    assert source.archive() is parents
    monkeypatch.setattr(os, "getpid", lambda: -1)  # a child would share the position in the file
    assert source.archive() is not parents


def test_a_pickled_data_set_opens_its_zip_again(tiny: Path) -> None:
    data = open_dataset(zipped(tiny))
    expected = content(data)
    assert content(pickle.loads(pickle.dumps(data))) == expected  # noqa: S301  (made here)


# --- where data lies ---


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEVIS_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_data_is_found_here_then_in_the_cache(nowhere: Path) -> None:
    assert find_data() is None
    assert cache_folder() == nowhere / "cache" / "sevis"
    cached = write_tiny_imagenet(nowhere / "cache" / "sevis" / "tiny-imagenet-200")
    assert find_data() == cached
    write_tiny_imagenet(nowhere / "data" / "tiny-imagenet-200")
    assert find_data() == Path("data/tiny-imagenet-200")
    assert find_data("pets") is None


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("place", "place/tiny-imagenet-200"),
        ("zips", "zips/tiny-imagenet-200.zip"),
        ("place/tiny-imagenet-200", "place/tiny-imagenet-200"),
        ("zips/tiny-imagenet-200.zip", "zips/tiny-imagenet-200.zip"),
        ("renamed", "renamed"),
        ("zips/other.zip", "zips/other.zip"),
        ("missing", None),
    ],
)
def test_sevis_data_names_the_place(nowhere: Path, monkeypatch: pytest.MonkeyPatch, named: str, found: str | None) -> None:
    write_tiny_imagenet(nowhere / "place" / "tiny-imagenet-200")
    write_tiny_imagenet(nowhere / "renamed")
    write_tiny_imagenet(nowhere / "data" / "tiny-imagenet-200")  # not looked at when SEVIS_DATA is set
    (nowhere / "zips").mkdir()
    for name in ("tiny-imagenet-200.zip", "other.zip"):
        shutil.copy(zipped(nowhere / "renamed"), nowhere / "zips" / name)
    monkeypatch.setenv("SEVIS_DATA", str(nowhere / named))
    assert find_data() == (nowhere / found if found else None)
    assert cache_folder() == nowhere / named


def test_sample_photos_are_there_offline() -> None:
    photos = sample_photos()
    assert list(photos)[:2] == ["Cup of espresso", "Tabby cat"]
    assert all(min(read_image(path.read_bytes()).size) >= 300 for path in photos.values())


def test_the_real_zip_has_the_papers_sampling(tiny_imagenet_zip: Path) -> None:
    val = open_dataset(tiny_imagenet_zip, "val")
    train = open_dataset(tiny_imagenet_zip, "train")
    assert len(val.wnids) == 200
    assert set(Counter(val.labels).values()) == {50}
    assert set(Counter(train.labels).values()) <= {450, 500}  # the official archive has 500
    assert len(set(Counter(train.labels))) == 200
    assert len(set(val.classes)) == 200
    assert val.classes[val.wnids.index("n01443537")] == "goldfish"
    image, label = val[17]
    assert (image.size, image.mode, 0 <= label < 200) == ((64, 64), "RGB", True)
