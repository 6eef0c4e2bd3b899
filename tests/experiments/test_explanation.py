"""An explanation equals a direct forward pass, and survives its file."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import sevis
from sevis import Explanation, SevisError, explain, override
from sevis.data.preprocessing import Preprocessing
from sevis.weights.loading import ReadyModel, make_ready
from tests.helpers.cards import make_card
from tests.helpers.networks import stir

CLASSES = ("ant", "bee", "cat", "dog", "eel")


@pytest.fixture
def ready() -> ReadyModel:
    torch.manual_seed(0)
    model = stir(sevis.build("se_resnet18", num_classes=5, width=0.125, reduction=4))
    preprocessing = Preprocessing(resize=40, crop=32, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    return make_ready(make_card(classes=CLASSES, preprocessing=preprocessing), model, device="cpu")


@pytest.fixture
def photo() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8))


def test_equals_a_direct_forward_pass(ready: ReadyModel, photo: Image.Image) -> None:
    result = explain(ready, photo, maps=["SE_3_1"])
    image = Preprocessing(resize=40, crop=32, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))(photo)
    taps: dict[str, np.ndarray] = {}
    block = ready.model.layer2[0].se
    handles = [
        block.register_forward_hook(lambda _, inputs, output: taps.update(u=inputs[0].numpy()[0], out=output.numpy()[0])),
        block.fc2.register_forward_hook(lambda _, inputs, output: taps.update(hidden=inputs[0].numpy()[0], logits=output.numpy()[0])),
    ]
    with torch.no_grad():
        logits = ready.model(torch.from_numpy(image)[None])[0].double().numpy()
    for handle in handles:
        handle.remove()

    np.testing.assert_allclose(result.probabilities, np.exp(logits) / np.exp(logits).sum(), atol=1e-6)
    np.testing.assert_allclose(result.squeeze["SE_3_1"], taps["u"].mean((1, 2)), atol=1e-6)
    np.testing.assert_allclose(result.hidden["SE_3_1"], taps["hidden"], atol=1e-6)
    np.testing.assert_allclose(result.logits["SE_3_1"], taps["logits"], atol=1e-6)
    np.testing.assert_allclose(result.scale["SE_3_1"], 1 / (1 + np.exp(-taps["logits"])), atol=1e-6)
    np.testing.assert_allclose(result.maps["SE_3_1"], taps["u"], atol=1e-6)
    np.testing.assert_allclose(result.scale["SE_3_1"][:, None, None] * result.maps["SE_3_1"], taps["out"], atol=1e-6)


def test_knows_where_it_comes_from(ready: ReadyModel, photo: Image.Image) -> None:
    result = explain(ready, photo)
    assert (result.model, result.weights, result.classes, result.device) == ("small", "0" * 64, CLASSES, "cpu")
    assert result.sites == tuple(site.name for site in sevis.find_sites(ready.model))
    assert list(result.squeeze) == list(result.hidden) == list(result.logits) == list(result.scale) == list(result.sites)
    assert result.maps == {}
    assert result.seconds > 0
    assert (result.view.shape, result.view.dtype) == ((32, 32, 3), np.uint8)


def test_outputs_that_are_no_numbers_are_no_answer(ready: ReadyModel, photo: Image.Image) -> None:
    with pytest.raises(
        SevisError, match="the outputs of the network are no longer finite numbers: use smaller values for the changed scales"
    ):
        explain(ready, photo, within=lambda on: override(on.model, {"SE": 1e38}))


def test_dead_gates_are_told(ready: ReadyModel, photo: Image.Image, tmp_path: Path) -> None:
    assert explain(ready, photo).dead == {}
    with torch.no_grad():
        for block in (ready.model.layer1[0].se, ready.model.layer2[1].se):
            block.fc2.weight.zero_()
            block.fc2.bias.zero_()
        ready.model.layer3[0].bn2.weight.zero_()
        ready.model.layer3[0].bn2.bias.zero_()
    result = explain(ready, photo)
    assert list(result.dead) == ["SE_2_1", "SE_3_2", "SE_4_1"]
    assert result.dead["SE_2_1"] == result.dead["SE_3_2"]
    assert result.dead["SE_2_1"].startswith("every s is 0.50 for any image: dead; likely cause: the gate gets the same number")
    assert "for any image: dead; likely cause: the squeeze z is 0 in every channel; the last norm" in result.dead["SE_4_1"]
    assert result.as_json()["dead"] == result.dead
    for seed in range(3):  # any image, indeed
        other = explain(ready, Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)))
        for site in result.dead:
            np.testing.assert_array_equal(other.scale[site], result.scale[site])
    result.save(tmp_path / "dead.safetensors")
    assert Explanation.load(tmp_path / "dead.safetensors").dead == result.dead


def test_top_is_sorted_and_named(ready: ReadyModel, photo: Image.Image) -> None:
    result = explain(ready, photo)
    expected = sorted(zip(CLASSES, result.probabilities.tolist(), strict=True), key=lambda pair: -pair[1])
    assert result.top(3) == expected[:3]
    assert len(result.top(50)) == 5


def test_leaves_the_model_as_it_was(ready: ReadyModel, photo: Image.Image) -> None:
    before = {key: value.clone() for key, value in ready.model.state_dict().items()}
    explain(ready, photo, maps=["SE_2_1"])
    with pytest.raises(SevisError, match="no SE block is called 'SE_7_1'"):
        explain(ready, photo, maps=["SE_7_1"])
    assert all(torch.equal(value, before[key]) for key, value in ready.model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in ready.model.modules())


def test_survives_its_file(ready: ReadyModel, photo: Image.Image, tmp_path: Path) -> None:
    result = explain(ready, photo, maps=["SE_5_2", "SE_2_1"])
    result.save(tmp_path / "new" / "photo.safetensors")
    back = Explanation.load(tmp_path / "new" / "photo.safetensors")
    assert (back.model, back.weights, back.classes, back.sites) == (result.model, result.weights, result.classes, result.sites)
    assert (back.seconds, back.device) == (result.seconds, result.device)
    np.testing.assert_array_equal(back.probabilities, result.probabilities)
    np.testing.assert_array_equal(back.view, result.view)
    for part in ("squeeze", "hidden", "logits", "scale", "maps"):
        assert list(getattr(back, part)) == [site for site in back.sites if site in getattr(result, part)]
        for site, array in getattr(result, part).items():
            np.testing.assert_array_equal(getattr(back, part)[site], array)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["photo.safetensors"]  # no temporary file


def test_missing_and_damaged_files_are_refused(ready: ReadyModel, photo: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "photo.safetensors"
    with pytest.raises(SevisError, match=r"there is no explanation at .*photo\.safetensors: restore it, or save one anew"):
        Explanation.load(path)
    explain(ready, photo).save(path)
    whole = path.read_bytes()
    for damaged in (b"", whole[:100], whole[:-5], b"\0" * 300, whole.replace(b"probabilities", b"improbability")):
        path.write_bytes(damaged)
        with pytest.raises(SevisError, match="is damaged"):
            Explanation.load(path)
    for header in (b"scale.SE_2_1", b"hidden.SE_2_1"):
        path.write_bytes(whole.replace(header, header.replace(b"2_1", b"2_9")))
        with pytest.raises(SevisError, match=r"is damaged \(KeyError\)"):
            Explanation.load(path)
    with pytest.raises(SevisError, match="is damaged"):
        Explanation.load(tmp_path)  # a folder


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", 5),
        ("weights", None),
        ("device", ["cpu"]),
        ("seconds", "fast"),
        ("classes", ("ant", "bee")),
        ("classes", (1, 2, 3, 4, 5)),
        ("classes", "abcde"),
        ("probabilities", np.zeros((5, 1), np.float32)),
        ("probabilities", np.zeros(5, np.int64)),
        ("view", np.zeros((32, 32, 3), np.float32)),
        ("view", np.zeros((32, 30, 4), np.uint8)),
        ("view", np.zeros((32, 32), np.uint8)),
        ("view", np.zeros((0, 0, 3), np.uint8)),
        ("view", np.array(0, np.uint8)),
        ("squeeze", np.zeros(7, np.float32)),
        ("scale", np.zeros((8, 1), np.float32)),
        ("logits", np.zeros(8, np.int32)),
        ("hidden", np.zeros((1, 2), np.float32)),
        ("maps", np.zeros((7, 4, 4), np.float32)),
        ("maps", np.zeros((7, 16), np.float32)),
        ("maps", np.zeros(8, np.float32)),
        ("maps", np.zeros((8, 2, 2, 2, 2), np.float32)),
    ],
)
def test_fields_that_do_not_fit_are_refused(ready: ReadyModel, photo: Image.Image, tmp_path: Path, field: str, value: object) -> None:
    path = tmp_path / "photo.safetensors"
    whole = explain(ready, photo, maps=["SE_2_1"])
    whole.save(path)
    Explanation.load(path)
    stored = getattr(whole, field)
    changed = {**stored, "SE_2_1": value} if isinstance(stored, dict) else value
    replace(whole, **{field: changed}).save(path)
    with pytest.raises(SevisError, match="is damaged"):
        Explanation.load(path)


@pytest.mark.parametrize("places", [(16,), (2, 4, 4)], ids=["sequence", "volume"])
def test_maps_of_sequences_and_volumes_come_back(ready: ReadyModel, photo: Image.Image, tmp_path: Path, places: tuple[int, ...]) -> None:
    maps = np.random.default_rng(0).normal(size=(8, *places)).astype(np.float32)
    replace(explain(ready, photo), maps={"SE_2_1": maps}).save(tmp_path / "saved.safetensors")
    np.testing.assert_array_equal(Explanation.load(tmp_path / "saved.safetensors").maps["SE_2_1"], maps)


@pytest.mark.parametrize("sites", [[], "SE_2_1", [1], [["SE_2_1"]], None, {"SE_2_1": 1}])
def test_sites_that_are_no_names_are_refused(ready: ReadyModel, photo: Image.Image, tmp_path: Path, sites: object) -> None:
    path = tmp_path / "photo.safetensors"
    explain(ready, photo).save(path)
    with safe_open(path, framework="numpy") as file:
        header = json.loads(file.metadata()["sevis"])
    save_file(load_file(path), path, metadata={"sevis": json.dumps({**header, "sites": sites})})
    with pytest.raises(SevisError, match="is damaged"):
        Explanation.load(path)


@pytest.mark.parametrize("metadata", [None, {"sevis": "{}"}, {"sevis": '{"format": "sevis-class-statistics-1"}'}])
def test_other_safetensors_files_are_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"a": np.zeros(3)}, tmp_path / "a.safetensors", metadata=metadata)
    with pytest.raises(SevisError, match="expected 'sevis-explanation-1'"):
        Explanation.load(tmp_path / "a.safetensors")
