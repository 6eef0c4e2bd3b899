"""A list of labels: which class each image has, as people and programs write it: text, CSV, Excel's CSV, Kaggle's, JSON lines."""

import csv
import io
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sevis.data.arrangement import counted
from sevis.data.image_formats import is_image
from sevis.data.sources import printable
from sevis.errors import SevisError, one_line

NAMED = 3  # lines or images in one sentence
SEPARATORS = "\t;,"  # white space separates only where none of them does
# How columns are called, in lower case and without spaces, hyphens or underscores. Of two that hold classes, the earlier one is taken.
FILES = {
    *("file", "files", "filename", "filenames", "filepath", "filepaths", "fname", "path", "paths", "relpath", "relativepath", "image"),
    *("images", "imagefile", "imagefilename", "imageid", "imageindex", "imagename", "imagepath", "img", "imgfile", "imgid", "imgname"),
    *("imgpath", "photo", "photoid", "picture", "pic", "name", "id", "key", "index"),
}
CLASSES = (
    *("label", "labels", "class", "classes", "classname", "classlabel", "labelname", "category", "categories", "categoryname"),
    *("target", "targets", "species", "breed", "variety", "wnid", "synset", "predictionstring", "diagnosis", "dx", "level"),
    *("expression", "emotion", "findinglabels", "type", "tag", "tags", "expected", "classid", "labelid", "categoryid", "classindex", "y"),
)
PARTS = ("split", "subset", "partition", "fold", "set", "dataset")
BOXES = "predictionstring"  # of Kaggle's ImageNet: a class and the corners of a box, again and again
OTHER_FILES = {  # first bytes -> what it is
    b"PK\x03\x04": "an Excel workbook or a zip: save the sheet as CSV UTF-8",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save the sheet as CSV UTF-8",
    b"PAR1": "a Parquet file: save the table as CSV",
    b"MATLAB": "a MATLAB file: save the table as CSV",
}


class NoClassesError(SevisError):
    """A list that names images, but of which no column is known to hold their classes."""


@dataclass(frozen=True)
class Listed:
    """What a list says.

    Attributes:
        classes: the class of each image, by its file.
        notes: what it says beside that, as sentences.
    """

    classes: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Rows:
    """A table: the names of its columns, empty where it has none, and its rows."""

    head: list[str]
    body: list[list[str]]


class _Images:
    """The images that a list may name: by their paths, or the ends of these, with or without their suffixes."""

    def __init__(self, images: Sequence[str], prefer: str) -> None:
        self._images, self._prefer = images, prefer
        self._deepest = max((image.count("/") for image in images), default=0) + 1  # parts of a path
        self._asked: dict[str, list[str]] = {}  # a cell is asked for when the separator, the columns and the classes are found
        self._indices: dict[tuple[int, bool], dict[str, list[str]]] = {}

    def find(self, cell: str) -> list[str]:
        """Return the images that a cell names: none, one, or those that it does not tell apart."""
        if cell not in self._asked:
            path = cell.strip().replace("\\", "/").removeprefix("./")
            self._asked[cell] = self._look_up(path, cut=False) or self._look_up(path, cut=True)
        return self._asked[cell]

    def _look_up(self, path: str, *, cut: bool) -> list[str]:
        parts = _folded(path).split("/")[-self._deepest :]
        index = self._index(len(parts), cut=cut)
        found = [image for start in range(len(parts)) for image in index.get("/".join(parts[start:]), ())]
        return self._best(path, {image: _without_suffix(image) if cut else image for image in found})

    def _index(self, parts: int, *, cut: bool) -> dict[str, list[str]]:
        """Return the images by the last so many parts of their paths, or by all where they have fewer."""
        if (parts, cut) not in self._indices:
            index = self._indices[parts, cut] = {}
            for image in self._images:
                ends = _folded(_without_suffix(image) if cut else image).split("/")[-parts:]
                index.setdefault("/".join(ends), []).append(image)
        return self._indices[parts, cut]

    def _best(self, path: str, keys: Mapping[str, str]) -> list[str]:
        found = list(keys)
        for better in (  # of several, in this order
            [image for image in found if keys[image] == path],
            [image for image in found if f"/{keys[image]}".endswith(f"/{path}")],
            [image for image in found if image.startswith(self._prefer)],
        ):
            found = better if len(found) > 1 and better else found
        return found


