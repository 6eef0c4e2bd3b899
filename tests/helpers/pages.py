"""The app's pages in Streamlit's AppTest: opened as a link opens them, and what they say."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from streamlit.testing.v1 import AppTest

from tests.helpers.paths import ROOT

PATIENCE = 300  # seconds that a run of a page may take on a busy machine


def page_file(name: str) -> str:
    """Return the file of a page such as "classes"; of all pages with their frame, for "app"."""
    return str(ROOT / "app.py" if name == "app" else ROOT / "sevis" / "pages" / name / "page.py")


def open_page(name: str, *, session: Mapping[str, Any] | None = None, **query: Any) -> AppTest:
    """Run a page, or the whole "app", with what a link and the visitor's session hold."""
    page = AppTest.from_file(page_file(name), default_timeout=PATIENCE)
    for key, value in (session or {}).items():
        page.session_state[key] = value
    for key, value in query.items():
        page.query_params[key] = value
    return page.run()


def words(elements: Iterable[Any]) -> str:
    """Return what these elements say, one after the other."""
    return " ".join(element.value for element in elements).replace("\xa0", " ")


def text(page: AppTest) -> str:
    """Return all sentences of a page."""
    kinds = (page.subheader, page.markdown, page.caption, page.info, page.success, page.warning, page.error)
    return words(element for kind in kinds for element in kind)


def check(page: AppTest) -> AppTest:
    """Return a page that has neither broken off nor shows an error."""
    assert not page.exception
    assert not [error.value for error in page.error]
    return page


def sentence(page: AppTest) -> str:
    """Return the one error of a page, which is a sentence and no traceback."""
    assert not page.exception
    assert len(page.error) == 1
    error = page.error[0].value
    assert re.fullmatch(r"[A-Z/].*\.", error, flags=re.DOTALL)
    assert "Traceback" not in error
    return error
