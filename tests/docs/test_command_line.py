"""The page of the command line is that of the commands as they are."""

import argparse
import re

from sevis.cli.parser import build_parser
from tests.helpers.markdown import DOCS, section
from tools.command_line_page import PAGE, write_page


def test_the_page_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == write_page(page), "the commands have changed: run python -m tools.command_line_page"
    assert PAGE == DOCS / "command-line.md"


def test_every_option_of_help_is_on_the_page() -> None:
    """Read off the text of --help, with the widest terminal: what a user sees there is in the section of the command."""
    page = PAGE.read_text(encoding="utf-8")
    (choice,) = (action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    assert len(choice.choices) > 10
    for name, command in choice.choices.items():
        told = section(page, f"sevis {name}")
        options = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", command.format_usage())) - {"--help"}
        assert options == set(re.findall(r"(?<=`)--[a-z][a-z0-9-]*", told)), name
        for text in (action.help for action in command._actions if "--help" not in action.option_strings):
            assert text
            assert f": {text}." in told


def test_a_changed_help_is_seen_and_what_is_written_by_hand_stays() -> None:
    page = PAGE.read_text(encoding="utf-8")
    changed = page.replace("the reduction ratio r", "something else").replace("This page says", "This page tells")
    assert changed != page
    assert write_page(changed) == page.replace("This page says", "This page tells")
