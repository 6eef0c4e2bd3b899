"""Zips of class folders from strangers: what is read, and what is refused with which sentence."""

import io
import stat
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from sevis.data import uploads as zips
from sevis.data.uploads import as_dataset, open_class_zip
from sevis.errors import SevisError


def png(value=0, side=8):
    file = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), value, dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


PHOTOS = {"cat/1.png": png(1), "cat/2.png": png(2), "dog/3.png": png(3)}


def zipped(members, method=zipfile.ZIP_STORED):
    """A zip of (name or ZipInfo, bytes)."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for member, data in members:
            archive.writestr(member, data)
    return file.getvalue()


def with_member(name, data=b"", **attributes):
    """The three photos and one member more."""
    member = zipfile.ZipInfo("placeholder")
    member.filename = name  # as it is: the constructor would cut a name at its zero byte
    for attribute, value in attributes.items():
        setattr(member, attribute, value)
    return zipped([*PHOTOS.items(), (member, data)])


def test_photos_are_read_in_place_with_their_classes():
    photos = as_dataset(open_class_zip(zipped(PHOTOS.items()), "pets.zip"))
    assert (photos.name, photos.split, photos.classes) == ("pets", "", ("cat", "dog"))
    assert photos.files == tuple(PHOTOS)
    assert photos.labels == (0, 0, 1)
    for index, data in enumerate(PHOTOS.values()):
        assert photos.read(index) == data
        assert np.asarray(photos[index][0]).max() == index + 1


def test_a_folder_around_everything_and_splits_are_understood():
    around = open_class_zip(zipped((f"pets/{name}", data) for name, data in PHOTOS.items()), "upload.zip")
    assert as_dataset(around).classes == ("cat", "dog")
    data = zipped((f"{split}/{name}", data) for split in ("train", "val") for name, data in PHOTOS.items())
    photos = as_dataset(open_class_zip(data, "upload.zip"), "train")
    assert photos.split == "train"
    assert photos.files == tuple(f"train/{name}" for name in PHOTOS)


def test_what_macos_and_windows_leave_is_no_photo():
    left = [("__MACOSX/cat/._1.png", b"x"), ("cat/.DS_Store", b"x"), ("cat/Thumbs.db", b"x"), ("cat/", b"")]
    assert as_dataset(open_class_zip(zipped([*PHOTOS.items(), *left]), "pets.zip")).files == tuple(PHOTOS)


def test_only_the_last_part_of_the_uploads_name_is_kept():
    assert open_class_zip(zipped(PHOTOS.items()), "../../etc/pets.zip").root.as_posix() == "pets.zip"


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
        open_class_zip(with_member(name, png()), "pets.zip")
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
    assert len(open_class_zip(zipped([*PHOTOS.items(), (folder, b""), (file, png(4))]), "pets.zip").names()) == 4


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_cannot_be_read_a_little_at_a_time_are_refused(method):
    with pytest.raises(SevisError, match="another method than deflate"):
        open_class_zip(zipped(PHOTOS.items(), method), "pets.zip")


def test_encrypted_members_are_refused():
    data = bytearray(zipped(PHOTOS.items()))
    start = data.rindex(b"PK\x01\x02")
    data[start + 8] |= 1  # the flag in the directory
    with pytest.raises(SevisError, match="is encrypted"):
        open_class_zip(bytes(data), "pets.zip")


def test_duplicates_are_refused():
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = zipped([*PHOTOS.items(), ("cat/1.png", png(9))])
    with pytest.raises(SevisError, match=r"holds 'cat/1.png' 2 times"):
        open_class_zip(data, "pets.zip")


def test_a_bomb_of_zeros_is_refused_without_unpacking_it(monkeypatch):
    data = zipped([*PHOTOS.items(), ("cat/4.png", b"\0" * 15_000_000)], zipfile.ZIP_DEFLATED)
    assert len(data) < 20_000
    monkeypatch.setattr(zipfile.ZipFile, "open", None)  # whoever reads a member fails
    with pytest.raises(SevisError, match="times its size"):
        open_class_zip(data, "pets.zip")


def test_too_much_in_all_is_refused(monkeypatch):
    monkeypatch.setattr(zips, "UNPACKED", sum(map(len, PHOTOS.values())) - 1)
    with pytest.raises(SevisError, match="more than the 0 MB that are taken"):
        open_class_zip(zipped(PHOTOS.items()), "pets.zip")


def test_a_photo_that_unpacks_to_too_much_is_refused():
    with pytest.raises(SevisError, match="unpacks to more than the 20 MB"):
        open_class_zip(with_member("cat/4.png", b"\0" * 20_000_001), "pets.zip")


def test_too_many_members_are_refused_before_they_are_listed(monkeypatch):
    data = zipped(PHOTOS.items())
    monkeypatch.setattr(zips, "MEMBERS", 2)
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(SevisError, match="holds 3 files, more than the 2"):
        open_class_zip(data, "pets.zip")


def overlapping(count):
    """A zip whose directory names the same packed bytes again and again (Fifield 2019)."""
    body = png()
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
    data = bytearray(zipped([("cat/1.png", body), *list(PHOTOS.items())[1:]], zipfile.ZIP_DEFLATED))
    start = data.index(b"PK\x01\x02")
    data[start + 24 : start + 28] = struct.pack("<L", 100)  # it claims to unpack to 100 bytes
    with pytest.raises(SevisError, match="is damaged"):
        open_class_zip(bytes(data), "pets.zip").read("cat/1.png")


@pytest.mark.parametrize("data", [b"", b"no zip", zipped(PHOTOS.items())[:-30], zipped(PHOTOS.items())[40:], b"PK\x05\x06" + b"\xff" * 18])
def test_damaged_zips_give_one_sentence(data):
    with pytest.raises(SevisError, match=r"pets.zip is no readable zip file|pets.zip is refused") as caught:
        open_class_zip(data, "pets.zip")
    assert "\n" not in str(caught.value)


def test_a_damaged_photo_is_named():
    data = bytearray(zipped(PHOTOS.items()))
    start = data.index(PHOTOS["cat/2.png"])
    data[start + 20] ^= 255
    with pytest.raises(SevisError, match=r"cat/2.png in pets.zip is damaged"):
        open_class_zip(bytes(data), "pets.zip").read("cat/2.png")


@pytest.mark.parametrize("members", [[], [("cat/1.txt", b"x")], [("readme.md", b"x"), ("inner/pets.zip", zipped(PHOTOS.items()))]])
def test_a_zip_without_photos_is_refused(members):
    with pytest.raises(SevisError, match=r"pets.zip holds no image: expected one folder a class"):
        open_class_zip(zipped(members), "pets.zip")


def test_photos_outside_of_folders_have_no_class():
    with pytest.raises(SevisError, match=r"no images in pets.zip: expected one folder a class"):
        as_dataset(open_class_zip(zipped([("1.png", png())]), "pets.zip"))
