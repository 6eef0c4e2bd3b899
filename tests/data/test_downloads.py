"""Downloads from a server of the test's own: whole, resumed, refused."""

import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sevis import SevisError
from sevis.data import downloads
from sevis.data.downloads import check_answers, fetch, fetch_tiny_imagenet
from tests.helpers.pictures import TINY_IMAGENET, write_tiny_imagenet, zipped

CONTENT = bytes(range(256)) * 4000  # 1,024,000 bytes
MD5 = hashlib.md5(CONTENT).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT at /file; its behaviour is set by the test, its requests are remembered."""

    ranges = True
    cut_after: int | None = None
    content = CONTENT
    length = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []

    def url(self, path: str = "file") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.headers["Range"])
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/file")
            self.end_headers()
            return
        if self.path == "/to-a-file":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
            return
        if self.path != "/file":
            self.send_error(404)
            return
        body, start = self.server.content, 0
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        if wanted and self.server.ranges:
            start = int(wanted[1])
            if start >= len(body):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        if self.server.length:
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end = len(body) if self.server.cut_after is None else min(len(body), start + self.server.cut_after)
        self.wfile.write(body[start:end])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "data.zip"


def part_of(path: Path) -> Path:
    return path.with_name("data.zip.part")


@pytest.mark.parametrize("checks", [{}, {"md5": MD5}, {"sha256": SHA256.upper()}, {"md5": MD5, "sha256": SHA256, "size": len(CONTENT)}])
@pytest.mark.parametrize("length", [True, False])
def test_a_whole_download(server: Server, path: Path, checks: dict[str, object], length: bool) -> None:
    server.length = length
    assert fetch(server.url(), path, **checks, progress=False) == path
    assert path.read_bytes() == CONTENT
    assert [entry.name for entry in path.parent.iterdir()] == ["data.zip"]
    assert server.asked == [None]


def test_what_is_there_is_not_downloaded_again_unless_it_is_wrong(server: Server, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    fetch(server.url(), path, md5=MD5, progress=False)
    assert server.asked == []
    path.write_bytes(CONTENT[:-1] + b"?")
    fetch(server.url(), path, md5=MD5, progress=False)
    assert server.asked == [None]
    assert path.read_bytes() == CONTENT


def test_a_cut_connection_is_resumed_where_it_broke(server: Server, path: Path) -> None:
    server.cut_after = 300_000
    for done in (300_000, 600_000, 900_000):
        with pytest.raises(
            SevisError, match=rf"broke after {done:,} of 1,024,000 bytes: run the command again, and it continues from there"
        ):
            fetch(server.url(), path, sha256=SHA256, size=len(CONTENT), progress=False)
        assert not path.exists()
        assert part_of(path).read_bytes() == CONTENT[:done]
    fetch(server.url(), path, sha256=SHA256, size=len(CONTENT), progress=False)
    assert server.asked == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]
    assert path.read_bytes() == CONTENT
    assert not part_of(path).exists()


def test_a_server_that_ignores_ranges_sends_all_again(server: Server, path: Path) -> None:
    path.parent.mkdir()
    part_of(path).write_bytes(CONTENT[:1000])
    server.ranges = False
    fetch(server.url(), path, md5=MD5, progress=False)
    assert server.asked == ["bytes=1000-"]
    assert path.read_bytes() == CONTENT


def test_without_a_checksum_nothing_is_resumed(server: Server, path: Path) -> None:
    path.parent.mkdir()
    part_of(path).write_bytes(b"of another version")
    fetch(server.url(), path, progress=False)
    assert server.asked == [None]
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_a_part_that_was_whole_already(server: Server, path: Path, size: int | None) -> None:
    path.parent.mkdir()
    part_of(path).write_bytes(CONTENT)
    fetch(server.url(), path, md5=MD5, size=size, progress=False)
    assert path.read_bytes() == CONTENT
    assert server.asked == ([] if size else [f"bytes={len(CONTENT)}-", None])


@pytest.mark.parametrize("known", [{"md5": MD5}, {"sha256": SHA256}])
def test_another_content_is_deleted(server: Server, path: Path, known: dict[str, str]) -> None:
    server.content = CONTENT[::-1]
    with pytest.raises(SevisError, match=r"sent another file than expected \(its checksum differs\), and the file was deleted: try again"):
        fetch(server.url(), path, **known, progress=False)
    assert list(path.parent.iterdir()) == []


def test_a_wrong_part_is_deleted_and_the_next_try_is_right(server: Server, path: Path) -> None:
    path.parent.mkdir()
    part_of(path).write_bytes(b"?" * 1000)
    with pytest.raises(SevisError, match="its checksum differs"):
        fetch(server.url(), path, md5=MD5, progress=False)
    assert fetch(server.url(), path, md5=MD5, progress=False).read_bytes() == CONTENT


@pytest.mark.parametrize("length", [True, False])
def test_a_file_of_another_size_is_refused(server: Server, path: Path, length: bool) -> None:
    server.length = length
    with pytest.raises(SevisError, match=r"holds 1,024,000 bytes, not the 1,000,000 expected|its checksum differs"):
        fetch(server.url(), path, md5=MD5, size=1_000_000, progress=False)
    assert list(path.parent.iterdir()) == []
    path.parent.joinpath("data.zip.part").write_bytes(b"?" * 2_000_000)  # longer than it may be
    fetch(server.url(), path, md5=MD5, size=len(CONTENT), progress=False)
    assert path.read_bytes() == CONTENT


def test_a_missing_file_is_named(server: Server, path: Path) -> None:
    with pytest.raises(SevisError, match=r"/nothing answered 404 Not Found: check the address"):
        fetch(server.url("nothing"), path, progress=False)
    assert not path.exists()


def test_redirections_are_followed_but_only_over_http(server: Server, path: Path) -> None:
    with pytest.raises(SevisError, match="answered 302"):
        fetch(server.url("to-a-file"), path, md5=MD5, progress=False)
    assert fetch(server.url("moved"), path, md5=MD5, progress=False).read_bytes() == CONTENT


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/file", "data.zip", ""])
def test_other_addresses_are_refused(path: Path, url: str) -> None:
    with pytest.raises(SevisError, match="begins with http:// or https://, got"):
        fetch(url, path, progress=False)


def test_a_refused_connection_and_an_unknown_host_are_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(SevisError, match=r"cannot be reached \(.*refused.*\): check the connection to the internet"):
        fetch(f"http://127.0.0.1:{port}/file", path, progress=False)

    def offline(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    with pytest.raises(SevisError, match=r"cannot be reached \(.*name resolution\): check the connection to the internet"):
        fetch("http://nowhere.invalid/file", path, progress=False)


def test_a_silent_server_times_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(SevisError, match="timed out"):
        fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/file", path, progress=False)


# --- is a server there at all? ---


def test_what_answers_is_there(server: Server) -> None:
    check_answers(server.url())  # it answers 501 to HEAD: a refusal is an answer


def test_a_name_whose_lookup_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hang(*_: object, **__: object) -> None:
        released.wait(10)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(downloads, "PATIENCE", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with pytest.raises(SevisError, match=r"^silent\.invalid cannot be reached: timed out$"):
        check_answers("http://silent.invalid/file")
    released.set()


def test_many_silent_addresses_share_the_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    released, tried = threading.Event(), []

    def connect(address: tuple[str, int], timeout: float, *_: object) -> None:
        for number in range(5):  # as socket.create_connection does it with the addresses of a name
            tried.append(number)
            released.wait(timeout)
        raise TimeoutError("timed out")

    monkeypatch.setattr(downloads, "PATIENCE", 0.2)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(SevisError, match=r"silent\.invalid cannot be reached: timed out"):
        check_answers("http://silent.invalid/file")
    assert 1 <= len(tried) < 5
    released.set()


def test_a_place_that_cannot_be_written_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SevisError, match=r"cannot be written \(.*\): choose another place with SEVIS_DATA"):
        fetch(server.url(), tmp_path / "file" / "data.zip", progress=False)


def test_the_progress_bar_counts_the_bytes(server: Server, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.parent.mkdir()
    part_of(path).write_bytes(CONTENT[:512_000])
    fetch(server.url(), path, md5=MD5)
    shown = capsys.readouterr()
    assert "data.zip:  50%" in shown.err
    assert "1.02M/1.02M" in shown.err
    assert shown.out == ""


def zip_tiny_imagenet(folder: Path) -> bytes:
    return zipped(write_tiny_imagenet(folder / "made" / TINY_IMAGENET), within=f"{TINY_IMAGENET}/").read_bytes()


def test_tiny_imagenet_goes_to_the_cache_once(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = zip_tiny_imagenet(tmp_path)
    server.content = content
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEVIS_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert downloads.TINY_IMAGENET_URL.endswith("/tiny-imagenet-200.zip")
    for name, value in (("URL", server.url()), ("MD5", hashlib.md5(content).hexdigest()), ("SIZE", len(content))):
        monkeypatch.setattr(downloads, f"TINY_IMAGENET_{name}", value)
    path = fetch_tiny_imagenet(progress=False)
    assert path == tmp_path / "cache" / "sevis" / "tiny-imagenet-200.zip"
    assert path.read_bytes() == content
    assert fetch_tiny_imagenet(progress=False) == path
    assert len(server.asked) == 1
    monkeypatch.setenv("SEVIS_DATA", str(tmp_path / "mine" / "tiny-imagenet-200.zip"))
    assert fetch_tiny_imagenet(progress=False) == tmp_path / "mine" / "tiny-imagenet-200.zip"


def test_a_zip_that_is_there_must_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEVIS_DATA", str(tmp_path))
    path = tmp_path / "tiny-imagenet-200.zip"
    whole = zip_tiny_imagenet(tmp_path)
    for damaged in (b"", b"ten bytes.", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(SevisError, match=r"tiny-imagenet-200\.zip is damaged, delete it and run this again"):
            fetch_tiny_imagenet(progress=False)
    path.write_bytes(whole)  # not the official bytes, but all that is needed
    assert fetch_tiny_imagenet(progress=False) == path
