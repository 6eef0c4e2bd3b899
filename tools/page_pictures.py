"""Take the pictures of README from an app that runs: PYTHONPATH=. python tools/page_pictures.py http://localhost:8501

Needs Playwright and a Chromium or Chrome.
"""

import io
import shutil
import sys

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tools.marked_blocks import DOCS

NETWORK = "se_resnet50x0_5.tiny20"
PAGES = {  # of each picture: the address, and which chart stands in the middle
    "explain": (f"?network={NETWORK}", 1),
    "what_if": (f"what_if?network={NETWORK}&steps=SE_5:0.3", 0),
    "two_photos": (f"two_photos?network={NETWORK}", 4),
    "classes": (f"classes?network={NETWORK}", 0),
    "architectures": ("architectures", 0),
    "ablations": ("ablations", 2),
}
WINDOW, THUMBNAIL = {"width": 1000, "height": 667}, (420, 280)  # pixels
COLOURS, QUIET = 256, 3000  # QUIET: milliseconds after the last chart


def main(address: str) -> None:
    """Write docs/pictures/: the gate map, and a small picture of each page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport=WINDOW, color_scheme="light")
        page.set_default_timeout(120_000)
        for name, (path, number) in PAGES.items():
            page.goto(f"{address}/{path}")
            wait(page)
            chart = page.locator(".js-plotly-plot").nth(number)
            chart.evaluate("chart => chart.scrollIntoView({block: 'center'})")
            page.wait_for_timeout(QUIET)
            save(page.screenshot(), name, size=THUMBNAIL)
            if name == "explain":
                save(chart.screenshot(), "gates", size=(960, 960))


def wait(page: Page) -> None:
    """Wait until the page has drawn its charts and rests."""
    page.locator(".js-plotly-plot").first.wait_for()
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', state="attached")
    page.wait_for_timeout(QUIET)


def save(picture: bytes, name: str, *, size: tuple[int, int]) -> None:
    """Write a picture, made to fit a size and with few colours, so that it is small."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.thumbnail(size, Image.Resampling.LANCZOS)
    path = DOCS / "pictures" / f"{name}.png"
    image.quantize(COLOURS).save(path, optimize=True)
    print(f"{path.relative_to(DOCS)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"))
