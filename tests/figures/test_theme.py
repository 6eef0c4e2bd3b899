"""The colours of app and figures as a projector needs them: WCAG's contrast, 4.5 of text and 3 of lines, in both themes."""

import colorsys
import re
import tomllib
from itertools import combinations, pairwise

import numpy as np
import pytest

from sevis.figures.theme import NEUTRAL, PALETTE, SCALE_COLOURS, translucent
from tests.helpers.paths import ROOT

THEME = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]
CAPTION, CHOSEN = 0.6, 0.1  # Streamlit's opacity of the text of a caption, and of the primary colour behind a chosen segment


def rgb(colour):
    return np.array([int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)])


def luminance(colour):
    return np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_contrast_of_black_and_white_is_21():
    assert contrast(np.zeros(3), np.ones(3)) == pytest.approx(21)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("colour", [*PALETTE, NEUTRAL])
def test_the_colours_of_the_figures_stand_out_in_both_themes(theme, colour):
    assert contrast(rgb(colour), rgb(THEME[theme]["backgroundColor"])) >= 3


@pytest.mark.parametrize("colour", PALETTE)
def test_a_white_label_on_a_box_reads(colour):
    assert contrast(rgb(colour), np.ones(3)) >= 3


def test_no_other_figure_has_a_colour_of_its_own():
    for path in (ROOT / "sevis" / "figures").rglob("*.py"):
        if path.name != "theme.py":
            assert not re.findall(r"#[0-9A-Fa-f]{6}\b|rgba?\(", path.read_text()), path


def test_a_translucent_colour_keeps_its_hue():
    assert translucent("#009E73", 0.45) == "rgba(0, 158, 115, 0.45)"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["backgroundColor", "secondaryBackgroundColor"])
def test_captions_read(theme, ground):
    text, paper = rgb(THEME[theme]["textColor"]), rgb(THEME[theme][ground])
    assert contrast(CAPTION * text + (1 - CAPTION) * paper, paper) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_chosen_segment_reads(theme):
    primary, paper = rgb(THEME[theme]["primaryColor"]), rgb(THEME[theme]["backgroundColor"])
    assert contrast(primary, CHOSEN * primary + (1 - CHOSEN) * paper) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_primary_button_s_white_label_reads(theme):
    """3 is enough for a label that stands in a button of its own, where no colour gives 4.5 here and on the dark page."""
    assert contrast(rgb(THEME[theme]["primaryColor"]), np.ones(3)) >= 3


def test_no_two_curve_colours_are_alike():
    for one, other in combinations(PALETTE, 2):
        assert np.abs(np.subtract(rgb(one), rgb(other))).max() > 0.15, (one, other)


def test_the_colours_of_the_scale_grow_lighter_and_so_survive_grey_print():
    assert all(luminance(rgb(dark)) < luminance(rgb(light)) for dark, light in pairwise(SCALE_COLOURS))
    assert colorsys.rgb_to_hls(*rgb(SCALE_COLOURS[0]))[1] < 0.2
