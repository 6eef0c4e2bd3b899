"""Folders that an operator lets visitors look into: what is found, what is refused."""

import os

import pytest

from sevis.data import uploads as folders
from sevis.data.uploads import find_class_folders, look_through
from sevis.errors import SevisError
from sevis.settings import allowed_roots


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


def test_two_of_one_name_are_told_apart(root, tmp_path):
    other = fill(tmp_path / "other" / "shared", "pets/cat/1.png", "pets/dog/1.png")
    assert list(find_class_folders((root, other))) == ["shared/deep/er/cars", "shared/pets", "shared/pets (2)"]


def test_links_are_not_followed_by_the_search(root, tmp_path):
    secret = fill(tmp_path / "secret", "cat/1.png", "dog/1.png")
    (root / "link").symlink_to(secret)
    (root / "round").symlink_to(root)
    assert list(find_class_folders((root,))) == ["shared/deep/er/cars", "shared/pets"]


def test_the_search_ends(root, monkeypatch):
    monkeypatch.setattr(folders, "LOOKED_INTO", 1)
    assert find_class_folders((root,)) == {}
    monkeypatch.undo()
    monkeypatch.setattr(folders, "LISTED", 1)
    assert list(find_class_folders((root,))) == ["shared/deep/er/cars"]


def test_what_is_no_image_is_named(root, monkeypatch):
    (root / "pets" / "bird.png").mkdir()
    assert sorted(look_through(root / "pets", (root,))) == ["dog/labels.csv", "notes.txt"]
    monkeypatch.setattr(folders, "NAMED", 1)
    assert len(look_through(root / "pets", (root,))) == 1


@pytest.mark.parametrize("way", ["..", "pets/../../secret", "link", "pets\0"])
def test_nothing_outside_of_the_roots_is_looked_through(root, tmp_path, way):
    secret = fill(tmp_path / "secret", "cat/1.png", "dog/1.png")
    (root / "link").symlink_to(secret)
    with pytest.raises(SevisError, match="is not below a folder that the operator of this app allowed"):
        look_through(root / way, (root,))


def test_too_many_files_are_counted_while_walking(root, monkeypatch):
    look_through(root / "pets", (root,), most=7)  # five files in two folders
    with pytest.raises(SevisError, match=r"pets holds more than 6 files: collect it with python -m sevis collect"):
        look_through(root / "pets", (root,), most=6)


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
    with pytest.raises(SevisError, match=r"pets/dog cannot be read \(Permission denied\): let the user that runs this app read it"):
        look_through(root / "pets", (root,))
    assert list(find_class_folders((root,))) == ["shared/deep/er/cars"], "the search passes over it"
