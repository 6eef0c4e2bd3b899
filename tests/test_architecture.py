"""The arrows between the rooms, as docs/architecture.md draws them: who may import whom, and what loads without torch."""

import ast
import importlib
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import sevis
from tests.helpers.paths import ROOT
from tests.helpers.processes import loaded_by

# Each room imports only from itself and from those before it. A new room must be put into this list.
ORDER = (
    *("errors", "extras", "files", "settings", "paper", "architecture", "recipe", "distributed"),
    *("blocks", "data", "networks", "weights", "class_statistics", "analysis", "experiments", "training", "ablations"),
    *("figures", "reports", "pages", "cli"),
)
AROUND = ("sevis", "sevis.__main__")  # they stand around the rooms: the public names, and `python -m sevis`
HEAVY = ("torch", "timm", "torchvision")
# Where timm and torchvision may be asked, and only inside functions.
ASKING = ("sevis.networks.libraries", "sevis.training.augmentation")
# What lives on arrays: a saved file can be looked at without a model, and the app's first page is drawn while torch loads.
ON_ARRAYS = (
    "paper",
    "architecture",
    "recipe",
    "settings",
    "class_statistics",
    "analysis",
    "ablations",
    "figures",
    "reports",
    "weights.card",
)
LINES, BODY = 400, 40  # at most: of a file, and of a function without its docstring

Tree = Mapping[str, ast.Module]


def read_tree(root: Path) -> Tree:
    """Every file below a package's folder, parsed, by its module's name."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        name = ".".join((root.name, *path.relative_to(root).with_suffix("").parts)).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text())
    return found


TREE = read_tree(ROOT / "sevis")


def imports(tree: Tree, module: str, *, top: bool = False) -> set[str]:
    """What a module imports, or imports when it is itself imported (`top`), as the names of modules."""
    found: set[str] = set()
    for node in _runs_at_once(tree[module]) if top else ast.walk(tree[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in tree else str(node.module) for name in names}
    return found


def _runs_at_once(node: ast.AST) -> Iterator[ast.AST]:
    """What an import of the module runs: neither the bodies of functions nor what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from _runs_at_once(child)


def room(module: str) -> str:
    return module.split(".")[1]


def turned_arrows(tree: Tree) -> list[tuple[str, str]]:
    """Imports that point forward, from a room to a later one."""
    inside = [(module, name) for module in tree if module not in AROUND for name in imports(tree, module) if name in tree]
    return [(module, name) for module, name in inside if name in AROUND or ORDER.index(room(name)) > ORDER.index(room(module))]


def circle(tree: Tree) -> list[str]:
    """Files that import each other in a circle, wherever the imports stand; empty where none do."""
    graph = {module: {name for name in imports(tree, module) if name in tree and name != module} for module in tree}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def asks(tree: Tree, module: str, *packages: str, top: bool = False) -> bool:
    return any(name.split(".")[0] in packages for name in imports(tree, module, top=top))


def is_in(module: str, *rooms: str) -> bool:
    return any(f"{module}.".startswith(f"{name if name.startswith('sevis') else f'sevis.{name}'}.") for name in rooms)


def test_every_room_has_its_place_in_the_order() -> None:
    assert {room(module) for module in TREE if module not in AROUND} == set(ORDER)


def test_an_import_points_back() -> None:
    assert turned_arrows(TREE) == []


def test_no_two_files_import_each_other_in_a_circle() -> None:
    assert circle(TREE) == []


def test_an_arrow_that_is_turned_round_and_a_circle_are_seen(tmp_path: Path) -> None:
    root = tmp_path / "sevis"
    for file, text in {
        "blocks/block.py": "def f():\n    from sevis.pages.show import show\n",
        "pages/show.py": "from sevis.blocks import block\nfrom sevis.pages.other import g\n",
        "pages/other.py": "import streamlit\nfrom sevis.pages.show import show\n",
    }.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    tree = read_tree(root)
    assert turned_arrows(tree) == [("sevis.blocks.block", "sevis.pages.show")]
    assert len(circle(tree)) > 2
    assert asks(tree, "sevis.pages.other", "streamlit")


def test_only_pages_ask_streamlit() -> None:
    asking = {module for module in TREE if asks(TREE, module, "streamlit")}
    assert asking
    assert [module for module in asking if not is_in(module, "pages")] == []


def test_timm_and_torchvision_are_asked_in_two_rooms_and_only_when_they_run() -> None:
    asking = {module for module in TREE if asks(TREE, module, "timm", "torchvision")}
    assert asking
    assert [module for module in asking if not is_in(module, *ASKING)] == []
    assert [module for module in asking if asks(TREE, module, "timm", "torchvision", top=True)] == []


