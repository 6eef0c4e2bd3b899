"""Zips from strangers, and folders that an operator lets them look into: what is found, and what is refused with which sentence."""

import os
import stat
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from sevis.data import own_data
from sevis.data.datasets import class_folders
from sevis.data.own_data import find_class_folders, look_through, open_class_zip
from sevis.errors import SevisError
from sevis.settings import allowed_roots
from tests.helpers.pictures import png, zip_of

# --- a zip ---


def grey(value=0, side=8):
    return png(Image.fromarray(np.full((side, side, 3), value, dtype=np.uint8)))


PHOTOS = {"cat/1.png": grey(1), "cat/2.png": grey(2), "dog/3.png": grey(3)}


def with_member(name, data=b"", **attributes):
    """The three photos and one member more."""
    member = zipfile.ZipInfo("placeholder")
    member.filename = name  # as it is: the constructor would cut a name at its zero byte
    for attribute, value in attributes.items():
        setattr(member, attribute, value)
    return zip_of([*PHOTOS.items(), (member, data)])


def as_dataset(source, split="val"):
    return class_folders(source, source.names(), split)


def test_photos_are_read_in_place_with_their_classes():
    photos = as_dataset(open_class_zip(zip_of(PHOTOS.items()), "pets.zip"))
    assert (photos.name, photos.split, photos.classes) == ("pets", "", ("cat", "dog"))
    assert photos.files == tuple(PHOTOS)
    assert photos.labels == (0, 0, 1)
    for index, data in enumerate(PHOTOS.values()):
        assert photos.read(index) == data
        assert np.asarray(photos[index][0]).max() == index + 1


def test_a_folder_around_everything_and_splits_are_understood():
    around = open_class_zip(zip_of((f"pets/{name}", data) for name, data in PHOTOS.items()), "upload.zip")
    assert as_dataset(around).classes == ("cat", "dog")
    data = zip_of((f"{split}/{name}", data) for split in ("train", "val") for name, data in PHOTOS.items())
    photos = as_dataset(open_class_zip(data, "upload.zip"), "train")
    assert photos.split == "train"
    assert photos.files == tuple(f"train/{name}" for name in PHOTOS)


def test_what_macos_and_windows_leave_is_no_photo():
    left = [("__MACOSX/cat/._1.png", b"x"), ("cat/.DS_Store", b"x"), ("cat/Thumbs.db", b"x"), ("cat/", b"")]
    assert as_dataset(open_class_zip(zip_of([*PHOTOS.items(), *left]), "pets.zip")).files == tuple(PHOTOS)


def test_only_the_last_part_of_the_uploads_name_is_kept():
    assert open_class_zip(zip_of(PHOTOS.items()), "../../etc/pets.zip").root.as_posix() == "pets.zip"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("../cat/4.png", "leads out of the zip"),
        ("cat/../../4.png", "leads out of the zip"),
        ("/etc/4.png", "leads out of the zip"),
        ("C:/cat/4.png", "leads out of the zip"),
        ("cat\\..\\4.png", "has a backslash"),
        ("cat/4\n.png", "unprintable character"),
        ("cat/4.png\0.exe", "unprintable character"),
        ("cat//4.png", "an empty part"),
        ("./cat/4.png", "an empty part"),
        ("a/b/c/d/e/f/g/4.png", "more than 6 folders deep"),
        (f"cat/{'x' * 300}.png", "more than 250 characters"),
    ],
)
def test_names_that_no_zip_of_photos_has_are_refused(name, sentence):
    with pytest.raises(SevisError, match=sentence) as caught:
        open_class_zip(with_member(name, grey()), "pets.zip")
    assert str(caught.value).startswith("pets.zip is refused: its member")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(kind):
    with pytest.raises(SevisError, match="is a link or a device"):
        open_class_zip(with_member("cat/4.png", b"/etc/passwd", external_attr=(kind | 0o644) << 16), "pets.zip")


def test_files_and_folders_with_the_modes_of_a_unix_are_taken():
    folder = zipfile.ZipInfo("bird/")
    folder.external_attr = (stat.S_IFDIR | 0o755) << 16
    file = zipfile.ZipInfo("bird/4.png")
    file.external_attr = (stat.S_IFREG | 0o644) << 16
    assert len(open_class_zip(zip_of([*PHOTOS.items(), (folder, b""), (file, grey(4))]), "pets.zip").names()) == 4


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_cannot_be_read_a_little_at_a_time_are_refused(method):
    with pytest.raises(SevisError, match="another method than deflate"):
        open_class_zip(zip_of(PHOTOS.items(), method), "pets.zip")


def test_encrypted_members_are_refused():
    data = bytearray(zip_of(PHOTOS.items()))
    start = data.rindex(b"PK\x01\x02")
    data[start + 8] |= 1  # the flag in the directory
    with pytest.raises(SevisError, match="is encrypted"):
        open_class_zip(bytes(data), "pets.zip")


