"""docs/app.md: its variables, parameters, limits and links are those of the app."""

import ast
import re
from urllib.parse import parse_qs, urlsplit

import pytest

from sevis import settings
from sevis.data import image_formats, own_data
from sevis.pages.classes import own_data as own_page
from sevis.pages.shared import loading
from tests.helpers.pages import check, open_page
from tests.helpers.paths import PAGES, ROOT

PAGE = (ROOT / "docs" / "app.md").read_text()
VALUES = {"all", "cosine", "index", "mean", "random", "second_"}  # of parameters, or part of a name
LINKS = re.findall(r"^\| `(/[^`?]*\?[^`]*)` \|", PAGE, re.MULTILINE)


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def table(title: str) -> dict[str, list[str]]:
    """Return the rows of the first table below a heading, by their first cell."""
    lines = PAGE[PAGE.index(title) :].splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("|---"))
    rows = []
    for line in lines[start + 1 :]:
        if not line.startswith("|"):
            break
        rows.append(cells(line))
    return {row[0]: row[1:] for row in rows}


def test_every_variable_of_the_environment_is_in_the_table() -> None:
    there = {name for path in (ROOT / "sevis").rglob("*.py") for name in re.findall(r"SEVIS_[A-Z_]+[A-Z]", path.read_text())}
    assert there <= {name.strip("`") for name in table("### Environment variables")}
    assert str(settings.MAX_PARAMETERS) in table("### Environment variables")["`SEVIS_MAX_PARAMETERS`"][1]


def _text_of(node: ast.expr, constants: dict[str, str]) -> str:
    """Return a string as it is written: of an f-string what comes after its last brace, of a name its constant."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "*" + _text_of(node.values[-1], constants)
    return constants.get(node.id, "") if isinstance(node, ast.Name) else ""


def parameters() -> set[str]:
    """Return the keys of all controls that are bound to the URL; one with a prefix begins with a star."""
    found = set()
    for path in PAGES.rglob("*.py"):
        tree = ast.parse(path.read_text())
        names = [
            pair
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign)
            for target in node.targets
            for pair in (
                zip(target.elts, node.value.elts, strict=True)
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
                else [(target, node.value)]
            )
        ]
        constants = {
            target.id: str(value.value) for target, value in names if isinstance(target, ast.Name) and isinstance(value, ast.Constant)
        }
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            words = {word.arg: word.value for word in call.keywords}
            if "key" in words and ("bind" in words or ast.unparse(call.func) == "choose_one"):
                found.add(_text_of(words["key"], constants))
    return found - {"*", ""}


def test_every_parameter_of_a_link_is_in_the_table() -> None:
    known = parameters() | {"weights"}
    assert len(known) > 50
    start = PAGE.index("These are all parameters")
    named = set(re.findall(r"`([a-z_]+)`", PAGE[start : PAGE.index("The text of `steps`")])) - VALUES
    stems = tuple(name.removeprefix("*") for name in known if name.startswith("*"))
    assert [name for name in known if not name.startswith("*") and name not in named] == []
    assert [stem for stem in stems if not any(name.endswith(stem) for name in named)] == []
    assert [name for name in named if name not in known and not name.endswith(stems)] == []


def test_the_limits_are_those_of_the_code() -> None:
    found = {name: row[0] for name, row in table("### Limits").items()}
    millions = image_formats.MAX_BYTES // 10**6, image_formats.MAX_PIXELS // 10**6
    assert "{} MB, {} megapixels".format(*millions) in found["one photo"]
    assert f"at most {image_formats.MAX_RATIO} times" in found["one photo"]
    assert found["one photo"].endswith(", ".join(image_formats.FORMATS))
    inside = f"{own_data.MEMBERS:,} files and folders, {own_data.UNPACKED // 10**6} MB unpacked, {own_data.DEPTH} folders deep"
    assert found["what is in a zip"] == inside
    assert found["photos that *Your data* collects"] == f"{own_page.CLASSES} classes, {own_page.PHOTOS} photos of each"
    assert found["a folder on the server"] == f"{own_data.FILES:,} files; {own_data.LISTED} data sets are listed"
    assert found["a network"] == f"{settings.MAX_PARAMETERS // 10**6} million parameters"
    assert found["networks in memory"].startswith(f"{loading.NETWORKS};")
    config = (ROOT / ".streamlit" / "config.toml").read_text()
    assert f"maxUploadSize = {found['one zip of photos'].split()[0]}\n" in config
    assert f"disconnectedSessionTTL = {found['a session after its browser is gone'].split()[0]}\n" in config
    assert table("### Limits")["one zip of photos"][1].endswith(f"up to {own_page.LARGEST} MB")


@pytest.mark.slow
@pytest.mark.parametrize("link", LINKS)
def test_a_link_opens_what_it_says(link: str) -> None:
    parts = urlsplit(link)
    query = {name: values if len(values) > 1 else values[0] for name, values in parse_qs(parts.query).items()}
    page = check(open_page("app" if "network" in query else parts.path.strip("/") or "explain", **query))
    for name, value in query.items():
        shown = [box.options[box.index] for box in page.selectbox if box.key == name and box.index is not None]  # what an option is called
        assert str(value) in (str(page.session_state[name]), *shown)


def test_there_are_links_for_every_page_but_the_ablations() -> None:
    assert {urlsplit(link).path for link in LINKS} == {"/", "/what_if", "/two_photos", "/classes", "/architectures"}
