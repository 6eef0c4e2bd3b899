"""The app in a real browser: time to the first chart, and what a change of photo, block or class costs.

    python benchmarks/browser.py [--starts 3] [--changes 9]

The first chart, from `streamlit run` on, in turns with the same app importing timm and loading its network before it draws: at most
0.5x is allowed. A change: under 0.5 s between the browser's message and the server's last one, and under 0.5 MB. Needs a Chromium.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Browser, Page, Response, WebSocket, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
FIRST_CHART = ".js-plotly-plot .heatmaplayer image"
EAGER = "import timm\nimport sevis\nfrom pathlib import Path\nsevis.load()\n"


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
    """The same app in another folder, but its first lines import timm and load the network."""
    for name in ("sevis", "pretrained", ".streamlit"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "app.py").write_text((ROOT / "app.py").read_text().replace("import os\n", f"{EAGER}import os\n", 1))
    return folder


class Traffic:
    """What a page and its server say to each other."""

    def __init__(self, page: Page) -> None:
        self.bytes, self.sent, self.received = 0, 0.0, 0.0
        page.on("websocket", self._listen)
        page.on("response", self._count)

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framesent", lambda _: self._send())
        socket.on("framereceived", self._receive)

    def _send(self) -> None:
        self.sent = self.sent or time.perf_counter()

    def _receive(self, frame: bytes | str) -> None:
        self.bytes += len(frame)
        self.received = time.perf_counter()

    def _count(self, response: Response) -> None:
        if "/media/" in response.url:
            self.bytes += int(response.headers.get("content-length", 0))

    def of(self, page: Page, change: str) -> tuple[float, int]:
        """Clicks on what `change` selects; seconds between the browser's message and the server's last one, and bytes received."""
        self.bytes, self.sent = 0, 0.0
        page.locator(change).first.click()
        page.wait_for_timeout(500)
        page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', state="attached")
        page.wait_for_timeout(1500)
        return self.received - self.sent, self.bytes


def measure_changes(browser: Browser, changes: int) -> None:
    with serving(ROOT) as address:
        page = browser.new_page(viewport={"width": 1440, "height": 2400})
        traffic = Traffic(page)
        page.goto(address)
        page.wait_for_selector(FIRST_CHART, timeout=300_000)
        page.wait_for_timeout(8_000)  # the network loads beside the first page
        photos = [f'button:has-text("{title}")' for title in ("Cup of espresso", "Rocket", "Astronaut", "Tabby cat")]
        report("photo, seen for the first time", [traffic.of(page, photo) for photo in photos[:3]])
        report("photo, seen before", [traffic.of(page, photos[number % 4]) for number in range(changes)])
        page.get_by_role("link", name="Classes").click()
        page.wait_for_selector(".js-plotly-plot .scatterlayer", timeout=300_000)
        page.wait_for_timeout(3_000)
        report(
            "class removed", [traffic.of(page, '[data-baseweb="tag"] [role="presentation"], [data-baseweb="tag"] svg') for _ in range(3)]
        )
        page.close()


def report(title: str, costs: list[tuple[float, int]]) -> None:
    seconds, sizes = zip(*costs, strict=True)
    print(
        f"{title}: median {statistics.median(seconds):.3f} s, slowest {max(seconds):.3f} s; at most {max(sizes) / 1e3:.0f} kB", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--changes", type=int, default=9)
    arguments = parser.parse_args()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        measure_changes(browser, arguments.changes)
        twin = eager_twin(Path(folder))
        starts = [(first_chart(browser, ROOT), first_chart(browser, twin)) for _ in range(arguments.starts)]
        own, eager = (statistics.median(column) for column in zip(*starts, strict=True))
        ratio = statistics.median(a / b for a, b in starts)
        print(f"first chart: {own:.1f} s, with timm imported first {eager:.1f} s: {ratio:.2f}x")
        browser.close()


if __name__ == "__main__":
    main()
