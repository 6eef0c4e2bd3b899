"""What works with the core alone, and the sentence where a package of an extra is missing."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from sevis import extras
from sevis.extras import EXTRAS, install_command
from tests.helpers.paths import ROOT
from tests.helpers.pictures import write_colours
from tests.helpers.shelves import write_small_index, write_small_shelf

INSTALL = {extra: install_command(extra) for extra in ("app", "stats", "export", "zoo")}
ABSENT = (*EXTRAS, "skimage", "huggingface_hub", "pandas", "orjson")
# Runs each list of words as a command of sevis, in a Python without the extras; a string is a program.
RUNNER = """
import contextlib, io, json, sys
sys.modules.update(dict.fromkeys(json.loads(sys.argv[1])))
from sevis.cli.parser import main
told = []
for words in json.loads(sys.argv[2]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = exec(words, {}) or 0 if isinstance(words, str) else main(words)
        except Exception as error:
            code = f"{type(error).__name__}: {error}"
    told.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(told))
"""


def run_core(commands: list[list[str] | str]) -> list[tuple[int | str, str, str]]:
    """Exit code (of a program, its error), output and errors of each."""
    words = [sys.executable, "-c", RUNNER, json.dumps(ABSENT), json.dumps(commands)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    return [tuple(line) for line in json.loads(done.stdout)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colours(tmp_path_factory.mktemp("data"))


def test_what_the_core_does(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_small_shelf(tmp_path)
    write_small_index(tmp_path, wnids=["blue", "green", "red"])
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path))
    photo, out = next((data / "val").rglob("*.png")), str(tmp_path / "collected")
    network = ["--model", "small"]
    commands: list[list[str] | str] = [
        ["models"],
        ["explain", str(photo), *network],
        ["explain", str(photo), "--json", "--model", "se_resnet18", "--weights", "random"],
        ["sites", "se_resnet50"],
        ["costs", "se_resnet50"],
        ["collect", "--data", str(data), "--out", out, *network],
        ["export", out, "--out", str(tmp_path / "table.npz")],
        ["audit", "--data", str(data), *network],
        "import sevis, torch; net = sevis.graft(sevis.build('resnet18')).eval()\nwith sevis.capture(net): net(torch.zeros(1, 3, 32, 32))",
        f"import sevis; sevis.judge(sevis.depth_profile(sevis.ClassStatistics.load({out!r})))",
    ]
    told = run_core(commands)
    assert [(code, errors) for code, _, errors in told if code != 0] == []
    assert "timm and torchvision: not installed" in told[0][1]
    assert INSTALL["zoo"] in told[0][1]
    assert "legacy_seresnet50" not in told[0][1]
    assert len(json.loads(told[2][1])["blocks"]) == 8


def test_what_the_core_lacks_is_one_sentence(data: Path, tmp_path: Path) -> None:
    photo = str(next((data / "val").rglob("*.png")))
    expected = {
        ("app",): "Streamlit is not installed, which the app needs: " + INSTALL["app"],
        ("explain", photo, "--html", "x.html"): "plotly is not installed, which a figure needs: " + INSTALL["export"],
        ("figure6", "--out", "x.html"): "plotly is not installed, which a figure needs: " + INSTALL["export"],
        ("report", "--out", "x.html"): "plotly is not installed, which a figure needs: " + INSTALL["export"],
        ("export", "--out", "x.csv"): "pyarrow is not installed, which a table as .csv needs: " + INSTALL["export"],
        ("ablate", "--report"): "SciPy is not installed, which the interval of a mean needs: " + INSTALL["stats"],
        ("sites", "timm/seresnet50"): "timm is not installed, which the network seresnet50 needs: " + INSTALL["zoo"],
        ("costs", "vgg16_bn"): "torchvision is not installed, which the network vgg16_bn needs: " + INSTALL["zoo"],
        ("costs", "inception_resnet_v2"): "timm is not installed, which the network inception_resnet_v2 needs: " + INSTALL["zoo"],
        ("train", "se_resnet18", "--data", str(data), "--mixup", "0.2", "--folder", str(tmp_path / "run")): (
            "torchvision is not installed, which --mixup needs: " + INSTALL["zoo"]
        ),
    }
    for words, (code, output, errors) in zip(expected, run_core([list(words) for words in expected]), strict=True):
        assert (code, output, errors) == (2, "", f"sevis: {expected[words]}\n"), words


def test_in_python_it_is_the_same_sentence() -> None:
    programs = {
        "import sevis.figures.classes.depth": "SevisError: plotly is not installed, which a figure needs: " + INSTALL["export"],
        "import sevis.pages.app": "SevisError: Streamlit is not installed, which the app needs: " + INSTALL["app"],
        "import sevis; sevis.load('seresnet50')": (
            "SevisError: there are no weights called 'seresnet50', and timm and torchvision, which know more, are not installed "
            f"({INSTALL['zoo']}); the nearest are se_resnet50, resnet50, "
        ),
    }
    for program, (told, _, _) in zip(programs, run_core(list(programs)), strict=True):
        assert str(told).startswith(programs[program]), program


def test_the_command_fits_how_sevis_came_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "version", lambda _: "0.1.0")
    assert install_command("app") == "pip install 'sevis[app]'"

    def unknown(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(extras, "version", unknown)
    assert install_command("zoo") == "pip install '.[zoo]' in the folder of the clone"


def imported() -> set[str]:
    """The packages of others that any file of sevis imports, also within functions."""
    found = set()
    for path in (ROOT / "sevis").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"sevis"}


def test_every_package_that_is_imported_is_declared() -> None:
    """Those of a fresh environment are just what pyproject.toml names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(line for name, lines in project["optional-dependencies"].items() if name != "lint" for line in lines),
    ]
    declared = {re.split(r"[<>=\[]", line)[0].replace("-", "_") for line in wanted}
    called = {"PIL": "pillow", "skimage": "scikit_image", "sklearn": "scikit_learn"}
    names = imported()
    assert {"torch", "streamlit", "PIL"} <= names
    assert {called.get(name, name) for name in names} - declared == set()