def test_what_lives_on_arrays_does_not_ask_torch() -> None:
    assert [module for module in TREE if is_in(module, *ON_ARRAYS) and asks(TREE, module, *HEAVY, top=True)] == []


def test_blocks_know_no_network_of_ours() -> None:
    assert {room(name) for module in TREE if is_in(module, "blocks") for name in imports(TREE, module) if name in TREE} <= {
        "blocks",
        "errors",
        "paper",
    }


def test_what_lives_on_arrays_loads_without_torch() -> None:
    """Also through what it imports; so do the public names, the cards, and the words of the command line."""
    light = [module for module in TREE if is_in(module, *ON_ARRAYS, "cli", "weights.loading")]
    assert len(light) > len(ON_ARRAYS)
    assert loaded_by(f"import sevis, {', '.join(light)}") == set()


def test_everything_loads_without_timm_and_torchvision_and_so_does_the_shipped_network() -> None:
    """That torch is loaded shows that the test before this one can fail."""
    rest = [module for module in TREE if not is_in(module, "pages") and module != "sevis.__main__"]
    assert loaded_by(f"import {', '.join(rest)}; sevis.load(device='cpu')") == {"torch"}


def test_the_public_names_are_those_of_the_stub() -> None:
    stub = ast.parse((ROOT / "sevis" / "__init__.pyi").read_text())
    named = {str(alias.asname): str(node.module) for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert sorted(sevis.__all__) == sorted(named)
    assert set(sevis.__all__) <= set(dir(sevis))
    for name, home in named.items():
        assert f"sevis.{home}" in TREE
        assert getattr(sevis, name).__name__ == name
        assert getattr(sevis, name).__module__.startswith(f"sevis.{home}")
    with pytest.raises(AttributeError, match="nothing"):
        _ = sevis.nothing


def test_packages_hand_on_the_names_that_users_import_from_them() -> None:
    for package, names in {
        "blocks": ("SqueezeExcitation", "DoubledSigmoid", "average", "GATES", "SQUEEZES"),
        "class_statistics": ("ClassStatistics", "QUANTITIES"),
        "networks": ("build", "list_models", "plain_twin", "input_size"),
        "weights": ("Card", "ReadyModel", "load", "make_ready", "list_pretrained", "read_card", "add_to_index", "DEFAULT", "RANDOM"),
    }.items():
        assert set(names) <= set(importlib.import_module(f"sevis.{package}").__all__)


def test_files_and_functions_stay_readable() -> None:
    long = {str(path): lines for path in sorted(ROOT.rglob("*.py")) if (lines := len(path.read_text().splitlines())) > LINES}
    long |= {
        f"{module}.{node.name}": lines
        for module, tree in TREE.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (lines := _body(node)) > BODY
    }
    assert long == {}


def _body(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many lines a function has below its docstring."""
    first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
    return int(function.body[-1].end_lineno or 0) - first.lineno + 1


def test_a_class_name_exists_once() -> None:
    names = [node.name for tree in TREE.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []


def test_docstrings_begin_with_what_a_function_does() -> None:
    """A noun does for a property; a verb stands first elsewhere: Return, Draw, Write."""
    words = ("How", "What", "Whether", "Which", "Why", "Where", "Of", "By", "The", "A", "An", "As", "From", "Those")
    found = [
        f"{module}.{node.name}"
        for module, tree in TREE.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and (text := ast.get_docstring(node)) and text.split()[0] in words and not _is_property(node)
    ]
    assert found == []


def _is_property(function: ast.FunctionDef) -> bool:
    return any("property" in ast.unparse(decorator) for decorator in function.decorator_list)


def test_user_mistakes_are_no_assertions() -> None:
    assert [module for module, tree in TREE.items() if any(isinstance(node, ast.Assert) for node in ast.walk(tree))] == []


def test_the_map_names_every_file_and_no_other() -> None:
    """The tree in docs/architecture.md: a folder a line, and below it, further in, its files."""
    named, folder = set(), ""
    for line in (ROOT / "docs" / "architecture.md").read_text().splitlines():
        if found := re.match(r"    (sevis/\S*)", line):
            folder = found[1]
        elif found := re.match(r"        (\w+\.py) ", line):
            named.add(folder + found[1])
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "sevis").rglob("*.py")}
    assert named == {file for file in files if not file.endswith("/__init__.py") or file == "sevis/__init__.py"}


def test_the_files_that_the_map_leads_to_are_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    paths = set(re.findall(r"`((?:[a-z_0-9]+/)+(?:[a-z_0-9]+\.py)?|[a-z_0-9]+\.py)`", text))
    bases = (ROOT, ROOT / "sevis", ROOT / "sevis" / "networks" / "libraries")
    assert paths
    assert [path for path in sorted(paths) if not any((base / path).exists() for base in bases)] == []
