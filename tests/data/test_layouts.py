"""Images as public data sets lay them out in folders: read right, or refused with what to pass. All pictures are made up."""

from collections import Counter
from pathlib import Path

import pytest

from sevis.data.datasets import ImageDataset, open_dataset
from sevis.data.own_data import splits_in
from sevis.data.parts import parts_among
from sevis.data.sources import Folder, Zip
from sevis.errors import SevisError
from tests.helpers.pictures import fill, write_classes, zipped


def classes(data: ImageDataset) -> dict[str, str]:
    return {file: data.wnids[label] for file, label in zip(data.files, data.labels, strict=True)}


def every(parts: tuple[str, ...], names: tuple[str, ...], *, within: str = "") -> list[str]:
    return [f"{within}{part}/{name}/{number}.png" for part in parts for name in names for number in range(2)]


# --- the parts of data ---

NAMED = {
    "Training/Validation": (("Training", "Validation"), "train", "Training"),
    "valid": (("train", "valid"), "val", "valid"),
    "the word asked for": (("train", "valid"), "valid", "valid"),
    "dev": (("train", "dev", "test"), "val", "dev"),
    "sets": (("training_set", "test_set"), "test", "test_set"),
    "Intel": (("seg_train", "seg_test"), "train", "seg_train"),
    "years": (("train2017", "val2017"), "val", "val2017"),
    "ImageNet": (("ILSVRC2012_img_train", "ILSVRC2012_img_val"), "val", "ILSVRC2012_img_val"),
    "a name around": (("asl_alphabet_train", "asl_alphabet_test"), "train", "asl_alphabet_train"),
    "capitals": (("TRAIN", "TEST"), "test", "TEST"),
}


@pytest.mark.parametrize("case", NAMED.values(), ids=NAMED)
@pytest.mark.parametrize("as_zip", [False, True])
def test_parts_are_known_by_other_names_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, case: tuple[tuple[str, ...], str, str], as_zip: bool
) -> None:
    parts, split, folder = case
    names = [*every(parts, ("cat", "dog")), f"{parts[0]}/eel/0.png"]
    root = write_classes(tmp_path / "data", *names)
    data = open_dataset(zipped(root) if as_zip else root, split)
    assert (data.split, data.classes) == (folder, ("cat", "dog", "eel"))
    assert set(data.files) == {name for name in names if name.startswith(f"{folder}/")}
    told = [] if split == folder else [f"there is no folder {split} in {data.source.root}, so its folder {folder} is taken"]
    assert [*data.notes] == told == [message.partition(": ")[2] for message in caplog.messages]
    assert open_dataset(root, folder).files == data.files
    assert set(splits_in(data.source)) == set(parts)


def test_folders_that_are_no_parts() -> None:
    assert parts_among(["bullet train", "tram", "test tube", "valley", "trainer", "data", "images", "2017"]) == {}
    assert parts_among(["steam_train", "steam_test", "crash test"]) == {"steam_train": "train", "steam_test": "test"}


def test_a_part_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "cifar", *every(("train", "test"), ("airplane", "frog")))
    with pytest.raises(SevisError, match=r"there is no 'val' in .*cifar: choose one of test, train$"):
        open_dataset(root)
    assert len(open_dataset(root, "test")) == 4
    both = write_classes(tmp_path / "both", *every(("val", "valid", "Val", "train2016", "train2017"), ("a", "b")))
    assert open_dataset(both, "valid").split == "valid"
    assert open_dataset(both, "Val").split == "Val"
    with pytest.raises(SevisError, match=r"there is no 'train' in .*both: choose one of .*train2016, train2017"):
        open_dataset(both, "train")


def test_folders_within_a_part_that_only_repeat_it(tmp_path: Path) -> None:
    root = write_classes(
        tmp_path / "intel", *every(("seg_train/seg_train", "seg_test/seg_test"), ("sea", "street")), "seg_pred/seg_pred/0.png"
    )
    assert open_dataset(root, "train").classes == ("sea", "street")
    deep = write_classes(tmp_path / "deep", *every(("a/b/train/images", "a/b/val"), ("sea", "street")))
    assert (open_dataset(deep, "train").classes, open_dataset(deep).split) == (("sea", "street"), "val")


def test_a_class_below_a_part_may_be_called_like_one(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "cifar100", *every(("train", "test"), ("apple", "train")))
    assert Counter(classes(open_dataset(root, "test")).values()) == {"apple": 2, "train": 2}


# --- folders that are no classes ---

