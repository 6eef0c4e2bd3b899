"""The app in a real browser: time to the first chart, and what a change of photo, block or class costs.

    PYTHONPATH=. python benchmarks/browser.py [--starts 3] [--changes 9] [--save]

The first chart, from `streamlit run` on, in turns with the same app importing timm before it draws: at most
0.5x is allowed. A change of photo or class: under 0.5 s for the whole script, run in Streamlit's AppTest without a browser beside it,
and under 0.5 MB on the wire to a real one, pictures included. Needs a Chromium.
"""

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import torch
from playwright.sync_api import Browser, Locator, Page, Response, WebSocket, sync_playwright
from streamlit.testing.v1 import AppTest

from benchmarks.rows import Rows, add_options, begin
from sevis.training.training import device_name

ROOT = Path(__file__).resolve().parent.parent
FIRST_CHART = ".js-plotly-plot .heatmaplayer image"
PHOTOS = ("Tabby cat", "Rocket", "Astronaut", "Cup of espresso")
BLOCK = "SE_4_6"
OTHERS = ("efficientnet_b0", "legacy_seresnet50")  # with random weights, so that nothing is downloaded
EAGER = "import timm\n"


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Runs the app.py of a folder on a free port; yields its address as soon as it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}", "--server.headless=true"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    app = subprocess.Popen([*command, "--server.address=127.0.0.1"], cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    try:
        while True:
            try:
                with urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5):
                    break
            except (URLError, OSError):
                time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        app.terminate()
        app.wait()


def first_chart(browser: Browser, folder: Path) -> float:
    """Seconds from `streamlit run` until the gate map is drawn in a new browser window."""
    started = time.perf_counter()
    with serving(folder) as address:
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector(FIRST_CHART, timeout=300_000)
        seconds = time.perf_counter() - started
        page.close()
    return seconds


def eager_twin(folder: Path) -> Path:
    """The same app in another folder, but its first line imports timm."""
    for name in ("sevis", "pretrained", ".streamlit"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "app.py").write_text(EAGER + (ROOT / "app.py").read_text())
    return folder


class Traffic:
    """What a server sends to a page."""

    def __init__(self, page: Page) -> None:
        self.bytes = 0
        page.on("websocket", self._listen)
        page.on("response", self._count_picture)

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._count)

    def _count(self, frame: bytes | str) -> None:
        self.bytes += len(frame)

    def _count_picture(self, response: Response) -> None:
        if "/media/" in response.url:
            self.bytes += int(response.headers.get("content-length", 0))

    def of(self, page: Page, change: Callable[[], None]) -> int:
        """The bytes received after a change, until the page has nothing more to do."""
        self.bytes = 0
        change()
        page.wait_for_timeout(500)
        page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', state="attached")
        page.wait_for_timeout(1500)
        return self.bytes


def measure_traffic(browser: Browser, rows: Rows) -> None:
    """What changes of photo and of class send."""
    with serving(ROOT) as address:
        page = browser.new_page(viewport={"width": 1440, "height": 2400})
        traffic = Traffic(page)
        page.goto(address)
        page.wait_for_selector(FIRST_CHART, timeout=300_000)
        page.wait_for_timeout(8_000)  # the network loads beside the first page
        photos = [page.locator(f'button:has-text("{title}")').first for title in PHOTOS]
        rows.add_number(
            "a change of photo sends to the browser at most", most_sent(traffic, page, photos), "kB", aim="at most 500 kB", digits=0
        )
        page.goto(f"{address}/?block={BLOCK}")
        page.wait_for_selector(FIRST_CHART, timeout=300_000)
        page.wait_for_timeout(3_000)
        what = f"a change of photo, {BLOCK} open, sends to the browser at most"
        rows.add_number(what, most_sent(traffic, page, photos), "kB", aim="at most 500 kB", digits=0)
        page.get_by_role("link", name="Classes").click()
        page.wait_for_selector(".js-plotly-plot .scatterlayer", timeout=300_000)
        page.wait_for_timeout(3_000)
        classes = page.get_by_role("combobox", name="Classes")
        sizes = [traffic.of(page, lambda: classes.press("Backspace")) for _ in range(3)]
        rows.add_number("a change of class sends to the browser at most", max(sizes) / 1e3, "kB", aim="at most 500 kB", digits=0)
        page.close()


def most_sent(traffic: Traffic, page: Page, buttons: list[Locator]) -> float:
    return max(traffic.of(page, button.click) for button in buttons) / 1e3


def measure_server(changes: int, rows: Rows) -> None:
    """How long the whole script takes after changes of photo and of class."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=300).run()
    time.sleep(8)
    report(rows, "photo", [run_time(app, "sample", PHOTOS[number % len(PHOTOS)]) for number in range(changes)])
    app.selectbox(key="block").set_value(BLOCK).run()
    report(rows, f"photo, {BLOCK} open", [run_time(app, "sample", PHOTOS[number % len(PHOTOS)]) for number in range(changes)])
    app.switch_page(str(ROOT / "sevis" / "pages" / "classes" / "page.py")).run()
    classes = ["goldfish", "Chihuahua", "lion", "pizza", "teapot", "tabby", "orange", "cliff"]
    report(rows, "class", [run_time(app, "class", [classes[(number + place) % 8] for place in range(4)]) for number in range(changes)])


def measure_other_networks(rows: Rows) -> None:
    """How long the first page of another network takes, and a photo that nobody has asked for before."""
    for name in OTHERS:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=300)
        app.query_params["network"], app.query_params["weights"] = name, "random"
        started = time.perf_counter()
        app.run()
        print(f"{name}: {time.perf_counter() - started:.1f} s of server time until its first page stands")
        report(
            rows, f"photo, {name} with random weights", [run_time(app, "sample", photo) for photo in PHOTOS if photo != "Cup of espresso"]
        )


def run_time(app: AppTest, key: str, value: object) -> float:
    """Seconds of one run of the script after a control got a value."""
    widgets = [*app.segmented_control, *app.multiselect]
    next(widget for widget in widgets if widget.key == key).set_value(value)
    started = time.perf_counter()
    app.run()
    return time.perf_counter() - started


def report(rows: Rows, what: str, seconds: list[float]) -> None:
    low, median, high = statistics.quantiles(seconds, n=4)
    what = f"server time of a change of {what} (without a browser)"
    rows.add_number(what, median, "s", aim="at most 0.5 s", low=low, high=high, pairs=len(seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--changes", type=int, default=9)
    add_options(parser)
    arguments = parser.parse_args()
    rows = begin(arguments, device_name(torch.device("cuda" if torch.cuda.is_available() else "cpu")))
    measure_server(arguments.changes, rows)
    measure_other_networks(rows)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        measure_traffic(browser, rows)
        twin = eager_twin(Path(folder))
        starts = [(first_chart(browser, ROOT), first_chart(browser, twin)) for _ in range(arguments.starts)]
        own, eager = (statistics.median(column) for column in zip(*starts, strict=True))
        ratio = statistics.median(a / b for a, b in starts)
        print(f"first chart: {own:.1f} s, with timm imported first {eager:.1f} s")
        what = "from the start of the app to its first chart, against the same app importing timm first"
        rows.add_number(what, ratio, "x", aim="at most 0.5x", pairs=arguments.starts)
        browser.close()
    if arguments.save:
        rows.save(__file__)


if __name__ == "__main__":
    main()
