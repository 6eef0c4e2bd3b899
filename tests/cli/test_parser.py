"""The command line in processes of its own: what it prints, what it writes, and one line with exit code 2 for a user's mistake."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.data import create_transform, resolve_model_data_config
from torch import nn

import sevis
from sevis.cli import networks as commands
from sevis.cli.parser import main
from sevis.data.images import read_image
from sevis.paper import TABLES_2_AND_3
from sevis.recipe import Recipe
from sevis.training.training import train
from sevis.weights.card import DEFAULT
from tests.helpers.hub import serving
from tests.helpers.networks import stir
from tests.helpers.paths import ROOT
from tests.helpers.pictures import open_colours, write_colours


def run(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE", **environment}
    command = [sys.executable, "-m", "sevis", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=settings, cwd=ROOT)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo <b>.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8)).save(path)
    return path


def test_help_everywhere() -> None:
    top = run("--help")
    assert top.returncode == 0
    for command in ("models", "costs", "data", "train", "collect", "explain", "figure6", "export", "report"):
        assert command in top.stdout
        result = run(command, "--help")
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.startswith(f"usage: sevis {command}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "COMMAND"),
        (["sing"], "sing"),
        (["train", "--epochs", "many"], "--epochs"),
        (["train", "--epochs", "0"], "expected epochs between 1 and 10000, got 0"),
        (["train", "se_resnet51", "--data", "{data}"], "se_resnet50"),
        (["train", "--data", "{tmp}/nothing"], "there is no data at"),
        (["train", "--data", "{data}", "--classes", "red,purple"], "no class 'purple'"),
        (["train", "--evaluate", "se_resnet50x0_5.tiny2"], "se_resnet50x0_5.tiny20"),
        (["explain", "{tmp}/nothing.png"], "No such file"),
        (["explain", "{tmp}/text.png"], "not a picture"),
        (["train", "se_resnet18", "--stem", "big", "--data", "{data}"], "unknown stem 'big'"),
        (["train", "--width", "nan"], "expected width between 0.015625 and 16, got nan"),
        (["train", "--data", "{data}", "--classes", "{photo}"], "is no text: expected a file with one class a line"),
        (["train", "--data", "{data}", "--classes", ","], "expected at least one class"),
        (["train", "--data", "{tmp}/nothing", "--publish", "../mine"], "a network cannot be called '../mine'"),
        (["train", "--data", "{tmp}/nothing", "--publish", ""], "a network cannot be called ''"),
        (["collect", "--batch-size", "0", "--out", "{tmp}/out"], "--batch-size: expected a whole number from 1 on, got '0'"),
        (["collect", "--batch-size", "many", "--out", "{tmp}/out"], "--batch-size: expected a whole number from 1 on, got 'many'"),
        (["collect", "--workers", "-1", "--out", "{tmp}/out"], "--workers: expected a whole number from 0 on, got '-1'"),
        (["explain", "{tmp}"], "directory"),
        (["explain", "/dev/zero"], "/dev/zero is a directory or a device"),
        (["explain", "{tmp}/long.png"], "at most 20 MB are read"),
        (["explain", "{photo}", "--model", "resnet"], "no weights called 'resnet'"),
        (["explain", "{photo}", "--weights", "{tmp}/gone.pth"], "no file of weights at"),
        (["sites", "{tmp}/text.png"], "no weights called"),
        (["add", "../mine", "--weights", "{tmp}/gone.pth"], "a network cannot be called"),
        (["train", "--evaluate", "mine", "--publish", "x", "--classes", "a,b"], "trains nothing: leave --publish and --classes out"),
        (["collect", "--data", "{tmp}/empty", "--out", "{tmp}/out.safetensors"], "no images in"),
        (["figure6", "--classes", "unicorn", "--out", "{tmp}/out.html"], "no class 'unicorn'"),
        (["figure6", "--out", "{tmp}/out.docx"], ".html"),
        (["figure6", "--blocks", "SE_9_9", "--out", "{tmp}/out.html"], "SE_9_9"),
        (["figure6", "--statistics", "{tmp}/text.png", "--out", "{tmp}/out.html"], "damaged"),
        (["figure6", "--statistics", "{tmp}/gone", "--out", "{tmp}/out.html"], "no class statistics at"),
        (["collect", "--save-every", "soon", "--out", "{tmp}/out"], "--save-every: expected seconds from 0 on, got 'soon'"),
        (["collect", "--save-every", "-1", "--out", "{tmp}/out"], "--save-every: expected seconds from 0 on, got '-1'"),
        (["collect", "--data", "{data}", "--out", "{tmp}/data"], "is a directory: name the file to write"),
        (["collect", "--data", "{data}", "--classes", "red,purple", "--out", "{tmp}/out"], "no class 'purple'"),
        (["collect", "--data", "{data}", "--labels", "{tmp}/gone", "--out", "{tmp}/out"], "gone: No such file or directory"),
        (["export", "{tmp}/gone", "--out", "{tmp}/out.csv"], "no class statistics at"),
        (["export", "--out", "{tmp}/out.xlsx"], "expected a file that ends in .csv, .parquet, .npz, got 'out.xlsx'"),
        (["report", "{tmp}/text.png", "--out", "{tmp}/out.html"], "damaged"),
        (["report", "--out", "{tmp}/out.html", "--other", "{tmp}/gone"], "no class statistics at"),
        (["costs"], "expected the name of a network, such as se_resnet50, or --paper"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path, photo: Path, words: list[str], message: str) -> None:
    (tmp_path / "text.png").write_text("this is no picture")
    (tmp_path / "empty").mkdir()
    with (tmp_path / "long.png").open("wb") as file:
        file.truncate(2**36)  # a sparse file: more than fits into memory, and nothing on the disk
    write_colours(tmp_path / "data", train=1, val=1)
    before = sorted(tmp_path.iterdir())
    result = run(*(word.format(tmp=tmp_path, data=tmp_path / "data", photo=photo) for word in words))
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert message in result.stderr
    assert sorted(tmp_path.iterdir()) == before  # nothing half-written


def test_models_lists_what_can_be_loaded_and_built() -> None:
    result = run("models")
    assert result.returncode == 0
    for name in (*sevis.list_pretrained(), *sevis.list_models()):
        assert name in result.stdout


def test_costs_of_networks_by_any_name(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["se_resnet50", "resnet20", "legacy_senet154", "torchvision/densenet121", DEFAULT]
    assert main(["costs", *names]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.startswith("name")
    cells = {line.split()[0]: re.split(r"\s{2,}", line) for line in lines[: len(names)]}
    assert list(cells) == names
    assert cells["se_resnet50"][1:6] == ["224", "28,088,024", "2,530,992 (+9.90 %)", "2,514,944", "28.1 M"]
    assert cells["se_resnet50"][6:] == ["3.860 G", "2.515 M (+0.07 %)", "3.866 G", "3.87 G"]
    assert cells["resnet20"][1] == "32"
    assert cells["legacy_senet154"][2] == "115,088,984"
    assert cells["torchvision/densenet121"][2] == "7,978,856"
    assert cells["torchvision/densenet121"][3:6] == ["-"] * 3
    assert cells[DEFAULT][1] == "64"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["costs", "se_resnet51"], "of sevis's own, se_resnet50"),
        (["costs", "resnet18", "se_resnet51"], "se_resnet50"),
        (["costs", "--paper", "--size", "64"], "leave names and other options out"),
        (["costs", "se_resnet50", "--size", "0"], "expected a whole number from 1 on, got '0'"),
        (["costs", "se_resnet50", "--size", "100001"], "at most 100000 pixels a side, got 100001"),
        (["costs", "vgg16_bn", "--size", "16"], "3 × 16 × 16 is too small for VGG: the smallest that it takes is 3 × 32 × 32"),
        (["costs", "se_resnet50", "--stages", "4,x"], "expected a whole number from 1 on, got 'x'"),
        (["costs", "se_resnet50", "--stages", "6"], "no stage 6"),
        (["costs", "se_resnet50", "--placement", "up"], "standard, pre, post, identity, 3x3"),
        (["costs", "se_resnet50", "--squeeze", "min"], "unknown squeeze 'min'"),
        (["costs", "se_resnet50", "--reduction", "257"], "between 1 and the 256 channels"),
        (["costs", "se_resnet50", "--width", "nan"], "got nan"),
        (["costs", "resnet50", "--squeeze", "max"], "build se_resnet50, or leave squeeze out"),
        (["costs", "efficientnet_b0", "--no-bias"], "--no-bias: only for the networks that sevis builds itself"),
    ],
)
def test_a_mistake_about_costs_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    try:
        code: object = main(words)
    except SystemExit as error:  # argparse's own
        code = error.code
    told = capsys.readouterr()
    assert (code, told.out) == (2, "")
    assert len(told.err.splitlines()) == 1
    assert message in told.err


@pytest.mark.parametrize(
    ("options", "parameters", "paper", "operations"),
    [
        (["--no-bias", "--reduction", "8"], "30,586,920", "30.7 M", "-"),
        (["--no-bias", "--stages", "4"], "26,343,464", "26.4 M", "3.86 G"),
        (["--no-bias", "--placement", "3x3"], "25,714,216", "25.8 M", "3.86 G"),
        (["--no-bias", "--squeeze", "none"], "28,071,976", "28.1 M", "4.27 G"),
        (["--no-bias", "--stages", "2,3"], "25,712,680", "-", "-"),
        (["--size", "32"], "28,088,024", "28.1 M", "-"),
    ],
)
def test_costs_of_the_papers_alternatives(
    capsys: pytest.CaptureFixture[str], options: list[str], parameters: str, paper: str, operations: str
) -> None:
    assert main(["costs", "se_resnet50", *options]) == 0
    cells = re.split(r"\s{2,}", capsys.readouterr().out.splitlines()[1])
    assert (cells[2], cells[5], cells[9]) == (parameters, paper, operations)


def test_costs_by_block(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["costs", "se_resnet18", "--by-block"]) == 0
    told = capsys.readouterr().out
    blocks, sites = told.split("se_resnet18, by block\n")[1].split("se_resnet18, its SE blocks")
    assert [line.split()[0] for line in blocks.splitlines()[1:3]] == ["conv1", "layer1.0"]
    assert "512 × 7 × 7" in blocks
    assert [line.split()[0] for line in sites.splitlines()[2:]] == [
        *(f"SE_{stage}_{block}" for stage in (2, 3, 4, 5) for block in (1, 2)),
        "all",
    ]


def test_costs_beside_every_row_of_the_paper(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["costs", "--paper"]) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    rows, notes = lines[:20], lines[21:]
    assert [line.split()[1] for line in rows] == [name for row in TABLES_2_AND_3 for name in (row.name, f"se_{row.name}")]
    far = [line.split()[1] for line in rows if line.endswith("*")]
    assert far == ["inception_resnet_v2", "se_inception_resnet_v2", "shufflenet", "se_shufflenet"]
    assert [note.split(":")[0] for note in notes] == ["* Inception-ResNet-v2", "* ShuffleNet"]


def test_data_says_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "tiny-imagenet-200.zip").touch()
    assert str(tmp_path) in run("data", SEVIS_DATA=str(tmp_path)).stdout
    assert "not found" in run("data", SEVIS_DATA=str(tmp_path / "elsewhere")).stdout


def test_explain_prints_json_and_writes_html(tmp_path: Path, photo: Path) -> None:
    out = tmp_path / "out.html"
    result = run("explain", photo, "--json", "--html", out)
    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout)
    ready = sevis.load(device="cpu")
    expected = sevis.explain(ready, read_image(photo.read_bytes()))
    assert printed["top"][0]["class"] == expected.top()[0][0]
    assert printed["top"][0]["probability"] == pytest.approx(expected.top()[0][1], rel=1e-4)
    assert list(printed["blocks"]) == list(expected.sites)
    for site in expected.sites:
        np.testing.assert_allclose(printed["blocks"][site]["scale"], expected.scale[site], atol=1e-5)
    page = out.read_text()
    assert expected.top()[0][0] in page
    assert "SE_5_3" in page


def test_explain_prints_a_table(photo: Path) -> None:
    lines = run("explain", photo).stdout.splitlines()
    assert sum(line.startswith("SE_") for line in lines) == 16
    assert sum("%" in line for line in lines) == 5


def test_train_publish_collect_and_figure6_end_to_end(tmp_path: Path) -> None:
    data, shelf = write_colours(tmp_path / "data"), tmp_path / "pretrained"
    options = ["--width", "0.25", "--reduction", "4", "--size", "32", "--epochs", "6", "--batch-size", "12", "--learning-rate", "0.05"]
    words = ["train", "se_resnet18", "--data", data, *options, "--folder", tmp_path / "run", "--publish", "mine"]
    trained = run(*words, SEVIS_PRETRAINED=str(shelf))
    assert trained.returncode == 0, trained.stderr
    entry = json.loads((shelf / "index.json").read_text())["mine"]
    assert entry["command"].startswith("python -m sevis train se_resnet18 --data data --width 0.25")
    assert str(tmp_path) not in entry["command"]
    assert entry["device"].startswith(torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu, ")
    scored = run("train", "--evaluate", "mine", "--data", data, SEVIS_PRETRAINED=str(shelf))
    assert f"top1 {entry['top1']:.4f}, top5 {entry['top5']:.4f} on 12 images" in scored.stdout
    out = tmp_path / "mine.safetensors"
    collected = run("collect", "--model", "mine", "--data", data, "--split", "train", "--out", out, SEVIS_PRETRAINED=str(shelf))
    assert collected.returncode == 0, collected.stderr
    assert sevis.ClassStatistics.load(out).count.tolist() == [12, 12, 12]
    drawn = run("figure6", "--statistics", out, "--out", tmp_path / "figure.html", SEVIS_PRETRAINED=str(shelf))
    assert drawn.returncode == 0, drawn.stderr
    assert "green" in (tmp_path / "figure.html").read_text()


def test_classes_with_spaces_and_many_of_them(tmp_path: Path) -> None:
    names = [f"kind of animal number {number}" for number in range(30)]
    for split in ("train", "val"):
        for name in names:
            (tmp_path / "data" / split / name).mkdir(parents=True)
            Image.new("RGB", (32, 32), (200, 10, 10)).save(tmp_path / "data" / split / name / "1.png")
    data, shelf = tmp_path / "data", str(tmp_path / "pretrained")
    options = ["--data", data, "--width", "0.125", "--size", "32", "--epochs", "1", "--batch-size", "10", "--reduction", "4"]
    (tmp_path / "names.txt").write_text("\n".join(reversed(names)) + "\n\n")
    for number, classes in enumerate((",".join(reversed(names)), tmp_path / "names.txt")):
        words = ["resnet18", *options, "--classes", classes, "--folder", tmp_path / f"run {number}", "--publish", f"mine{number}"]
        trained = run("train", *words, SEVIS_PRETRAINED=shelf)
        assert trained.returncode == 0, trained.stderr
        assert json.loads((Path(shelf) / "index.json").read_text())[f"mine{number}"]["wnids"] == names[::-1]
    scored = run("train", "--evaluate", "mine0", "--data", data, SEVIS_PRETRAINED=shelf)
    assert scored.returncode == 0, scored.stderr
    assert "on 30 images" in scored.stdout


# --- networks of timm and torchvision ---


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Path, nn.Module]:
    """A file of weights of mobilenetv3_small_050 with three classes, and the network."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = stir(timm.create_model("mobilenetv3_small_050", num_classes=3)).eval()
    torch.save({"state_dict": model.state_dict()}, tmp_path / "mine.pth")
    return tmp_path / "mine.pth", model


