"""The command that explains a photo: JSON, HTML and a table, with shipped, own and downloaded weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.data import create_transform, resolve_model_data_config
from torch import nn

import sevis
from sevis.cli.parser import main
from sevis.data.image_formats import read_image
from tests.helpers.hub import serving
from tests.helpers.networks import stir
from tests.helpers.processes import run_sevis


def test_explain_prints_json_and_writes_html(tmp_path: Path, photo: Path) -> None:
    out = tmp_path / "out.html"
    result = run_sevis("explain", photo, "--json", "--html", out)
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


def test_explain_prints_a_table(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(photo)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("SE_") for line in lines) == 16
    assert sum("%" in line for line in lines) == 5
    assert not any("dead" in line for line in lines)


def test_explain_tells_dead_gates(
    elsewhere: Path, photo: Path, trained: tuple[Path, nn.Module], capsys: pytest.CaptureFixture[str]
) -> None:
    state = {key: torch.zeros_like(value) if "se.conv_expand" in key else value for key, value in trained[1].state_dict().items()}
    save_file(state, elsewhere / "dead.safetensors")
    words = ["explain", str(photo), "--model", "mobilenetv3_small_050", "--weights", str(elsewhere / "dead.safetensors")]
    assert main(words) == 0
    told = capsys.readouterr().out.splitlines()[-1]
    assert told.startswith(
        "All 9 blocks: every s is 0.50 for any image: dead; likely cause: the gate gets the same number in every channel"
    )
    assert main([*words, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["dead"]) == 9


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


@pytest.mark.slow
def test_weights_are_downloaded_from_the_hub_and_then_there(tmp_path: Path, photo: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_file(stir(timm.create_model("mobilenetv3_small_050")).state_dict(), tmp_path / "model.safetensors")
    words = ["explain", photo, "--model", "mobilenetv3_small_050"]
    with serving() as server:
        server.files["/timm/mobilenetv3_small_050.lamb_in1k/resolve/main/model.safetensors"] = (tmp_path / "model.safetensors").read_bytes()
        places = {"HF_ENDPOINT": server.address, "HF_HOME": str(tmp_path / "hf"), "TORCH_HOME": str(tmp_path), "no_proxy": "*"}
        fetched = run_sevis(*words, **places)
        assert fetched.returncode == 0, fetched.stderr
        assert len(server.gets()) == 1
    kept = run_sevis(*words, **places)
    assert kept.stdout == fetched.stdout
    missing = run_sevis(*words, **places | {"HF_HOME": str(tmp_path / "empty")})
    assert missing.returncode == 2
    assert len(missing.stderr.strip().splitlines()) == 1, missing.stderr
    place = tmp_path / "hub" / "checkpoints" / "mobilenetv3_small_050.lamb_in1k.safetensors"
    assert "cannot be reached" in missing.stderr
    assert f"save it as {place}, or use random weights" in missing.stderr
