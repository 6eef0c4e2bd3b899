"""Where trained weights come from: the caches of this machine, or a server of the test's own that speaks as GitHub and Hugging Face do."""

import hashlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
import timm
from torchvision.models import MobileNet_V3_Small_Weights

from sevis import SevisError
from sevis.data import downloads
from sevis.errors import WeightsMissing
from sevis.networks.libraries.library import LibraryNetwork
from sevis.networks.libraries.sevis_library import SevisNetwork
from sevis.networks.libraries.timm_library import TimmNetwork
from sevis.networks.libraries.torchvision_library import TorchvisionNetwork
from sevis.weights import published as sources
from sevis.weights.published import find_weights, is_published
from tests.helpers.hub import Server, serving

CONTENT = bytes(range(256)) * 4000  # 1,024,000 bytes
DIGITS = hashlib.sha256(CONTENT).hexdigest()[:8]
BY_URL = TimmNetwork.named("legacy_seresnet18.in1k")
BY_HUB = TimmNetwork.named("mobilenetv3_small_050.lamb_in1k")
TORCHVISION = TorchvisionNetwork.named("mobilenet_v3_small.IMAGENET1K_V1")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def published(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server in the place of GitHub, of PyTorch's and of Hugging Face, with all three networks' files."""
    name = f"net-{DIGITS}.pth"
    monkeypatch.setattr(timm.models._registry._model_pretrained_cfgs[BY_URL.name], "url", f"{server.address}/{name}")
    monkeypatch.setattr(MobileNet_V3_Small_Weights.DEFAULT.value, "url", f"{server.address}/{name}")
    point_hub_at(server.address, monkeypatch)
    server.files = {f"/{name}": CONTENT, f"/timm/{BY_HUB.name}/resolve/main/model.safetensors": CONTENT}
    return server


def point_hub_at(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")


# --- where they are said to be ---


@pytest.mark.parametrize(
    ("network", "address", "file"),
    [
        (
            TimmNetwork.named("legacy_seresnet50.in1k"),
            r"https://github\.com/.*/v0\.1-cadene/se_resnet50-ce0d4300\.pth",
            "se_resnet50-ce0d4300.pth",
        ),
        (BY_HUB, rf"https://huggingface\.co/timm/{BY_HUB.name}/resolve/main/model\.safetensors", f"{BY_HUB.name}.safetensors"),
        (TORCHVISION, r"https://download\.pytorch\.org/models/mobilenet_v3_small-047dcff4\.pth", "mobilenet_v3_small-047dcff4.pth"),
    ],
)
def test_the_address_and_the_path(cache: Path, network: LibraryNetwork, address: str, file: str) -> None:
    source = network.published()
    assert re.fullmatch(address, source.address)
    assert source.path == cache / file


def test_a_network_that_nobody_trained() -> None:
    with pytest.raises(
        SevisError, match=r"timm has no trained weights of seresnet18: use random weights \(weights='random', --weights random\)"
    ):
        find_weights(TimmNetwork.named("seresnet18").published())


# --- downloads ---


@pytest.mark.parametrize("network", [BY_URL, TORCHVISION, BY_HUB], ids=lambda network: network.name)
def test_weights_are_downloaded_once(published: Server, network: LibraryNetwork, capfd: pytest.CaptureFixture[str]) -> None:
    path = find_weights(network.published())
    assert path.read_bytes() == CONTENT
    assert len(published.gets()) == 1
    assert "1.02M/1.02M" in capfd.readouterr().err  # a progress bar
    published.asked.clear()
    assert find_weights(network.published(), download=False) == path
    assert find_weights(network.published()) == path
    assert published.asked == []


def test_what_is_in_a_cache_is_taken(server: Server, cache: Path) -> None:
    cache.mkdir(parents=True)
    for network in (BY_HUB, TimmNetwork.named("rexnet_100.nav_in1k")):
        path = network.published().path
        path.write_bytes(CONTENT)  # put there by hand
        assert find_weights(network.published(), download=False) == path
    assert server.asked == []


def test_a_broken_download_goes_on_where_it_broke(published: Server, cache: Path) -> None:
    published.cut_after = 600_000
    with pytest.raises(WeightsMissing, match=r"broke after 600,000 of 1,024,000 bytes: run the command again, and it continues from there"):
        find_weights(BY_URL.published())
    assert not (cache / f"net-{DIGITS}.pth").exists()
    assert find_weights(BY_URL.published()).read_bytes() == CONTENT
    assert published.gets() == [(f"/net-{DIGITS}.pth", None), (f"/net-{DIGITS}.pth", "bytes=600000-")]


def test_a_broken_download_from_the_hub_goes_on_where_it_broke(published: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 100_000)  # what comes of a chunk that breaks is lost
    published.cut_after = 650_000
    assert find_weights(BY_HUB.published()).read_bytes() == CONTENT
    assert [span for _, span in published.gets()] == [None, "bytes=600000-"]


def test_a_file_with_another_hash_is_refused(published: Server, cache: Path) -> None:
    published.files[f"/net-{DIGITS}.pth"] = CONTENT[::-1]
    with pytest.raises(
        WeightsMissing, match=r"sent another file than expected \(its checksum differs\), and the file was deleted: try again"
    ):
        find_weights(BY_URL.published())
    assert list(cache.iterdir()) == []
    (cache / f"net-{DIGITS}.pth").write_bytes(CONTENT[:-1])  # a damaged copy
    with pytest.raises(WeightsMissing, match=rf"another, whose SHA-256 does not begin with {DIGITS}; nothing was to be downloaded"):
        find_weights(BY_URL.published(), download=False)
    published.files[f"/net-{DIGITS}.pth"] = CONTENT
    assert find_weights(BY_URL.published()).read_bytes() == CONTENT


def test_a_file_without_a_hash_in_its_name_is_taken_as_it_is(published: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm.models._registry._model_pretrained_cfgs[BY_URL.name], "url", f"{published.address}/plain.pth")
    published.files["/plain.pth"] = CONTENT
    assert find_weights(BY_URL.published()).read_bytes() == CONTENT


def test_the_hubs_older_file_where_there_is_no_newer(published: Server) -> None:
    published.files = {f"/timm/{BY_HUB.name}/resolve/main/pytorch_model.bin": CONTENT}
    assert find_weights(BY_HUB.published()).name == "pytorch_model.bin"
    assert find_weights(BY_HUB.published(), download=False).read_bytes() == CONTENT


# --- refused, with the file to fetch by hand ---


def assert_says_what_to_do(error: WeightsMissing, network: LibraryNetwork) -> None:
    source = network.published()
    assert (error.name, error.source, error.path) == (network.name, source.address, source.path)
    told = str(error)
    assert f"download {source.address} and save it as {source.path}, or use random weights (weights='random', --weights random)" in told
    assert "\n" not in told


@pytest.mark.parametrize("network", [BY_URL, TORCHVISION, BY_HUB], ids=lambda network: network.name)
def test_a_missing_file_is_named(published: Server, network: LibraryNetwork) -> None:
    published.files.clear()
    with pytest.raises(WeightsMissing, match="404") as caught:
        find_weights(network.published())
    assert_says_what_to_do(caught.value, network)


@pytest.mark.parametrize("network", [BY_URL, TORCHVISION, BY_HUB], ids=lambda network: network.name)
def test_nothing_is_asked_where_nothing_may_be_downloaded(published: Server, network: LibraryNetwork) -> None:
    with pytest.raises(WeightsMissing, match=r"are not here \(nothing was to be downloaded\)") as caught:
        find_weights(network.published(), download=False)
    assert_says_what_to_do(caught.value, network)
    assert published.asked == []


@pytest.mark.parametrize("network", [BY_URL, BY_HUB], ids=lambda network: network.name)
def test_without_internet_one_sentence(network: LibraryNetwork, published: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    published.shutdown()
    published.server_close()
    with pytest.raises(WeightsMissing, match=r"127\.0\.0\.1:\d+ cannot be reached: .*refused") as caught:
        find_weights(network.published())
    assert_says_what_to_do(caught.value, network)


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        point_hub_at(f"http://127.0.0.1:{silent.getsockname()[1]}", monkeypatch)
        with pytest.raises(WeightsMissing, match=r"cannot be reached: timed out"):
            find_weights(BY_HUB.published())


def test_the_digits_in_a_name() -> None:
    assert sources._hash_in("se_resnet50-ce0d4300.pth") == "ce0d4300"
    assert sources._hash_in("seresnet50_ra_224-8efdb4bb.pth") == "8efdb4bb"
    assert sources._hash_in("resnet-a1.pth") is None
    assert sources._hash_in("model.safetensors") is None


@pytest.mark.parametrize("network", [BY_URL, BY_HUB, TORCHVISION])
def test_a_copy_of_the_published_file_is_known(published: Server, tmp_path: Path, network: LibraryNetwork) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    mine, named = tmp_path / "mine.pth", tmp_path / f"net-{DIGITS}.pth"
    assert not is_published(network, mine, digest)  # nothing is here to compare with, and nothing is fetched
    assert is_published(network, named, digest) == (network is not BY_HUB)
    assert not is_published(network, named, "0" * 64)
    find_weights(network.published())
    assert is_published(network, mine, digest)
    assert not is_published(network, mine, "0" * 64)


def test_of_a_network_without_published_weights_no_file_is_a_copy(tmp_path: Path) -> None:
    assert not is_published(SevisNetwork.named("se_resnet18"), tmp_path / "mine.pth", "0" * 64)
