"""The command line: python -m sevis, one file a group of commands."""

from sevis.cli.parser import main

__all__ = ["main"]
