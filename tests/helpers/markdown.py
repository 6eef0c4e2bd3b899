"""The pages of docs/ as tests read them: headings, links, code."""

import re
import unicodedata
from pathlib import Path

from tests.helpers.paths import ROOT

DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def public_pages() -> list[Path]:
    """Return every page that a reader may open: docs/ and the pages at the top."""
    tops = (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))
    return [*filter(Path.is_file, tops), *sorted(DOCS.glob("*.md"))]


def fences(text: str) -> list[tuple[str, str]]:
    """Return the fenced code of a page: its info string, and the code."""
    return [(info.strip(), code) for info, code in FENCE.findall(text)]


def prose(text: str) -> str:
    """Return a page without its code blocks."""
    return "\n".join(line for line in FENCE.sub("", text).splitlines() if not line.startswith("    "))


def code_lines(text: str) -> list[str]:
    """Return the lines of all code blocks that are not Python; a line that ends in a backslash goes on."""
    blocks = [code for info, code in fences(text) if not info.startswith("python")]
    indented = [line for line in FENCE.sub("", text).splitlines() if line.startswith("    ")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join([*blocks, *indented]))
    return [line.strip() for line in joined.splitlines()]


def inline_code(text: str) -> list[str]:
    """Return the code within the sentences of a page."""
    return re.findall(r"`([^`\n]+)`", prose(text))


def headings(text: str) -> list[str]:
    """Return the headings of a page, without their #."""
    return re.findall(r"^#{1,6} +(.+?) *#*$", FENCE.sub("", text), re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Return what a link may name behind a #, by GitHub's rule: lower case, no punctuation, hyphens for spaces, numbers for repeats."""
    found: dict[str, int] = {}
    names = set()
    for heading in headings(text):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        name = "".join(filter(_stays, plain.strip().lower())).replace(" ", "-")
        names.add(f"{name}-{found[name]}" if name in found else name)
        found[name] = found.get(name, 0) + 1
    return names | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


def _stays(character: str) -> bool:
    """Return whether GitHub keeps a character: letters, digits (no superscripts), underscores, hyphens and spaces."""
    return character in "- " or unicodedata.category(character)[0] in "LM" or unicodedata.category(character) in ("Nd", "Pc")


def links(text: str) -> list[str]:
    """Return the targets of the links and pictures of a page, Markdown's and HTML's."""
    plain = re.sub(r"`[^`\n]*`", "", prose(text))
    return [*re.findall(r"\]\(\s*<?([^)\s>]+)", plain), *re.findall(r'<(?:a|img)\b[^>]*?(?:href|src)="([^"]+)"', plain)]


def section(text: str, heading: str) -> str:
    """Return what stands below a heading of a page, up to the next heading of the same level or above."""
    start = re.search(rf"^(#+) +{re.escape(heading)} *$", text, re.MULTILINE)
    assert start, heading
    rest = text[start.end() :]
    end = re.search(rf"^#{{1,{len(start[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest
