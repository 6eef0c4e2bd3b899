"""What texts of the code and of the pages must say: what an interval is over, what the paper measured, and what it leaves open."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

NAMED = re.compile(r"95\s%[ -]?intervals?\b")
OVER = re.compile(r"\b(over|on|from) (these |the |the same )?(\{\} )?(whole )?(photos|images|seeds|validation images)\b|same photos")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = sorted((ROOT / "sevis").rglob("*.py"))
OF_CLASSES = [ROOT / "sevis" / part / "classes" for part in ("figures", "pages")]


def told(path: Path) -> Iterator[str]:
    """Yield the strings of a file that are no docstrings, those that stand side by side as one; a value in one is {}."""
    tree = ast.parse(path.read_text())
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node) if part is not node}
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in inner | bare:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_text_that_names_an_interval_says_what_it_is_over(path: Path) -> None:
    for text in told(path):
        if NAMED.search(text):
            assert OVER.search(text), text
            sentence = len(text) > 80
            if sentence and any(folder in path.parents for folder in OF_CLASSES):
                assert "for exactly these" in text, text


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_paragraph_that_names_an_interval_says_what_it_is_over(path: Path) -> None:
    for paragraph in re.split(r"\n\n|\n- |\n(?=\|)", path.read_text()):
        if NAMED.search(paragraph):
            assert re.search(r"\b(photos|images|seeds)\b", paragraph), paragraph


def texts() -> Iterator[str]:
    """Yield the strings of the code, and the paragraphs of the pages in one line each."""
    for path in CODE:
        yield from told(path)
    for path in PAGES:
        yield from (" ".join(paragraph.split()) for paragraph in re.split(r"\n\n|\n- ", path.read_text()))


def test_what_the_paper_says_of_the_last_stage_is_top_5_error() -> None:
    found = [text for text in texts() if re.search(r"less than 0\.1\s%", text)]
    assert len(found) == 2  # the page What if? and docs/networks.md
    for text in found:
        assert "top-5 error" in text


def test_nobody_says_that_our_channels_are_those_of_the_paper() -> None:
    found = [text for text in texts() if re.search("uniformly|evenly spaced", text)]
    assert len(found) > 1
    for text in found:
        assert "uniformly" not in text or "does not say which" in text, text
        assert not re.search(r"as (in )?the paper|random", text), text


def test_what_names_none_is_seen(tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text('"""A 95 % interval."""\nSAID = f"{1} (95 % interval {2}) " "of photos"\n')
    assert list(told(tmp_path / "page.py")) == ["{} (95 % interval {}) of photos"]
    (text,) = told(tmp_path / "page.py")
    assert NAMED.search(text)
    assert not OVER.search(text)