REFUSED = {
    "Kaggle's flat train": (["train/0.png", "train/1.png", "test/2.png"], "train", r"2 images lie in ROOT/train without class folders, so"),
    "COCO": (["val2017/0.png", "train2017/1.png"], "val", r"1 image lies in ROOT/val2017 without class folders.*\(--labels FILE\)"),
    "COCO's folder": (["0.png", "1.png"], "val", "2 images lie in ROOT without class folders"),
    "dogs and cats": (["train/train/cat.0.png", "test1/test1/1.png"], "train", "1 image lies in ROOT/train/train without class folders"),
    "Pascal VOC": (
        ["JPEGImages/0.png", "SegmentationClass/0.png"],
        "val",
        r"the folder JPEGImages in ROOT is no class by its name: name .*--labels",
    ),
    "VOCdevkit": (["VOCdevkit/VOC2012/JPEGImages/0.png"], "val", "JPEGImages in ROOT/VOCdevkit/VOC2012 is no class"),
    "Oxford pets": (["images/Abyssinian_1.png", "annotations/trimaps/Abyssinian_1.png"], "val", "the folder images in ROOT is no class"),
    "CUB": (
        ["images/001.A/1.png", "images/002.B/1.png", "segmentations/001.A/1.png"],
        "val",
        "no class by its name: name ROOT/images itself",
    ),
    "Stanford Dogs": (["Images/n02085620-Chihuahua/1.png", "Images/n02085782-Spaniel/1.png"], "val", "name ROOT/Images itself"),
    "Caltech": (["101_ObjectCategories/ant/1.png", "101_ObjectCategories/bee/1.png"], "val", "name ROOT/101_ObjectCategories itself"),
    "Food-101": (["images/pie/1.png", "images/soup/2.png"], "val", "folders below images: name ROOT/images itself"),
    "NIH": (["images_001/images/0.png", "images_002/images/1.png"], "val", "the folder images_001 in ROOT is no class by its name"),
    "YOLO": (["train/images/0.png", "valid/images/1.png"], "val", "1 image lies in ROOT/valid/images without class folders"),
    "parts below classes": (
        ["cat/train/0.png", "cat/test/1.png", "dog/train/2.png"],
        "val",
        "the folder cat in ROOT holds test, train, so it is",
    ),
    "several data sets": (["pets/train/cat/0.png", "cars/train/bus/1.png"], "val", "name ROOT/(cars|pets) itself"),
    "one split, flat": (["train/0.png"], "val", "there is no 'val' in ROOT: choose one of train$"),
    "a train among vehicles": (
        ["train/0.png", "tram/1.png"],
        "train",
        r"if train is a class, as tram, say so with an empty split \(--split ''\)",
    ),
    "the same, by default": (["train/0.png", "tram/1.png"], "val", r"no 'val' in ROOT: choose one of train; if train is a class, as tram"),
}


@pytest.mark.parametrize(("names", "split", "sentence"), REFUSED.values(), ids=REFUSED)
def test_folders_that_are_no_classes_are_refused_with_what_to_pass(tmp_path: Path, names: list[str], split: str, sentence: str) -> None:
    root = write_classes(tmp_path / "data", *names)
    with pytest.raises(SevisError, match=sentence.replace("ROOT", str(root))) as caught:
        open_dataset(root, split)
    assert "\n" not in str(caught.value)


def test_an_empty_split_says_that_there_are_no_parts(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "vehicles", "train/1.png", "tram/2.png", "data/3.png")
    data = open_dataset(root, "")
    assert (data.classes, data.split) == (("data", "train", "tram"), "")


def test_names_of_classes_stay_as_they_are(tmp_path: Path) -> None:
    data = open_dataset(write_classes(tmp_path / "data", "Paris, France/0.png", "London, UK/0.png", "tabby, tabby cat/0.png"))
    assert data.classes == data.wnids == ("London, UK", "Paris, France", "tabby, tabby cat")


def test_what_systems_leave_is_no_class(tmp_path: Path) -> None:
    left = (
        "__MACOSX/cat/._0.png",
        "in/__MACOSX/0.png",
        ".ipynb_checkpoints/0.png",
        "cat/.ipynb_checkpoints/0.png",
        "cat/@eaDir/0.png/1.jpg",
    )
    root = write_classes(tmp_path / "data", *every(("cat", "dog"), ("deep",)), *left)
    fill(root, {"cat/Thumbs.db": b"x", "dog/desktop.ini": b"x"})
    data = open_dataset(root)
    assert (data.classes, len(data), data.empty, data.remarks) == (("cat", "dog"), 4, ("in",), ())
    assert open_dataset(zipped(root)).files == data.files


# --- what is left out is told ---


