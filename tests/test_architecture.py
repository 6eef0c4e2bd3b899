"""The arrows between the rooms: who imports whom, and what is loaded on the way to the app's first page."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import sevis

ROOT = Path(sevis.__file__).resolve().parent
MODULES = {".".join(("sevis", *path.relative_to(ROOT).with_suffix("").parts)): path for path in sorted(ROOT.rglob("*.py"))}
HEAVY = ("torch", "torchvision", "timm")


def imports(module: str) -> set[str]:
    """What a module imports anywhere, as dotted names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def reaches(module: str, *targets: str) -> bool:
    return any(name == target or name.startswith(f"{target}.") for name in imports(module) for target in targets)


def rooms(*names: str) -> list[str]:
    found = [module for module in MODULES if any(module == f"sevis.{name}" or module.startswith(f"sevis.{name}.") for name in names)]
    assert found, f"no module is called {names}"
    return found


def test_only_pages_import_streamlit() -> None:
    assert any(reaches(module, "streamlit") for module in rooms("pages"))
    assert [module for module in MODULES if reaches(module, "streamlit") and not module.startswith("sevis.pages")] == []


def test_nothing_imports_pages() -> None:
    assert [module for module in MODULES if reaches(module, "sevis.pages") and not module.startswith("sevis.pages")] == []


def test_what_lives_on_arrays_never_imports_torch() -> None:
    statistics = rooms("class_statistics", "class_answers", "moments", "packing", "sketches", "reservoir", "statistics_file", "exports")
    measures = rooms("measures", "block_measures", "resampling", "dead_gates", "profiles", "statements")
    comparisons = rooms("class_distances", "comparisons", "model_comparisons", "class_groups")
    ablations = rooms("ablations", "ablation_grid", "ablation_records", "ablation_report", "agreement", "run_record", "recipe", "intervals")
    arrays = [*rooms("figures"), *statistics, *measures, *comparisons, *ablations]
    assert [module for module in arrays if reaches(module, *HEAVY)] == []


def test_hooks_and_sites_work_on_any_model() -> None:
    assert [
        module for module in rooms("hooks", "sites") if reaches(module, "sevis.networks", "sevis.blocks.block", "sevis.weights.card")
    ] == []


def test_networks_and_blocks_know_nothing_above_them() -> None:
    below = {
        "sevis.networks",
        "sevis.blocks.block",
        "sevis.errors",
        "sevis.blocks.sites",
        "sevis.networks.meta",
        "sevis.networks.libraries",
    }
    for module in rooms("networks", "blocks", "meta"):
        used = {".".join(name.split(".")[:2]) for name in imports(module) if name.startswith("sevis.")}
        assert used <= (below if module.startswith("sevis.networks") else {"sevis.errors"}), module


def test_the_rooms_below_know_nothing_above_them() -> None:
    above = (
        "sevis.pages",
        "sevis.figures",
        "sevis.reports.html",
        "sevis.cli.parser",
        "sevis.experiments.explanation",
        "sevis.experiments.collection",
        "sevis.weights.card",
    )
    below = rooms("hooks", "sites", "datasets", "images", "networks", "blocks", "class_statistics", "files", "errors")
    assert [module for module in below if reaches(module, *above)] == []


def test_only_the_zoo_asks_timm_and_torchvision_and_training_for_mixtures_and_all_only_when_they_run() -> None:
    libraries = ["class_names", "timm_library", "torchvision_library"]
    rooms = [*(f"sevis.networks.libraries.{name}" for name in libraries), "sevis.training.augmentation"]
    assert [module for module in MODULES if reaches(module, "timm", "torchvision")] == rooms
    assert loaded_by("import sevis.sources, sevis.zoo") == set()
    assert loaded_by("import sevis.training, sevis.experiments") == {"torch"}


def test_the_shipped_network_loads_without_timm() -> None:
    assert loaded_by("import sevis; sevis.load(device='cpu')") == {"torch"}


@pytest.mark.parametrize(
    "module",
    [
        "sevis",
        "sevis.weights.card",
        "sevis.experiments.explanation",
        "sevis.class_statistics.class_statistics",
        "sevis.data.datasets",
        "sevis.data.images",
        "sevis.cli.networks",
    ],
)
def test_light_rooms_load_without_torch(module: str) -> None:
    assert loaded_by(f"import {module}") == set()


def test_figures_load_without_torch() -> None:
    names = [name.removesuffix(".__init__") for name in rooms("figures")]
    assert loaded_by(f"import {', '.join(names)}") == set()


def test_torch_is_loaded_by_the_rooms_that_need_it() -> None:
    assert "torch" in loaded_by("import sevis; sevis.build")  # so that the two tests above can fail


def loaded_by(statement: str) -> set[str]:
    """Which heavy packages a fresh interpreter has loaded after a statement."""
    program = f"import sys; {statement}; print(*({set(HEAVY)} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    return set(result.stdout.split())


def test_all_equals_the_importable_public_names() -> None:
    assert sevis.__all__ == sorted(sevis.__all__)
    assert dir(sevis) == sevis.__all__
    tree = ast.parse((ROOT / "__init__.py").read_text())
    typed = {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sevis")
        for alias in node.names
    }
    assert typed == set(sevis.__all__)  # what type checkers see is what there is
    for name in sevis.__all__:
        thing = getattr(sevis, name)
        assert thing.__name__ == name
        assert getattr(importlib.import_module(thing.__module__), name) is thing
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sevis.nothing


def test_files_stay_readable() -> None:
    long = {module: lines for module, path in MODULES.items() if (lines := len(path.read_text().splitlines())) > 300}
    assert long == {}


def test_user_mistakes_are_no_assertions() -> None:
    found = [
        module for module, path in MODULES.items() if any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(path.read_text())))
    ]
    assert found == []
