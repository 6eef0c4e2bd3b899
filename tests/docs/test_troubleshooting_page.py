"""docs/troubleshooting.md quotes messages as the code says them."""

import ast
import re

from tests.helpers.paths import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
QUOTED = re.findall(r"^    (\S.*)$", PAGE, re.MULTILINE)
FEWEST = 10  # letters of a part: fewer are found anywhere


def messages() -> list[str]:
    """Return every string of sevis, with an ellipsis for each value in it."""
    found = []
    for path in (ROOT / "sevis").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def is_said(quoted: str, said: list[str]) -> bool:
    """Return whether one string of the code has all parts of a quoted message, in their order."""
    parts = [part.strip() for part in quoted.split("…")]
    assert max(map(len, parts)) >= FEWEST
    pattern = re.compile(".*".join(map(re.escape, parts)), re.DOTALL)
    return any(pattern.search(text) for text in said)


def test_every_quoted_message_is_one_of_the_code() -> None:
    said = messages()
    assert len(QUOTED) >= 20
    assert [quoted for quoted in QUOTED if not is_said(quoted, said)] == []


def test_every_message_has_a_heading_and_a_cure() -> None:
    """A heading, the message, and then at least one sentence."""
    for section in PAGE.split("\n### ")[1:]:
        body = section.split("\n## ")[0].strip().splitlines()
        assert body[1] == "" and body[2].startswith("    ")
        cure = [line for line in body[3:] if line and not line.startswith("    ")]
        assert cure and cure[-1].endswith("."), body[0]


def test_a_message_that_nobody_says_is_seen() -> None:
    assert not is_said("the moon is made of … cheese", messages())
    assert is_said("one b… three four five", ["zero one ba two three four five six"])
    assert not is_said("three four five … one b", ["one ba three four five"])