@pytest.mark.parametrize(
    "name", ["mobilenetv3_small_050", "torchvision/mobilenet_v3_small", "torchvision/regnet_y_400mf", "legacy_seresnet18", DEFAULT]
)
def test_sites_prints_every_block_without_any_weights(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    if name == DEFAULT:
        monkeypatch.delenv("SEVIS_PRETRAINED")
    assert main(["sites", name]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "module", "channels", "hidden", "r", "gate", "bias"]
    model = sevis.load(name, weights="random", device="cpu").model
    expected = sevis.find_sites(model)
    assert len(lines) == len(expected) > 7
    for line, site in zip(lines, expected, strict=True):
        block = model.get_submodule(site.path)
        first, _, gate = (block.get_submodule(part) for part in site.parts)
        hidden, channels = first.weight.shape[:2]
        told = [site.name, site.path, str(channels), str(hidden), f"{channels / hidden:.4g}", type(gate).__name__]
        assert line.split() == [*told, "no" if first.bias is None else "yes"]


def test_explain_with_a_files_weights(
    elsewhere: Path, photo: Path, trained: tuple[Path, nn.Module], capsys: pytest.CaptureFixture[str]
) -> None:
    path, model = trained
    assert main(["explain", str(photo), "--model", "mobilenetv3_small_050", "--weights", str(path), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    transform = create_transform(**resolve_model_data_config(model, use_test_size=True))
    with torch.no_grad():
        expected = model(transform(read_image(photo.read_bytes()))[None]).softmax(dim=1)[0]
    told = {entry["class"]: entry["probability"] for entry in printed["top"]}
    assert told == {f"output {number}": pytest.approx(float(expected[number]), rel=1e-3) for number in range(3)}


def test_a_network_of_ones_own_in_one_command(
    elsewhere: Path, photo: Path, trained: tuple[Path, nn.Module], capsys: pytest.CaptureFixture[str]
) -> None:
    (elsewhere / "names.txt").write_text("red fox\ngrey wolf\n\npolar bear\n")
    words = ["--network", "mobilenetv3_small_050", "--weights", str(trained[0]), "--classes", str(elsewhere / "names.txt")]
    assert main(["add", "mine", *words]) == 0
    assert "mine: 3 classes" in capsys.readouterr().out
    assert main(["models"]) == 0
    assert "mine: 3 classes\n" in capsys.readouterr().out
    assert main(["explain", str(photo), "--model", "mine", "--json"]) == 0
    assert {entry["class"] for entry in json.loads(capsys.readouterr().out)["top"]} == {"red fox", "grey wolf", "polar bear"}
    assert main(["add", "mine", *words]) == 2
    assert "there is a network called mine already" in capsys.readouterr().err


def test_a_checkpoint_needs_no_name(elsewhere: Path, trained: tuple[Path, nn.Module], capsys: pytest.CaptureFixture[str]) -> None:
    data = open_colours(write_colours(elsewhere / "colours", train=4, val=1))
    recipe = Recipe(model="se_resnet18", width=0.125, reduction=4, stem="small", size=32, epochs=1, batch_size=6)
    train(recipe, data, elsewhere / "run")
    checkpoint = str(elsewhere / "run" / "checkpoint.pt")
    assert main(["add", "mine", "--weights", checkpoint]) == 0
    assert "mine: 3 classes" in capsys.readouterr().out
    theirs = sevis.load(checkpoint, device="cpu")
    for key, value in sevis.load("mine", device="cpu").model.state_dict().items():
        assert torch.equal(value, theirs.model.state_dict()[key])
    tables = []
    for words in ([checkpoint], ["mine"], [checkpoint, "--weights", "random"]):
        assert main(["sites", *words]) == 0
        tables.append(capsys.readouterr().out)
    assert tables[0] == tables[1] == tables[2]
    assert tables[0].count("SE_") == 8
    for words in (["add", "other", "--weights", "gone.pt"], ["add", "other", "--weights", "gone"], ["sites", "gone.pt"]):
        assert main(words) == 2
        assert "there is no file of weights at gone" in capsys.readouterr().err
    assert main(["add", "other", "--weights", str(trained[0])]) == 2
    assert "does not say which network it is of" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
    ],
)
def test_too_little_memory_is_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(commands, "models", fail)
    assert main(["models"]) == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    assert told.startswith("sevis: there is not enough memory")
    error = RuntimeError("a bug")
    with pytest.raises(RuntimeError, match="a bug"):
        main(["models"])


def test_weights_are_downloaded_from_the_hub_and_then_there(tmp_path: Path, photo: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_file(stir(timm.create_model("mobilenetv3_small_050")).state_dict(), tmp_path / "model.safetensors")
    words = ["explain", photo, "--model", "mobilenetv3_small_050"]
    with serving() as server:
        server.files["/timm/mobilenetv3_small_050.lamb_in1k/resolve/main/model.safetensors"] = (tmp_path / "model.safetensors").read_bytes()
        places = {"HF_ENDPOINT": server.address, "HF_HOME": str(tmp_path / "hf"), "TORCH_HOME": str(tmp_path), "no_proxy": "*"}
        fetched = run(*words, **places)
        assert fetched.returncode == 0, fetched.stderr
        assert len(server.gets()) == 1
    kept = run(*words, **places)
    assert kept.stdout == fetched.stdout
    missing = run(*words, **places | {"HF_HOME": str(tmp_path / "empty")})
    assert missing.returncode == 2
    assert len(missing.stderr.strip().splitlines()) == 1, missing.stderr
    place = tmp_path / "hub" / "checkpoints" / "mobilenetv3_small_050.lamb_in1k.safetensors"
    assert "cannot be reached" in missing.stderr
    assert f"save it as {place}, or take fresh weights" in missing.stderr


def test_a_pipe_that_closes_early_is_no_error() -> None:
    settings = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; from sevis.cli import main; sys.exit(main(['models']))"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=settings,
        cwd=ROOT,
    ) as process:
        process.stdout.close()
        errors = process.stderr.read().decode()
    assert "Traceback" not in errors
