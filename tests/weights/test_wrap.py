"""A network of one's own class becomes what `load` gives, and stays as it was."""

import copy
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import transforms
from torchvision.transforms import v2

import sevis
from sevis import SevisError
from sevis.data.preprocessing import Preprocessing
from sevis.weights.adopt import adopt
from tests.helpers.pictures import a_picture

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Own(nn.Module):
    """A stranger's network, whose outputs may come in a dictionary or an object."""

    def __init__(self, outputs=3, channels=3, form=lambda logits: logits):
        super().__init__()
        self.conv, self.norm, self.se = nn.Conv2d(channels, 16, 3), nn.BatchNorm2d(16), sevis.SqueezeExcitation(16, reduction=4)
        self.drop, self.head, self.form = nn.Dropout(), nn.Linear(16, outputs), form

    def forward(self, x):
        return self.form(self.head(self.drop(self.se(self.norm(self.conv(x))).mean((2, 3)))))


@pytest.fixture
def own():
    torch.manual_seed(0)
    return Own().eval()


def state_of(model):
    tensors = {**model.state_dict(), **dict(model.named_parameters())}
    return (
        {name: (value.clone(), value.device, value.requires_grad) for name, value in tensors.items()},
        [module.training for module in model.modules()],
        [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()],
    )


def same(one, other):
    return all(torch.equal(value, other[0][name][0]) and rest == list(other[0][name][1:]) for name, (value, *rest) in one[0].items()) and (
        one[1:] == other[1:]
    )


def test_it_gives_what_load_gives_and_leaves_the_model_as_it_was(own):
    before = state_of(own)
    ready = sevis.wrap(own, classes=["cat", "dog", "eel"], preprocess=Preprocessing.square(24))
    explanation = sevis.explain(ready, a_picture())
    assert same(before, state_of(own))
    assert ready.model is own
    assert (ready.classes, ready.card.name, str(ready.device)) == (("cat", "dog", "eel"), "Own", "cpu")
    assert (explanation.model, explanation.weights, explanation.classes) == ("Own", ready.card.sha256, ready.classes)
    with torch.no_grad():
        logits = own(torch.from_numpy(Preprocessing.square(24)(a_picture()))[None])
    np.testing.assert_allclose(explanation.probabilities, logits.softmax(1)[0].numpy(), atol=1e-6)


def test_the_hash_is_that_of_the_weights(own):
    first = sevis.wrap(own).card.sha256
    assert first == sevis.wrap(copy.deepcopy(own)).card.sha256
    with torch.no_grad():
        own.head.bias += 1
    assert sevis.wrap(own).card.sha256 != first
    assert len(first) == 64


def test_a_model_in_training_mode_is_refused_and_stays_in_it(own):
    own.drop.train()
    with pytest.raises(SevisError, match=r"Own is in training mode \(its drop\).*: call model.eval\(\), then wrap it"):
        sevis.wrap(own)
    assert [name for name, module in own.named_modules() if module.training] == ["drop"]


def test_names_of_the_outputs(own):
    square = Preprocessing.square(24)
    assert sevis.wrap(own).classes == ()
    unnamed = sevis.wrap(own, preprocess=square)
    assert (unnamed.classes, unnamed.card.classes, unnamed.card.wnids) == (("output 0", "output 1", "output 2"),) * 2 + (None,)
    named = sevis.wrap(own, classes={"dog": 1, "cat": 0, "eel": 2}, name="mine")
    assert (named.classes, named.card.wnids, named.card.name) == (("cat", "dog", "eel"), ("cat", "dog", "eel"), "mine")
    assert sevis.wrap(own, classes={"2": "eel", "0": "cat", "1": "dog"}).classes == named.classes, "numbers as JSON writes them"
    assert [type(name) for name in sevis.wrap(own, classes=np.array(["cat", "dog", "eel"])).classes] == [str] * 3
    by_id = sevis.wrap(own, classes=["n01443537", "n02123045", "n07920052"])
    assert by_id.card.wnids == ("n01443537", "n02123045", "n07920052")
    assert by_id.classes[0] == "goldfish"
    own.config = SimpleNamespace(id2label={"1": "dog", "0": "cat", "2": "eel"})
    assert sevis.wrap(own, preprocess=square).classes == ("cat", "dog", "eel")
    own.config = SimpleNamespace(id2label={0: "LABEL_0", 1: "LABEL_1"})
    assert sevis.wrap(own, preprocess=square).classes == unnamed.classes
    thousand = sevis.wrap(Own(1000).eval(), preprocess=square)
    assert thousand.classes[1] == "output 1", "a thousand outputs are not ImageNet's for that"
    with pytest.raises(SevisError, match=r"Own has 3 outputs, but 2 classes are named \(cat, dog\)"):
        sevis.wrap(own, classes=["cat", "dog"], preprocess=square)


