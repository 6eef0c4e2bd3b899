"""The links, commands and places that README, docs/ and the pages beside them name."""

import argparse
import re
import shlex
from itertools import takewhile
from pathlib import Path
from urllib.parse import unquote

import pytest

from sevis.cli.parser import build_parser
from tests.helpers.markdown import DOCS, anchors, code_lines, inline_code, links, public_pages
from tests.helpers.paths import ROOT

MACHINE = re.compile(r"(?<![\w.:/-])(?:/(?:work|tmp|root|home|mnt)/\S*|~/venv\S*)")


def broken_links(page: Path, text: str) -> list[str]:
    """Return the relative links of a page that lead nowhere: to no file, to none of the repository, to no heading."""
    found = []
    for link in links(text):
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        inside = target == page or (target.is_relative_to(ROOT) and target.exists())
        if not inside or (anchor and anchor not in anchors(text if target == page else target.read_text(encoding="utf-8"))):
            found.append(link)
    return found


def commands(text: str) -> list[list[str]]:
    """Return the commands of sevis that a page names, as words, without comments; those within sentences need not be whole."""
    found = []
    for line in (*code_lines(text), *(f"{code} ..." for code in inline_code(text))):
        plain = re.sub(r"\s#\s.*", "", line)
        for part in re.split(r"\s(?:&&|\||;)\s", plain):
            if named := re.match(r"(?:\$ )?(?:[A-Z_]+=\S* )*(?:python -m |torchrun .*-m )?sevis(?: (.*))?$", part.strip()):
                found.append(shlex.split(named[1] or ""))
    return found


def mistake(words: list[str]) -> str:
    """Return what is wrong with a command; empty where nothing is. One with dots or brackets in it is no whole command."""
    parser = build_parser()
    (choice,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    if not words or words[0].startswith("-") or not re.fullmatch(r"[a-z][a-z0-9]*", words[0]):
        return ""  # sevis alone, --help, or COMMAND
    if words[0] not in choice.choices:
        return f"there is no command {words[0]}"
    options = {name for action in choice.choices[words[0]]._actions for name in action.option_strings}
    own = takewhile(lambda word: word not in ("--", "[--"), words)  # those after it are another program's
    named = {word.split("=")[0].strip("[].,") for word in own if word.startswith(("--", "[--"))}
    if named - options:
        return f"{words[0]} has no option {', '.join(sorted(named - options))}"
    whole = len(words) > 1 and not any(set(word) & set("[]…") or word == "..." for word in words) and "--help" not in words
    if not whole:
        return ""
    try:
        parser.parse_args(words)
    except SystemExit:
        return f"{' '.join(words)} is refused"
    return ""


@pytest.mark.parametrize("page", public_pages(), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page, page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", public_pages(), ids=lambda page: page.name)
def test_commands_are_those_that_there_are(page: Path) -> None:
    assert [wrong for words in commands(page.read_text(encoding="utf-8")) if (wrong := mistake(words))] == []


@pytest.mark.parametrize("page", public_pages(), ids=lambda page: page.name)
def test_no_page_names_a_place_on_one_machine(page: Path) -> None:
    assert MACHINE.findall(page.read_text(encoding="utf-8")) == []


def test_every_page_is_linked() -> None:
    """From README, or from the map of the house; README is to list the pages."""
    named = set()
    for page in (ROOT / "README.md", DOCS / "architecture.md"):
        named |= {(page.parent / link.partition("#")[0]).resolve() for link in links(page.read_text(encoding="utf-8")) if ":" not in link}
    if DOCS / "python.md" not in named:
        pytest.skip("README does not list the pages of docs/ yet")
    assert [page.name for page in sorted(DOCS.glob("*.md")) if page not in named and page.name != "architecture.md"] == []


def test_a_page_opens_with_a_title_and_a_sentence() -> None:
    for page in sorted(DOCS.glob("*.md")):
        title, empty, sentence, *_ = page.read_text(encoding="utf-8").splitlines()
        assert title.startswith("# "), page.name
        assert empty == ""
        assert re.match(r"[A-Za-z`]", sentence), page.name


def test_what_leads_nowhere_is_seen() -> None:
    page = DOCS / "made-up.md"
    text = (
        "# A title: `x`\n\n## Twice\n\n## Twice\n\n[a](gone.md) [b](#twice-1) [c](#twice-2) [d](architecture.md#the-order) [e](#a-title-x)"
    )
    assert broken_links(page, text) == ["gone.md", "#twice-2"]
    assert broken_links(page, "![p](gone.png) [q](../../outside.md) [r](https://example.org) `[s](gone)`") == [
        "gone.png",
        "../../outside.md",
    ]
    assert mistake(["sing"]) == "there is no command sing"
    assert mistake(["train", "--epoch-count", "3"]) == "train has no option --epoch-count"
    assert mistake(["train", "--epochs", "many"]) == "train --epochs many is refused"
    assert commands("    PYTHONPATH=. python -m sevis sing --loud   # aloud\n\n`sevis models`, not `sevis_x y`") == [
        ["sing", "--loud"],
        ["models", "..."],
    ]
    assert MACHINE.findall("in /tmp/x and ~/venv/bin, not in a/tmp/x") == ["/tmp/x", "~/venv/bin,"]