def read_labels(data: bytes, where: str, images: Sequence[str], *, prefer: str = "", named: bool = False) -> Listed:
    """Return the classes that a list gives to images.

    Args:
        data: the file's bytes: UTF-8, or UTF-16 that says so. Its columns are separated by tabs, semicolons or commas, or, where there
            are none of these, by white space; or each line is a JSON object. Columns are known by a first row with their names; without
            one, the class follows the file.
        where: what the list is called in messages.
        images: the files that there are, relative, with slashes.
        prefer: how those begin that a name means which several have.
        named: whether the column of the classes must be called so, because nobody said that this is a list of classes.

    Raises:
        SevisError: for a file that is no such list, names none of the images, or gives one of them two classes.
    """
    known = _Images(images, prefer)
    rows = _read(_text(data, where), where, known)
    file, label = _columns(rows, where, known, named=named)
    boxes = bool(rows.head) and _plain(rows.head[label]) == BOXES
    found: dict[str, dict[str, None]] = {}
    several, unknown, unlabelled, twice = [], [], [], []
    for row in rows.body:
        cell = row[file] if file < len(row) else row[0]
        name = row[label] if label < len(row) else ""
        hits = known.find(cell)
        if not hits:
            unknown.append(cell)
        elif len(hits) > 1:
            several.append(cell)
        elif not name:
            unlabelled.append(cell)
        else:
            twice += hits if hits[0] in found else []
            found.setdefault(hits[0], {})[name.split()[0] if boxes else name] = None
    _refuse_doubt(where, several, found)
    notes = {
        f"of the {len(rows.body)} lines of {where} name no image that is here": unknown,
        f"of the {len(rows.body)} lines of {where} give no class": unlabelled,
        f"of the lines of {where} name an image again, with the same class": twice,
    }
    told = tuple(f"{len(cells)} {text}: {some(cells)}" for text, cells in notes.items() if cells)
    return Listed({image: next(iter(names)) for image, names in found.items()}, _which(rows, file, label, where) + told)


def some(names: Sequence[str]) -> str:
    """Return the first of some names, for a sentence."""
    return ", ".join(printable(name)[:80] for name in names[:NAMED]) + (", ..." if len(names) > NAMED else "")


def _text(data: bytes, where: str) -> str:
    for beginning, what in OTHER_FILES.items():
        if data.startswith(beginning):
            raise SevisError(f"{where} is {what}")
    try:
        text = data.decode("utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise SevisError(f"{where} is not a text file in UTF-8: expected lines with the name of a file and its class; save it as CSV UTF-8")
    return text


def _read(text: str, where: str, known: _Images) -> _Rows:
    """Return the rows as the separator gives them that makes the most of them name an image."""
    if re.match(r"\s*(\{|\[\s*\{)", text):
        return _json(text, where)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(("#", "sep="))]  # Excel's first line
    try:
        tables = [_split("\n".join(lines), separator) for separator in SEPARATORS if any(separator in line for line in lines)]
    except csv.Error as error:
        raise SevisError(f"{where} is no table ({error}): expected lines with the name of a file and its class") from None
    rows = max(tables, key=lambda table: _naming(table, known), default=[])
    if not _naming(rows, known):
        rows = [_by_spaces(line, known) for line in lines]
        if _naming(rows, known):
            _refuse_numbers(rows, where)
    if not _naming(rows, known):
        raise SevisError(
            f"none of the {len(lines)} lines of {where} names one of the images here, and gives its class: expected lines such as "
            f"ILSVRC2012_val_00000001.JPEG,n01751748, got {some(lines) or 'an empty file'}"
        )
    return _checked(_Rows(rows[0], rows[1:]) if _is_head(rows, known) else _Rows([], rows), where, known)


