"""Write the list of commands in docs/command-line.md, from the parser of the command line.

    python -m tools.command_line_page

What stands above the line MARK is written by hand and stays. Below it, every command and every option is taken from the parser itself, not
from the text of `--help`, which differs with the width of the terminal and the version of Python.
"""

import argparse
from pathlib import Path

from sevis.cli.parser import build_parser

PAGE = Path(__file__).resolve().parents[1] / "docs" / "command-line.md"
MARK = "<!-- What follows is written by python -m tools.command_line_page: change the texts in sevis/cli/parser.py and run it. -->"


def write_page(text: str) -> str:
    """Return the page with the commands as they are now, for the page as it was."""
    opening = text.partition(MARK)[0]
    return f"{opening.rstrip()}\n\n{MARK}\n\n{describe_commands()}"


def describe_commands() -> str:
    """Return all commands as Markdown: a table of them, then a section for each."""
    parser = build_parser()
    (choice,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    rows = [f"| [`{name}`](#sevis-{name}) | {command.description} |" for name, command in choice.choices.items()]
    sections = [_section(f"{parser.prog} {name}", command) for name, command in choice.choices.items()]
    return "\n".join(["## All commands", "", "| command | what it does |", "|---|---|", *rows, "", "\n\n".join(sections), ""])


def _section(name: str, command: argparse.ArgumentParser) -> str:
    arguments = [action for action in command._actions if not isinstance(action, argparse._HelpAction)]
    arguments.sort(key=lambda action: bool(action.option_strings))  # what has no dashes first
    optional = "[OPTION ...]" if any(action.option_strings and not action.required for action in arguments) else ""
    words = [name, *(_word(action) for action in arguments if action.required or not action.option_strings), optional]
    words.sort(key=lambda word: word.startswith("[-- "))  # what goes on to another program stands last
    lines = [f"- {_called(action)}: {action.help}." for action in arguments]
    return "\n".join([f"## {name}", "", str(command.description), "", f"    {' '.join(filter(None, words))}", "", *lines]).rstrip()


def _called(action: argparse.Action) -> str:
    """Return an argument's names; a yes-or-no option has two."""
    return ", ".join(f"`{name}`" for name in (_word(action), *action.option_strings[1:]))


def _word(action: argparse.Action) -> str:
    """Return how an argument stands in a command: its name, and what follows it."""
    value = _value(action)
    values = {"0": "", "?": f"[{value}]", "*": f"[{value} ...]", "+": f"{value} [{value} ...]"}.get(str(action.nargs), value)
    return " ".join(filter(None, (*action.option_strings[:1], values)))


def _value(action: argparse.Action) -> str:
    """Return the word that stands for an argument's value."""
    if isinstance(action.metavar, str):
        return action.metavar
    return "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()


if __name__ == "__main__":
    PAGE.write_text(write_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