@pytest.mark.parametrize("as_zip", [False, True])
def test_suffixes_that_are_not_read_are_counted_and_named(tmp_path: Path, as_zip: bool, caplog: pytest.LogCaptureFixture) -> None:
    root = write_classes(tmp_path / "data", "a/0.png", "a/1.PNG", "b/0.png", "loose.png")
    fill(root, {"a/2.tif": b"II*\0", "b/2.ppm": b"P6", "b/3.TIF": b"", "c/4.heic": b"", "c/5": b"", "readme.txt": b""})
    data = open_dataset(zipped(root) if as_zip else root)
    assert (len(data), data.empty) == (3, ("c",))
    assert data.skipped == {".tif": 2, ".ppm": 1, ".heic": 1, "": 1}
    assert data.remarks[0] == "1 image lies in no class folder and so left out: loose.png"
    assert data.remarks[1].startswith(
        ".tif: 2 files, .ppm: 1 file, .heic: 1 file, without a suffix: 1 file are not read, because only .png"
    )
    assert len(caplog.messages) == 2


def test_images_of_other_suffixes_alone_are_named(tmp_path: Path) -> None:
    root = fill(tmp_path / "data", {"a/0.tif": b"II*\0", "b/1.tif": b"II*\0", "a/notes.txt": b""})
    with pytest.raises(SevisError, match=r"no images in .*data: .*; \.tif: 2 files$"):
        open_dataset(root)


def test_one_class_alone_is_told(tmp_path: Path) -> None:
    data = open_dataset(write_classes(tmp_path / "celeba", "img_align_celeba/0.png", "img_align_celeba/1.png"))
    assert data.notes == ("all images are of one class, because they lie in one folder, img_align_celeba",)


def test_what_might_be_meant_otherwise_is_told(tmp_path: Path) -> None:
    domains = open_dataset(write_classes(tmp_path / "pacs", *every(("art", "photo"), ("cat", "dog"))))
    assert domains.classes == ("art", "photo")
    (told,) = domains.notes
    assert told == "no class folder holds an image itself: if art/cat, art/dog, photo/cat, ... are the classes, name the folder around them"
    beside = open_dataset(write_classes(tmp_path / "stl", *every(("train", "test"), ("a", "b")), "unlabeled/0.png"), "test")
    assert beside.notes == ("the images in unlabeled are left out, because they are of no part (test, train)",)


def test_numbered_folders_stand_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    data = open_dataset(write_classes(tmp_path / "imagenetv2", *(f"{number}/0.png" for number in range(120))))
    assert classes(data) == {f"{number}/0.png": str(number) for number in range(120)}
    assert data.labels == tuple(int(file.partition("/")[0]) for file in data.files)
    assert data.notes == ("its 120 classes are numbers, from 0 to 119: they stand in this order, and nothing names them",)
    assert open_dataset(write_classes(tmp_path / "digits", *(f"{number}/0.png" for number in range(10)))).notes == ()


# --- links ---


def test_links_are_followed_on_ones_own_machine(tmp_path: Path) -> None:
    """As the caches of Hugging Face and DVC are: files, or whole folders, that lie elsewhere under other names."""
    blobs = write_classes(tmp_path / "blobs", "0f", "1e", "folder/2.png")
    root = tmp_path / "snapshot"
    for link, target in (("train/cat/0.png", "0f"), ("train/dog/1.png", "1e"), ("train/eel", "folder"), ("val", "../snapshot/train")):
        (root / link).parent.mkdir(parents=True, exist_ok=True)
        (root / link).symlink_to(blobs / target)
    data = open_dataset(root, "train")
    assert classes(data) == {"train/cat/0.png": "cat", "train/dog/1.png": "dog", "train/eel/2.png": "eel"}
    assert [image.size for image, _ in data] == [(8, 6)] * 3
    assert len(open_dataset(root, "val")) == 3
    data = open_dataset(root, "train", links=False)
    assert (data.files, data.empty) == (("train/cat/0.png", "train/dog/1.png"), ())
    with pytest.raises(SevisError, match="is a link that leads out of"):
        data[0]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", "a/0.png", "b/1.png")
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "other").symlink_to(root / "b")
    (root / "b" / "other").symlink_to(root / "a")
    (root / "b" / "self").symlink_to(root / "b" / "self")
    (root / "c").symlink_to(root / "a")
    data = open_dataset(root)
    assert data.classes == ("a", "b", "c")
    assert set(data.files) == {"a/0.png", "a/other/1.png", "b/1.png", "b/other/0.png", "c/0.png", "c/other/1.png"}


def test_parts_below_folders_around_them_are_offered(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "xray", *every(("chest_xray/Training", "chest_xray/Testing"), ("a", "b")))
    assert splits_in(Folder(root)) == splits_in(Zip(zipped(root, within="xray/"))) == ("Testing", "Training")
    assert splits_in(Folder(root / "chest_xray" / "Training")) == ()