def test_duplicates_are_refused():
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = zip_of([*PHOTOS.items(), ("cat/1.png", grey(9))])
    with pytest.raises(SevisError, match=r"holds 'cat/1.png' 2 times"):
        open_class_zip(data, "pets.zip")


def test_a_bomb_of_zeros_is_refused_without_unpacking_it(monkeypatch):
    data = zip_of([*PHOTOS.items(), ("cat/4.png", b"\0" * 15_000_000)], zipfile.ZIP_DEFLATED)
    assert len(data) < 20_000
    monkeypatch.setattr(zipfile.ZipFile, "open", None)  # whoever reads a member fails
    with pytest.raises(SevisError, match="times its size"):
        open_class_zip(data, "pets.zip")


def test_too_much_in_all_is_refused(monkeypatch):
    monkeypatch.setattr(own_data, "UNPACKED", sum(map(len, PHOTOS.values())) - 1)
    with pytest.raises(SevisError, match="but at most 0 MB are allowed"):
        open_class_zip(zip_of(PHOTOS.items()), "pets.zip")


def test_a_photo_that_unpacks_to_too_much_is_refused():
    with pytest.raises(SevisError, match="unpacks to more than 20 MB"):
        open_class_zip(with_member("cat/4.png", b"\0" * 20_000_001), "pets.zip")


def test_too_many_members_are_refused_before_they_are_listed(monkeypatch):
    data = zip_of(PHOTOS.items())
    monkeypatch.setattr(own_data, "MEMBERS", 2)
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(SevisError, match="holds 3 files, but at most 2"):
        open_class_zip(data, "pets.zip")


def overlapping(count):
    """A zip whose directory names the same packed bytes again and again (Fifield 2019)."""
    body = grey()
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 0, 0, 0, zlib.crc32(body), len(body), len(body), 9, 0) + b"cat/0.png" + body
    directory = b""
    for number in range(count):
        name = f"cat/{number}.png".encode()
        fields = (20, 20, 0, 0, 0, 0, zlib.crc32(body), len(body), len(body), len(name), 0, 0, 0, 0, 0, 0)
        directory += struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *fields) + name
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(directory), len(local), 0)
    return local + directory + end


def test_members_that_share_bytes_are_refused():
    assert open_class_zip(overlapping(1), "pets.zip").names() == ["cat/0.png"]
    with pytest.raises(SevisError, match="shares bytes with another"):
        open_class_zip(overlapping(2), "pets.zip")


def test_a_member_gives_no_more_than_its_directory_says():
    body = b"\0" * 1_000_000
    data = bytearray(zip_of([("cat/1.png", body), *list(PHOTOS.items())[1:]], zipfile.ZIP_DEFLATED))
    start = data.index(b"PK\x01\x02")
    data[start + 24 : start + 28] = struct.pack("<L", 100)  # it claims to unpack to 100 bytes
    with pytest.raises(SevisError, match="is damaged"):
        open_class_zip(bytes(data), "pets.zip").read("cat/1.png")


@pytest.mark.parametrize("data", [b"", b"no zip", zip_of(PHOTOS.items())[:-30], zip_of(PHOTOS.items())[40:], b"PK\x05\x06" + b"\xff" * 18])
def test_damaged_zips_give_one_sentence(data):
    with pytest.raises(SevisError, match=r"pets.zip is no readable zip file|pets.zip is refused") as caught:
        open_class_zip(data, "pets.zip")
    assert "\n" not in str(caught.value)


def test_a_damaged_photo_is_named():
    data = bytearray(zip_of(PHOTOS.items()))
    start = data.index(PHOTOS["cat/2.png"])
    data[start + 20] ^= 255
    with pytest.raises(SevisError, match=r"cat/2.png in pets.zip is damaged"):
        open_class_zip(bytes(data), "pets.zip").read("cat/2.png")


@pytest.mark.parametrize("members", [[], [("cat/1.txt", b"x")], [("readme.md", b"x"), ("inner/pets.zip", zip_of(PHOTOS.items()))]])
def test_a_zip_without_photos_is_refused(members):
    with pytest.raises(SevisError, match=r"pets.zip holds no image: expected one folder for each class"):
        open_class_zip(zip_of(members), "pets.zip")


def test_photos_outside_of_folders_have_no_class():
    with pytest.raises(SevisError, match=r"1 image lies in pets.zip without class folders.*put the images of each class into a folder"):
        as_dataset(open_class_zip(zip_of([("1.png", grey())]), "pets.zip"))


# --- a folder ---