COMPOSE = [transforms.Resize(24), transforms.CenterCrop(24), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]


def hidden_away(image):
    """A function that does not say by what it normalises."""
    return transforms.Compose(COMPOSE)(image)


@pytest.mark.parametrize(
    "function",
    [
        transforms.Compose(COMPOSE),
        nn.Sequential(v2.Resize(24), v2.CenterCrop(24), v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)),
        lambda image: {"pixel_values": [transforms.Compose(COMPOSE)(image).numpy()]},
        lambda image: transforms.Compose(COMPOSE)(image)[None],
    ],
)
def test_any_function_of_an_image_is_preprocessing(own, function):
    image = a_picture(60, 24)
    explanation = sevis.explain(sevis.wrap(own, preprocess=function), image)
    with torch.no_grad():
        expected = own(transforms.Compose(COMPOSE)(image)[None]).softmax(1)[0].numpy()
    np.testing.assert_allclose(explanation.probabilities, expected, atol=1e-6)
    assert (explanation.view.shape, explanation.view.dtype) == ((24, 24, 3), np.uint8)


def test_the_view_is_the_picture_where_the_normalisation_is_known(own):
    image = a_picture(24, 24)
    for function in (transforms.Compose(COMPOSE), transforms.Compose(COMPOSE[:3])):
        view = sevis.wrap(own, preprocess=function).preprocess.view(image)
        np.testing.assert_allclose(view.astype(int), np.asarray(image), atol=1)
    stretched = sevis.wrap(own, preprocess=hidden_away).preprocess.view(image)
    assert (stretched.min(), stretched.max()) == (0, 255)


def test_grey_and_oblong_inputs(tmp_path):
    grey = transforms.Compose([transforms.Grayscale(), transforms.Resize((20, 28)), transforms.ToTensor()])
    explanation = sevis.explain(sevis.wrap(Own(channels=1).eval(), preprocess=grey), a_picture())
    assert explanation.view.shape == (20, 28, 3)
    assert (explanation.view[..., 0] == explanation.view[..., 2]).all()
    explanation.save(tmp_path / "grey.safetensors")
    np.testing.assert_array_equal(sevis.Explanation.load(tmp_path / "grey.safetensors").view, explanation.view)


