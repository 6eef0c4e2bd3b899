"""CITATION.cff and CHANGELOG.md are of this version."""

import re

import yaml

from sevis.settings import VERSION
from tests.helpers.paths import ROOT


def test_the_citation_is_valid_and_of_this_version() -> None:
    """The keys that the Citation File Format 1.2.0 requires, and no key that it does not know."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["cff-version"] == "1.2.0"
    assert (
        {"message", "title", "authors", "type"}
        <= set(cited)
        <= {*("cff-version", "message", "title", "abstract", "type", "authors", "version", "license", "keywords", "references")}
    )
    assert (str(cited["version"]), cited["license"], cited["type"]) == (VERSION, "MIT", "software")
    assert cited["authors"] == [{"name": "The sevis developers"}]
    assert f'license = "{cited["license"]}"' in (ROOT / "pyproject.toml").read_text()
    for reference in cited["references"]:
        assert {"authors", "title", "type"} <= set(reference)
        assert all(set(author) == {"family-names", "given-names"} for author in reference["authors"])
    assert cited["references"][0]["identifiers"][0]["value"] == "arXiv:1709.01507"


def test_the_changelog_begins_with_what_is_not_released_yet() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## \[(.*)\]", text, re.MULTILINE)[1] in ("Unreleased", VERSION)
    assert VERSION in text