def _is_head(rows: list[list[str]], known: _Images) -> bool:
    """Return whether the first row names the columns: as columns are called, or in other words, where it alone names no image."""
    if any(known.find(cell) or is_image(cell) for cell in rows[0]):
        return False
    return not FILES.union(CLASSES).isdisjoint(map(_plain, rows[0])) or _naming(rows, known) == len(rows) - 1


def _checked(rows: _Rows, where: str, known: _Images) -> _Rows:
    """Refuse rows of which nobody knows where a cell ends: longer ones than others, words in columns without a name, an open quote."""
    for cell in (cell for row in (rows.head, *rows.body) for cell in row if "\n" in cell):
        if any(known.find(part.strip()) for line in cell.splitlines()[1:] for part in re.split(f"[{SEPARATORS}]", line)):
            raise SevisError(
                f"a quote in {where} that is not closed takes other lines in, after {some(cell.splitlines()[:1])}: close it, or delete it"
            )
    for row in rows.body:
        extra = row[len(rows.head) :] if rows.head else [cell for cell in row[2:] if not _is_number(cell)]
        if any(extra):
            raise SevisError(
                f"it is not clear where the class ends in {some([', '.join(row)])} of {where}: put a class that has the separator in its "
                "name into quotes, or begin the list with a line that names all columns, such as file,label"
            )
    return rows


def _is_number(text: str) -> bool:
    return text.lstrip("-").replace(".", "", 1).isdigit()


_JSON = 'expected an object with a file and its class on each line, such as {"file": "1.png", "label": "cat"}'


def _json(text: str, where: str) -> _Rows:
    """Return the rows of JSON: objects with a file and its class, one a line or in a list, or one object of files and their classes."""
    try:
        try:
            content = json.loads(text)
        except ValueError:
            content = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise SevisError(f"{where} is no JSON ({one_line(error)}): {_JSON}") from None
    nested = isinstance(content, dict) and any(isinstance(value, list | dict) for value in content.values())
    if isinstance(content, dict) and not nested and FILES.isdisjoint(map(_plain, content)):
        return _Rows([], [[name, _cell(value)] for name, value in content.items()])
    entries = content if isinstance(content, list) else [content]
    if not all(isinstance(entry, dict) for entry in entries):
        raise SevisError(f"{where} is JSON of another kind: {_JSON}")
    head = list(dict.fromkeys(key for entry in entries for key in entry))
    return _Rows(head, [[_cell(entry.get(key)) for key in head] for entry in entries])


def _cell(value: object) -> str:
    return str(value).strip() if isinstance(value, str | int | float) else ""


def _split(text: str, separator: str) -> list[list[str]]:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    return [cells for row in rows if any(cells := [cell.strip() for cell in row])]


def _by_spaces(line: str, known: _Images) -> list[str]:
    """Return the file of a line, as many of its words as name one, and all that follows."""
    for space in reversed(list(re.finditer(r"\s+", line.strip()))):
        if known.find(line.strip()[: space.start()]):
            return [line.strip()[: space.start()], line.strip()[space.end() :]]
    return line.split(maxsplit=1)


def _naming(rows: list[list[str]], known: _Images) -> int:
    return sum(len(row) > 1 and any(known.find(cell) for cell in row) for row in rows)


def _refuse_numbers(rows: list[list[str]], where: str) -> None:
    """Refuse lines such as `cat_1.jpg 1 2 1` or `1.jpg room 1`, of which nobody knows what the numbers are."""
    for file, *words in rows:
        for word in words:
            if len(word.split()) > 1 and any(map(_is_number, word.split())):
                raise SevisError(
                    f"{where} has several words after {file[:80]}, with numbers among them ({word[:80]}): put commas or tabs "
                    "between its columns"
                )


