"""Images without class folders: Hugging Face's metadata says their classes, or a list does; else the right list is named."""

from pathlib import Path

import pytest

from sevis.data.datasets import ImageDataset, open_dataset
from sevis.errors import SevisError
from tests.helpers.pictures import fill, write_classes, zipped


def classes(data: ImageDataset) -> dict[str, str]:
    return {file: data.classes[label] for file, label in zip(data.files, data.labels, strict=True)}


# --- Hugging Face's imagefolder ---

TRAIN = b"file_name,text,label\n0.png,one,cat\n1.png,two,dog\n"
TEST = b"file_name,text,label\n2.png,three,eel\n"


@pytest.mark.parametrize("as_zip", [False, True])
@pytest.mark.parametrize(
    "tables",
    [
        {"train/metadata.csv": TRAIN, "test/metadata.csv": TEST},
        {"metadata.csv": b"file_name,label\ntrain/0.png,cat\ntrain/1.png,dog\ntest/2.png,eel\n"},
        {
            "train/metadata.jsonl": b'{"file_name": "0.png", "label": "cat"}\n{"file_name": "1.png", "label": "dog"}\n',
            "test/metadata.jsonl": b'{"file_name": "2.png", "label": "eel"}\n',
        },
    ],
    ids=["csv", "one for all", "jsonl"],
)
def test_metadata_says_the_classes(tmp_path: Path, tables: dict[str, bytes], as_zip: bool) -> None:
    root = fill(write_classes(tmp_path / "hub", "train/0.png", "train/1.png", "test/2.png"), tables)
    train, test = (open_dataset(zipped(root) if as_zip else root, split) for split in ("train", "test"))
    assert classes(train) == {"train/0.png": "cat", "train/1.png": "dog"}
    assert classes(test) == {"test/2.png": "eel"}
    assert train.classes == test.classes == ("cat", "dog", "eel"), "the classes are those of all parts"
    assert (train.split, train.remarks) == ("train", ())


def test_metadata_without_parts_and_with_shards(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "hub", "images/0.png", "images/1.png")
    fill(root, {"metadata.csv": b"file_name,label\nimages/0.png,10\nimages/1.png,9\n"})
    assert classes(open_dataset(root)) == {"images/0.png": "10", "images/1.png": "9"}
    shards = write_classes(tmp_path / "shards", "0000/0.png", "0001/1.png", "0001/2.png")
    fill(shards, {"metadata.csv": b"file_name,label\n0000/0.png,a\n0001/1.png,a\n"})
    data = open_dataset(shards)
    assert classes(data) == {"0000/0.png": "a", "0001/1.png": "a"}
    assert data.notes == ("1 image is on no line of metadata.csv and so left out: 0001/2.png",)


def test_metadata_without_classes_leaves_the_folders_their_say(tmp_path: Path) -> None:
    root = fill(write_classes(tmp_path / "hub", "cat/0.png", "dog/1.png"), {"metadata.csv": b"file_name,text,size\ncat/0.png,a,b\n"})
    assert open_dataset(root).classes == ("cat", "dog")
    fill(root, {"metadata.csv": b"file_name,text\ncat/0.png,a cat on a mat\n"})
    assert open_dataset(root).classes == ("cat", "dog"), "captions are no classes"
    flat = fill(write_classes(tmp_path / "flat", "0.png", "1.png"), {"metadata.csv": b"file_name,text,size\n0.png,a,b\n1.png,c,d\n"})
    with pytest.raises(
        SevisError, match=r"without class folders.*; it is not clear which column of .*flat/metadata\.csv holds the classes"
    ):
        open_dataset(flat)
    fill(flat, {"metadata.csv": b"file_name,label\n0.png,a\n0.png,b\n"})
    with pytest.raises(SevisError, match=r"metadata\.csv gives 1 image more than one class: 0\.png \(a and b\)"):
        open_dataset(flat)


# --- Kaggle's lists ---

KAGGLE = {
    "labels.csv": b"id,breed\n0,terrier\n1,collie\n",
    "train.csv": b"image_id,label\n0.png,terrier\n1.png,collie\n",
    "trainLabels.csv": b"id,label\n0,terrier\n1,collie\n",
}


@pytest.mark.parametrize(("name", "content"), KAGGLE.items(), ids=KAGGLE)
def test_the_list_of_flat_files_is_named_and_read(tmp_path: Path, name: str, content: bytes) -> None:
    root = write_classes(tmp_path / "kaggle", "train/0.png", "train/1.png", "test/7.png")
    fill(root, {name: content, "sample_submission.csv": b"id,label\n7,terrier\n", "readme.txt": b"dogs"})
    with pytest.raises(SevisError, match=rf"put the images of .*, or name a list of their classes \(--labels {root / name}\)$"):
        open_dataset(root, "train")
    data = open_dataset(root, "train", labels=root / name)
    assert classes(data) == {"train/0.png": "terrier", "train/1.png": "collie"}
    assert open_dataset(root, labels=str(root / name)).files == data.files, "the list names images of one part alone"
    with pytest.raises(SevisError, match=r"names images of train, and none of test: choose a part with --split, one of"):
        open_dataset(root, "test", labels=root / name)


def test_kaggles_imagenet(tmp_path: Path) -> None:
    base = "ILSVRC/Data/CLS-LOC"
    root = write_classes(
        tmp_path / "imagenet", f"{base}/train/n01/a.JPEG", f"{base}/train/n02/b.JPEG", f"{base}/val/v1.JPEG", f"{base}/test/t.JPEG"
    )
    solution = "ImageId,PredictionString\nv1,n02 1 2 3 4 \n"
    fill(root, {"LOC_val_solution.csv": solution.encode(), "LOC_synset_mapping.txt": b"n01 tench, Tinca tinca\n"})
    assert classes(open_dataset(root, "train")) == {f"{base}/train/n01/a.JPEG": "n01", f"{base}/train/n02/b.JPEG": "n02"}
    with pytest.raises(SevisError, match=rf"1 image lies in {root / base}/val without .*\(--labels {root}/LOC_val_solution\.csv\)"):
        open_dataset(root)
    for place in (root, root / base, root / base / "val"):
        data = open_dataset(place, labels=root / "LOC_val_solution.csv")
        assert list(classes(data).values()) == ["n02"]


def test_a_list_of_several_parts_gives_both_the_same_classes(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", "train/0.png", "valid/1.png", "valid/2.png")
    fill(root, {"all.csv": b"path,class\ntrain/0.png,a\nvalid/1.png,b\nvalid/2.png,c\n"})
    train, valid = (open_dataset(root, split, labels=root / "all.csv") for split in ("train", "val"))
    assert (classes(train), classes(valid)) == ({"train/0.png": "a"}, {"valid/1.png": "b", "valid/2.png": "c"})
    assert train.classes == valid.classes == ("a", "b", "c")
    with pytest.raises(SevisError, match=r"names images of train, valid, and it is not clear which are meant: choose a part with --split"):
        open_dataset(root, "test", labels=root / "all.csv")


def test_a_list_that_is_not_there_is_refused(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", "0.png")
    with pytest.raises(SevisError, match=r"none\.csv cannot be read \(No such file or directory\): name a text file"):
        open_dataset(root, labels=tmp_path / "none.csv")
