"""The page on one's own data: its code runs, and its limits are those of the code."""

import re
from pathlib import Path

import pytest

from sevis.data import image_formats, own_data, sources
from sevis.data.parts import SPLITS, part_of, parts_among
from sevis.experiments.collection import BROKEN_NUMBER, BROKEN_SHARE, NAMED
from sevis.settings import DATA_ROOTS
from tests.docs.test_python import write_photos
from tests.helpers.markdown import DOCS, fences, section
from tests.helpers.paths import ROOT

PAGE = (DOCS / "your-data.md").read_text(encoding="utf-8")
FLAT = " ".join(PAGE.split())


def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photos(tmp_path)
    monkeypatch.chdir(tmp_path)
    known: dict[str, object] = {}
    for _, code in fences(PAGE):
        exec(compile(code, "docs/your-data.md", "exec"), known)
    assert [len(known[name]) for name in ("dataset", "few", "goldfish")] == [18, 6, 6]  # type: ignore[arg-type]


def test_formats_and_limits_of_images_are_those_of_the_code() -> None:
    told = " ".join(section(PAGE, "Images").split())
    assert f"{', '.join(list(image_formats.FORMATS)[:-1])} and {list(image_formats.FORMATS)[-1]} are read" in told
    assert f"{', '.join(image_formats.SUFFIXES)}." in told
    assert f"| {image_formats.MAX_BYTES / 1e6:.0f} MB |" in told
    assert f"| {image_formats.MAX_PIXELS / 1e6:.0f} megapixels |" in told
    assert f"| {image_formats.MAX_RATIO} to 1 |" in told
    assert f"| {image_formats.MAX_SCANS} |" in told


def test_limits_of_data_sets_are_those_of_the_code() -> None:
    assert f"up to {sources.MAX_DEPTH} folders" in FLAT
    assert sources.MAX_FILES == 5_000_000
    assert "five million files" in FLAT
    assert all(f"`{split}`" in FLAT for split in SPLITS)
    assert f"more than {100 * BROKEN_SHARE:.0f} % of all images are broken, and more than {BROKEN_NUMBER}, the collection stops" in FLAT
    assert f"up to {NAMED} of them" in FLAT


def test_the_names_of_parts_are_known_to_the_code() -> None:
    told = " ".join(section(PAGE, "Folders of classes").split())
    names = re.findall(r"`(\w+)`", told[told.index("Other names are known, too:") : told.index("When no folder has the name")])
    *alone, one, other = names
    assert len(alone) >= 8 and all(part_of(name) in SPLITS for name in alone)
    assert parts_among([one, other]) == {one: "train", other: "test"}


def test_limits_of_the_app_are_those_of_the_code() -> None:
    told = " ".join(section(PAGE, "In the app").split())
    config = (ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8")
    assert f"maxUploadSize = {re.findall(r'at most ([0-9]+) MB', told)[0]}\n" in config
    assert f"more than {own_data.RATIO} times" in told
    assert "(app.md#limits)" in told  # the rest is in the table there, which tests/docs/test_app_page.py compares with the code
    assert f"`{DATA_ROOTS}`" in told