def _columns(rows: _Rows, where: str, known: _Images, *, named: bool) -> tuple[int, int]:
    """Return which column holds the files, and which the classes."""
    width = max(map(len, [rows.head, *rows.body]))
    names = [_plain(name) for name in rows.head] + [""] * (width - len(rows.head))
    hits = [sum(column < len(row) and bool(known.find(row[column])) for row in rows.body) for column in range(width)]
    called = [column for column in range(width) if hits[column] and names[column] in FILES]
    files = called or [column for column in range(width) if hits[column] and names[column] not in CLASSES]
    if not files:
        lines = [" ".join(row) for row in rows.body if any(row)]  # none where entries of JSON hold lists
        raise SevisError(f"none of the {len(rows.body)} lines of {where} names an image that is here: {some(lines) or _JSON}")
    whole = [sum(column < len(row) and is_image(row[column]) for row in rows.body) for column in range(width)]
    file = max(files, key=lambda column: (bool(whole[column]), hits[column]))  # a class such as 3 may be the name of 3.png, too
    others = [column for column in range(width) if column != file]
    by_name = sorted((CLASSES.index(names[column]), column) for column in others if names[column] in CLASSES)
    if by_name:
        return file, by_name[0][1]
    if rows.head and len(others) == 1 and not named:
        return file, others[0]
    if not rows.head and file + 1 < width and not named:
        return file, file + 1  # as in ImageNet's and Tiny ImageNet's lists
    if (
        not rows.head and width == 2 and not named and len({row[0] for row in rows.body}) < len(rows.body)
    ):  # else they are the numbers of the lines
        return file, 0
    told = f"its columns are {', '.join(rows.head)[:200]}" if rows.head else f"a line is {some([' '.join(row) for row in rows.body[:1]])}"
    ones = all(row[column] in ("0", "1", "0.0", "1.0") for row in rows.body for column in others if column < len(row))
    cure = "add a column label with the name of the column that holds the 1" if ones else "call that column label in the first line"
    raise NoClassesError(f"it is not clear which column of {where} holds the classes: {told}; {cure}")


def _without_suffix(image: str) -> str:
    return image.rpartition(".")[0]


def _folded(name: str) -> str:
    """Return a name without what may be written in two ways: capitals, and accents, which macOS writes as letters of their own."""
    return unicodedata.normalize("NFC", name).casefold()


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _which(rows: _Rows, file: int, label: int, where: str) -> tuple[str, ...]:
    """Return sentences where more than one column might hold the classes, and where one holds the parts of the data."""
    if not rows.head and any(any(row[2:]) for row in rows.body):
        return (f"the lines of {where} have more than two columns: the class is taken from the one after the file",)
    if rows.head and FILES.union(CLASSES).isdisjoint(map(_plain, rows.head)):
        return (f"the first line of {where} ({', '.join(rows.head)[:80]}) is taken for the names of its columns",)
    others = [name for column, name in enumerate(rows.head) if column not in (file, label) and _plain(name) in CLASSES]
    told = (f"the classes are those of the column {rows.head[label]} of {where}, not of {some(others)}",) if others else ()
    parts = [name for column, name in enumerate(rows.head) if column not in (file, label) and _plain(name) in PARTS]
    return told + tuple(f"the column {name[:80]} of {where} chooses no part of the data: only folders do" for name in parts)


def _refuse_doubt(where: str, several: list[str], found: dict[str, dict[str, None]]) -> None:
    """Refuse names that several images have, images of two classes, and a list without a class."""
    if several:
        raise SevisError(
            f"{len(several)} lines of {where} name more than one image each: {some(several)}; write the folders before the names"
        )
    torn = [f"{image} ({' and '.join(names)})" for image, names in found.items() if len(names) > 1]
    if torn:
        raise SevisError(
            f"{where} gives {counted(len(torn), 'image', 'images')} more than one class: {some(torn)}; leave one line for each image"
        )
    if not found:
        raise SevisError(f"no line of {where} gives an image its class: expected lines such as ILSVRC2012_val_00000001.JPEG,n01751748")
