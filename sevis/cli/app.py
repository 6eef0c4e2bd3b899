"""The command app: Streamlit serves the pages that the package carries, with the settings that ship."""

import json
import os
import re
import runpy
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sevis.cli.data import Arguments
from sevis.extras import require
from sevis.settings import shipped_folder

ADDRESS = {"STREAMLIT_SERVER_ADDRESS": "127.0.0.1"}  # only this computer, unless who starts the app says otherwise
SCRIPT = Path(__file__).resolve().parent.parent / "pages" / "app.py"


def app_command(arguments: Arguments) -> None:
    """Start the app in this process. It runs until it is interrupted."""
    require("streamlit", "the app")
    require("plotly", "the app", extra="app")
    for variable, value in (ADDRESS | streamlit_variables()).items():
        os.environ.setdefault(variable, value)
    address = {"server.port": arguments.port, "server.address": arguments.host}
    options = [f"--{option}={value}" for option, value in address.items() if value is not None]
    sys.argv = ["streamlit", "run", str(SCRIPT), *options, *arguments.options]
    runpy.run_module("streamlit", run_name="__main__")


def streamlit_variables() -> dict[str, str]:
    """Return the settings of .streamlit/config.toml as variables of the environment, for Streamlit reads that file only in a checkout."""
    settings = tomllib.loads((shipped_folder(".streamlit") / "config.toml").read_text(encoding="utf-8"))
    names = {keys: re.sub("([a-z])([A-Z])", r"\1_\2", "_".join(keys)).upper() for keys, _ in _leaves(settings)}
    return {f"STREAMLIT_{names[keys]}": text for keys, text in _leaves(settings)}


def _leaves(table: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield every setting of a TOML table: its keys from the outside in, and its value, as JSON where it is no text."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value if isinstance(value, str) else json.dumps(value)
