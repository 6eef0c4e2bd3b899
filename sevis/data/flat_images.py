"""Images that no class folders sort: a list of labels, or a metadata file of Hugging Face's, says their classes; else nothing does."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from sevis.data.arrangement import Arrangement, Files, count_suffixes, counted, in_order, note_numbers
from sevis.data.labels_file import Listed, NoClassesError, read_labels, some
from sevis.data.sources import printable
from sevis.errors import SevisError

METADATA = ("metadata.csv", "metadata.jsonl")  # of Hugging Face's imagefolder
LISTS = (".csv", ".tsv", ".txt", ".json", ".jsonl")
TEXTS = (*LISTS, ".md", ".xml", ".html", ".mat", ".yaml", ".yml", ".py", ".pdf")  # nobody takes these for images
TRIED = 8  # lists, to name one in a message


def by_list(files: Files, labels: Path, starts: Mapping[str, str], part: str) -> Arrangement:
    """Return the images that a list gives a class: those of the part that is asked for, else of the only one that the list names.

    Args:
        files: all that there are.
        labels: the list.
        starts: how the files of each part begin.
        part: that is asked for; empty where there is none of that name.

    Raises:
        SevisError: for a list that cannot be read, names no image, or does not tell which part is meant.
    """
    try:
        data = labels.read_bytes()
    except OSError as error:
        raise SevisError(f"{labels} cannot be read ({error.strerror}): name a text file with the classes of the images") from None
    listed = read_labels(data, str(labels), files.images, prefer=starts.get(part, ""))
    named = [name for name, start in starts.items() if any(file.startswith(start) for file in listed.classes)]
    if (part and part not in named) or (not part and len(named) > 1):
        wrong = f"none of {part}" if part else "it is not clear which are meant"
        raise SevisError(
            f"{labels} names images of {some(named) or 'no part'}, and {wrong}: choose a part with --split, one of {some(list(starts))}"
        )
    part = part or "".join(named)
    return replace(_listed(files, listed, str(labels), starts.get(part, "")), split=printable(part))


def by_metadata(files: Files, prefix: str, part: str) -> Arrangement | None:
    """Return the images below a folder to which Hugging Face's metadata files give a class; None where none does."""
    classes, notes, tables = dict[str, str](), list[str](), list[str]()
    for table in (name for name in files.names if name.rpartition("/")[2] in METADATA):
        start = table.removesuffix(PurePosixPath(table).name)
        below = [name.removeprefix(start) for name in files.images if name.startswith(start)]
        try:
            listed = read_labels(files.source.read(table), f"{files.source.root / printable(table)}", below, named=True)
        except SevisError:  # folders may say the classes; where they do not, `no_folders` reads it again and tells the reason
            continue
        classes |= {f"{start}{file}": name for file, name in listed.classes.items()}
        if prefix.startswith(start) or start.startswith(prefix):
            notes += listed.notes
            tables.append(table)
    if not any(file.startswith(prefix) for file in classes):
        return None
    return replace(_listed(files, Listed(classes, tuple(notes)), some(tables), prefix), split=printable(part))


def _listed(files: Files, listed: Listed, where: str, prefix: str) -> Arrangement:
    """Return the images below a prefix that a list gives a class; the classes are all that it names."""
    found = sorted((file, name) for file, name in listed.classes.items() if file.startswith(prefix))
    left = [name for name in files.images if name.startswith(prefix) and name not in listed.classes]
    told = (f"{counted(len(left), 'image is', 'images are')} on no line of {where} and so left out: {some(left)}",) if left else ()
    others = [name for name in files.names if name.startswith(prefix) and not name.lower().endswith(TEXTS)]
    classes = in_order(listed.classes.values())
    notes = listed.notes + told + note_numbers(classes)
    return Arrangement(found=found, classes=classes, skipped=count_suffixes(others), notes=notes)


def no_folders(files: Files, folders: tuple[str, ...]) -> str:
    """Return a sentence on images that lie in no class folders, with the list among the files that tells their classes, if there is one."""
    start, where = "".join(f"{folder}/" for folder in folders), files.path(folders)
    images = [name for name in files.images if name.startswith(start)]
    lists = [name for name in files.names if name.lower().endswith(LISTS) and name.count("/") <= len(folders)]
    lists.sort(key=lambda name: (PurePosixPath(name).name not in METADATA, not re.search("label|class|solution", name.lower()), name))
    cure, why = "(--labels FILE)", ""
    for name in lists[:TRIED]:
        path = files.source.root / printable(name)
        try:
            read_labels(files.source.read(name), str(path), images, named=PurePosixPath(name).name in METADATA)
        except SevisError as error:
            known = isinstance(error, NoClassesError) or PurePosixPath(name).name in METADATA
            why = why or (f"; {error}" if known else "")
        else:
            cure, why = f"(--labels {path})", ""
            break
    return (
        f"{counted(len(images), 'image lies', 'images lie')} in {where} without class folders, so nothing tells their classes: put the "
        f"images of each class into a folder of its own, or name a list of their classes {cure}{why}"
    )


def no_images(files: Files) -> str:
    """Return the end of a sentence on a folder without images: what there is instead; empty for nothing."""
    others = count_suffixes(name for name in files.names if not name.lower().endswith(TEXTS))
    return "".join(f"; {suffix or 'without a suffix'}: {counted(count, 'file', 'files')}" for suffix, count in others.items())