def fill(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


@pytest.fixture
def root(tmp_path):
    """One root with three data sets, and things that are none."""
    root = tmp_path.resolve() / "shared"
    fill(root / "pets", "cat/1.png", "cat/2.JPG", "dog/3.jpeg", "notes.txt", "dog/labels.csv", "dog/.hidden")
    fill(root / "deep" / "er" / "cars", "train/bus/1.png", "val/bus/1.png")
    fill(root / "music", "a/1.mp3", "b/2.mp3")
    fill(root / "one", "only/1.png")
    return root


def test_the_operators_variable_names_the_roots(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.delenv("SEVIS_DATA_ROOTS", raising=False)
    assert allowed_roots() == ()
    monkeypatch.setenv("SEVIS_DATA_ROOTS", os.pathsep.join(["", *(str(tmp_path / name) for name in ("a", "missing", "b", "a"))]))
    assert allowed_roots() == (tmp_path.resolve() / "a", tmp_path.resolve() / "b")


def test_data_sets_are_found_and_called_by_their_place(root):
    assert find_class_folders((root,)) == {"shared/deep/er/cars": root / "deep" / "er" / "cars", "shared/pets": root / "pets"}
    assert find_class_folders((root / "pets",)) == {"pets": root / "pets"}, "a root may be a data set itself"
    assert find_class_folders(()) == {}


def test_a_data_set_whose_first_class_is_empty_is_found(root):
    fill(root / "pets" / "ape", "notes.txt")
    assert "shared/pets" in find_class_folders((root,))


def test_data_sets_with_parts_of_other_names_are_found(tmp_path):
    fill(tmp_path / "shared" / "birds", "Training/owl/1.png", "Validation/owl/1.png")
    fill(tmp_path / "shared" / "flat", "Training/1.png", "Validation/1.png")
    assert list(find_class_folders((tmp_path / "shared",))) == ["shared/birds"]


def test_two_of_one_name_are_told_apart(root, tmp_path):
    other = fill(tmp_path / "other" / "shared", "pets/cat/1.png", "pets/dog/1.png")
    assert list(find_class_folders((root, other))) == ["shared/deep/er/cars", "shared/pets", "shared/pets (2)"]


def test_links_are_not_followed_by_the_search(root, tmp_path):
    secret = fill(tmp_path / "secret", "cat/1.png", "dog/1.png")
    (root / "link").symlink_to(secret)
    (root / "round").symlink_to(root)
    assert list(find_class_folders((root,))) == ["shared/deep/er/cars", "shared/pets"]


def test_the_search_ends(root, monkeypatch):
    monkeypatch.setattr(own_data, "SEARCHED", 1)
    assert find_class_folders((root,)) == {}
    monkeypatch.undo()
    monkeypatch.setattr(own_data, "LISTED", 1)
    assert list(find_class_folders((root,))) == ["shared/deep/er/cars"]


def test_what_is_no_image_is_named(root, monkeypatch):
    (root / "pets" / "bird.png").mkdir()
    assert sorted(look_through(root / "pets", (root,))) == ["dog/labels.csv", "notes.txt"]
    monkeypatch.setattr(own_data, "OTHERS", 1)
    assert len(look_through(root / "pets", (root,))) == 1


@pytest.mark.parametrize("way", ["..", "pets/../../secret", "link", "pets\0"])
def test_nothing_outside_of_the_roots_is_looked_through(root, tmp_path, way):
    secret = fill(tmp_path / "secret", "cat/1.png", "dog/1.png")
    (root / "link").symlink_to(secret)
    with pytest.raises(SevisError, match="is not below a folder that the operator of this app allowed"):
        look_through(root / way, (root,))


def test_too_many_files_are_counted_while_walking(root, monkeypatch):
    monkeypatch.setattr(own_data, "FILES", 7)  # five files in two folders
    look_through(root / "pets", (root,))
    monkeypatch.setattr(own_data, "FILES", 6)
    with pytest.raises(SevisError, match=r"pets holds more than 6 files: collect it with python -m sevis collect"):
        look_through(root / "pets", (root,))


def test_folders_nested_too_deep_are_refused(root):
    fill(root / "pets", "a/b/c/d/e/f/1.png")
    look_through(root / "pets", (root,))
    fill(root / "pets", "a/b/c/d/e/f/g/1.png")
    with pytest.raises(SevisError, match="pets is nested more than 6 folders deep, at a/b/c/d/e/f/g"):
        look_through(root / "pets", (root,))


def test_folders_without_images_are_refused(root, tmp_path):
    with pytest.raises(SevisError, match="music holds no image"):
        look_through(root / "music", (root,))


def test_a_folder_that_cannot_be_read_is_named(root, monkeypatch):
    scandir = os.scandir

    def refuse(path):  # as the system does for another user's folder; a test may run as root, whom it refuses nothing
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(
        SevisError, match=r"pets/dog cannot be read \(Permission denied\): give the user that runs this app permission to read it"
    ):
        look_through(root / "pets", (root,))
    assert list(find_class_folders((root,))) == ["shared/deep/er/cars"], "the search passes over it"