@pytest.mark.parametrize("form", [lambda logits: {"logits": logits}, lambda logits: SimpleNamespace(logits=logits, loss=None)])
def test_logits_are_found_in_what_a_network_gives(own, form):
    other = copy.deepcopy(own)
    other.form = form
    plain, within = (sevis.explain(sevis.wrap(model, preprocess=Preprocessing.square(24)), a_picture()) for model in (own, other))
    np.testing.assert_array_equal(plain.probabilities, within.probabilities)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"preprocess": "resize"}, "expected preprocess to be .* got str"),
        ({"preprocess": lambda image: image}, r"preprocess gives .*: expected it to turn an RGB image"),
        ({"preprocess": transforms.PILToTensor()}, r"a uint8 Tensor of shape \(3, 256, 320\)"),
        ({"preprocess": lambda image: 1 / 0}, r"preprocess fails on an image \(division by zero\)"),
        ({"preprocess": transforms.Compose([transforms.Grayscale(), transforms.ToTensor()])}, r"Own cannot take .* shape \(1, 256, 320\)"),
        (
            {"preprocess": lambda image: np.asarray(image, np.float32)},
            r"the channels last, in shape \(256, 320, 3\): let it end in transpose",
        ),
        ({"classes": {"cat", "dog", "eel"}}, "got a set, which has no order: pass a list"),
        ({"classes": "cat"}, "expected classes as a list of names"),
    ],
)
def test_what_does_not_fit_is_refused_at_the_door(own, change, message):
    with pytest.raises(SevisError, match=message):
        sevis.wrap(own, **change)


def test_networks_that_cannot_be_wrapped_are_refused(own):
    for model, message in (
        (sevis.wrap(own), "Own is ready already"),
        ("resnet18", "expected a torch.nn.Module to wrap, got str: sevis.load takes names"),
        (nn.Sequential(nn.Linear(2, 2)).eval(), "Squeeze-and-Excitation"),
        (copy.deepcopy(own).to("meta"), "meta device"),
        (nn.DataParallel(own), "pass model.module"),
    ):
        with pytest.raises(SevisError, match=message):
            sevis.wrap(model)
    own.head = nn.LazyLinear(3).eval()
    with pytest.raises(SevisError, match="layers that are not made yet"):
        sevis.wrap(own)
    with pytest.raises(SevisError, match="gives tuple, expected logits"):
        sevis.wrap(Own(form=lambda logits: (logits, logits)).eval(), preprocess=Preprocessing.square(24))


def test_outputs_that_are_no_logits_are_refused():
    square = Preprocessing.square(24)
    with pytest.raises(SevisError, match="the outputs of Own are probabilities already"):
        sevis.wrap(Own(form=lambda logits: logits.softmax(1)).eval(), preprocess=square)
    with pytest.raises(SevisError, match="Own has a single output"):
        sevis.wrap(Own(1).eval(), preprocess=square)
    two = sevis.wrap(Own(1, form=lambda x: torch.cat([torch.zeros_like(x), x], dim=1)).eval(), preprocess=square)
    logit = two.model(torch.from_numpy(square(a_picture()))[None])[0, 1]
    np.testing.assert_allclose(sevis.explain(two, a_picture()).probabilities[1], torch.sigmoid(logit).item(), atol=1e-6)
    logs = sevis.wrap(Own(form=lambda logits: logits.log_softmax(1)).eval(), preprocess=square)
    assert sevis.explain(logs, a_picture()).probabilities.sum() == pytest.approx(1)


def test_without_preprocessing_it_takes_no_images(own):
    ready = sevis.wrap(own, classes=["a", "b", "c"])
    for use in (
        lambda: sevis.explain(ready, a_picture()),
        lambda: sevis.measure_sensitivity(ready, a_picture()),
        lambda: ready.preprocess.view(a_picture()),
    ):
        with pytest.raises(
            SevisError, match=r"wrapped without a preprocessing, so it takes no images: sevis.wrap\(model, preprocess=...\)"
        ):
            use()
    array = np.zeros((3, 24, 24), np.float32)
    assert sevis.measure_sensitivity(ready, array).opened.shape == (1, 3)


def test_half_precision_and_what_preprocessing_was(own):
    ready = sevis.wrap(copy.deepcopy(own).double(), preprocess=transforms.Compose(COMPOSE))
    assert sevis.explain(ready, a_picture()).scale["SE_2_3"].dtype == np.float64
    assert ready.preprocess.describe().startswith("Compose( Resize(size=24")
    assert "0x" not in sevis.wrap(own, preprocess=partial(hidden_away)).preprocess.describe()
    with pytest.raises(SevisError, match="lives in your program"):
        adopt("mine", ready)
