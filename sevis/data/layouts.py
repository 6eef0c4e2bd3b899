"""How images lie in folders: which part of the data each belongs to (train, val, test), and which class. Read right, or refused.

A folder that is named like a part is never taken for a class, nor is one that only says that it holds images.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sevis.data.arrangement import Arrangement, Files, count_suffixes, counted, in_order, note_numbers
from sevis.data.flat_images import by_list, by_metadata, no_folders, no_images
from sevis.data.image_formats import SUFFIXES, is_image
from sevis.data.labels_file import some
from sevis.data.parts import holds_images, named, part_of, parts_among
from sevis.data.sources import Folder, Source, printable
from sevis.errors import SevisError


@dataclass
class _Place:
    """A folder: how many images lie directly in it, and the folders below it that hold some."""

    images: int = 0
    folders: dict[str, "_Place"] = field(default_factory=dict)

    def at(self, path: Sequence[str]) -> "_Place":
        """Return the folder at a path below this one."""
        return self.folders[path[0]].at(path[1:]) if path else self


def arrange(source: Source, names: list[str], split: str, *, labels: Path | None = None) -> Arrangement:
    """Return which images of a source there are and of which class: by a list of labels, a metadata file, or the folders they lie in.

    Args:
        source: where the files lie.
        names: of its files.
        split: the part that is asked for, where the data has parts: the name of its folder, or another word for it. Empty: there are no
            parts, and each folder is a class.
        labels: a list of the classes, see `read_labels`.

    Raises:
        SevisError: for no image, a part that is not there, images whose class nothing tells, and folders that are no classes.
    """
    files = Files(source, names)
    if not files.images:
        raise SevisError(
            f"no images in {source.root}: expected one folder for each class with files ending in {', '.join(SUFFIXES)}, or one folder of "
            f"files and a list of their classes (--labels){no_images(files)}"
        )
    tree = _tree(files.images)
    around = _around(tree)
    parts = parts_among(tree.at(around).folders) if split else {}
    part = named(parts, split)
    if labels is not None:
        return by_list(files, labels, {name: "/".join((*around, name, "")) for name in parts}, part)
    if not parts:
        return by_metadata(files, "", "") or _without_parts(files, tree, around, checked=bool(split))
    if not part:
        raise _missing(files, tree.at(around), parts, split)
    found = by_metadata(files, "/".join((*around, part, "")), part) or _below_parts(files, tree, around, parts, part)
    told = f"there is no folder {split} in {source.root}, so its folder {printable(part)} is taken"
    return found if part == split else replace(found, notes=(told, *found.notes))


def _tree(images: Iterable[str]) -> _Place:
    tree = _Place()
    for path, count in Counter(name.rpartition("/")[0] for name in images).items():
        place = tree
        for folder in path.split("/") if path else ():
            place = place.folders.setdefault(folder, _Place())
        place.images = count
    return tree


def _around(tree: _Place) -> tuple[str, ...]:
    """Return the folders around everything: down to the parts, or to where there are several folders or images."""
    path: tuple[str, ...] = ()
    while not tree.images and len(tree.folders) == 1 and not parts_among(tree.folders):
        name, below = next(iter(tree.folders.items()))
        if below.images:
            break
        path, tree = (*path, name), below
    return path


def _missing(files: Files, base: _Place, parts: Mapping[str, str], split: str) -> SevisError:
    there = ", ".join(sorted(map(printable, parts)))
    return SevisError(f"there is no {split!r} in {files.source.root}: choose one of {there}{_if_classes(base, parts)}")


def _if_classes(base: _Place, parts: Mapping[str, str]) -> str:
    """Return the end of a sentence, where a folder named like a part holds images beside other folders, and so might be a class."""
    others = [name for name in base.folders if name not in parts]
    flat = [name for name in parts if base.folders[name].images]
    told = f"; if {some(flat)} is a class, as {some(others)}, say so with an empty split (--split '')"
    return told if others and flat else ""


def _below_parts(files: Files, tree: _Place, around: tuple[str, ...], parts: Mapping[str, str], part: str) -> Arrangement:
    """Return the images of one part, with the classes of all of them."""
    base = tree.at(around)
    inside = {name: _within(base.folders[name], name) for name in parts}
    prefix = (*around, part, *inside[part])
    if not tree.at(prefix).folders:
        raise SevisError(no_folders(files, prefix) + _if_classes(base, parts))
    _check_classes(files, tree.at(prefix), prefix)
    classes = {name for other, path in inside.items() for name in base.folders[other].at(path).folders}
    found = _in_folders(files, tree.at(prefix), prefix, classes)
    others = sorted(name for name in base.folders if name not in parts)
    told = f"the images in {some(others)} are left out, because they are of no part ({', '.join(sorted(map(printable, parts)))})"
    return replace(found, split=printable(part), notes=found.notes + ((told,) if others else ()))


def _within(place: _Place, name: str) -> tuple[str, ...]:
    """Return the folders that only repeat a part or say that it holds images, such as the second of seg_train/seg_train."""
    path: tuple[str, ...] = ()
    while not place.images and len(place.folders) == 1:
        inner, below = next(iter(place.folders.items()))
        if inner != name and not part_of(inner) and not holds_images(inner):
            break
        path, place, name = (*path, inner), below, inner
    return path


def _without_parts(files: Files, tree: _Place, around: tuple[str, ...], *, checked: bool) -> Arrangement:
    """Return all images, where the data has no parts."""
    base = tree.at(around)
    if not base.folders:
        raise SevisError(no_folders(files, around))
    if checked:
        _check_classes(files, base, around)
    if isinstance(files.source, Folder) and around:
        if len(base.folders) > 1:
            raise SevisError(_too_deep(files, around))
        base, around = tree, ()
    return _in_folders(files, base, around, set(base.folders))


def _check_classes(files: Files, place: _Place, folders: tuple[str, ...]) -> None:
    """Refuse folders that cannot be classes."""
    for name, below in place.folders.items():
        inner = files.path((*folders, name))
        if holds_images(name):
            cure = f"name {inner} itself" if below.folders else f"name {inner}, and a list of the classes of its images (--labels FILE)"
            raise SevisError(f"the folder {printable(name)} in {files.path(folders)} is no class by its name: {cure}")
        if not below.images and (parts := parts_among(below.folders)):
            raise SevisError(
                f"the folder {printable(name)} in {files.path(folders)} holds {some(sorted(parts))}, so it is no class: name {inner} "
                "itself, or put the classes below the parts"
            )
        if len(place.folders) == 1 and not below.images and len(below.folders) > 1:
            raise SevisError(_too_deep(files, (*folders, name)))


def _too_deep(files: Files, folders: tuple[str, ...]) -> str:
    return (
        f"all images in {files.source.root} lie at least one level too deep, in folders below {printable('/'.join(folders))}: name "
        f"{files.path(folders)} itself"
    )


def _in_folders(files: Files, place: _Place, folders: tuple[str, ...], classes: set[str]) -> Arrangement:
    """Return the images of the class folders below a folder."""
    start, level = "".join(f"{folder}/" for folder in folders), len(folders)
    below = [name for name in files.names if name.startswith(start)]
    inside = [name for name in below if name.count("/") > level]
    known = in_order(map(printable, classes))
    notes = note_numbers(known)
    if place.images:
        loose = [name for name in below if name.count("/") == level and is_image(name)]
        notes += (f"{counted(len(loose), 'image lies', 'images lie')} in no class folder and so left out: {some(loose)}",)
    deep = [f"{name}/{inner}" for name, below in place.folders.items() for inner in below.folders]
    if len(deep) > len(place.folders) and not any(below.images for below in place.folders.values()):
        notes += (f"no class folder holds an image itself: if {some(deep)} are the classes, name the folder around them",)
    if len(known) == 1:
        notes += (f"all images are of one class, because they lie in one folder, {known[0]}",)
    return Arrangement(
        found=[(name, printable(name.split("/", level + 1)[level])) for name in inside if is_image(name)],
        classes=known,
        empty=tuple(sorted(set(map(printable, files.source.folders(start.rstrip("/")))) - set(known))),
        skipped=count_suffixes(inside),
        notes=notes,
    )
