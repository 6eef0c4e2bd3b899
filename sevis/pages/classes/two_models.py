"""The view Two models: the network's class statistics against those of another, block by block."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import streamlit as st

from sevis.analysis.two_models import ModelComparison, all_common, compare_models, describe_sizes, match_classes
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.errors import SevisError
from sevis.figures.classes import two_models as figures
from sevis.figures.classes.class_map import METRICS
from sevis.pages.classes.collecting import collected
from sevis.pages.classes.own_data import KEPT, Own
from sevis.pages.shared.cache import identity
from sevis.pages.shared.controls import choose_one
from sevis.pages.shared.explanations import read_statistics
from sevis.pages.shared.show import errors_shown, show_grid
from sevis.settings import home_folder
from sevis.weights.card import Card, sound_cards

UPLOAD = "a file of yours"
ABOUT = (
    "The same measures for two networks that saw the same classes, and how far the networks agree on which classes are alike. This "
    "agreement needs no matching channels."
)


def draw(statistics: ClassStatistics, card: Card) -> None:
    """Show the choice of the other statistics, and the comparison. Raises SevisError where index.json cannot be read."""
    st.markdown(ABOUT)
    there = others(card)
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        name = st.selectbox("Compare with", [*there, UPLOAD], key="models_other", bind="query-params", width=420) or UPLOAD
        metric = METRICS[choose_one("Distance", list(METRICS), key="models_metric")]
    with errors_shown():
        if name in there:
            _compare(statistics, there[name](), metric)
        else:
            _compare_upload(statistics, metric)


def others(card: Card) -> dict[str, Callable[[], ClassStatistics]]:
    """Return statistics to compare those of a network with, by name: shipped, collected by `python -m sevis collect`, or in this app."""
    shipped = [(known.name, known.statistics_path) for known in sound_cards()]
    named = {card.statistics_path, *(path for _, path in shipped)}
    written = [(path.stem, path) for path in sorted((home_folder() / "statistics").glob("*.safetensors")) if path not in named]
    files = [(name, path) for name, path in (*shipped, *written) if path.is_file() and path != card.statistics_path]
    return _collected_in_the_app(card) | {name: partial(read_statistics, path) for name, path in files}


def _collected_in_the_app(card: Card) -> dict[str, Callable[[], ClassStatistics]]:
    """Return a visitor's own data with another network; or, where it is this network's that is shown, the statistics that came before
    it.
    """
    own = st.session_state.get(KEPT)
    if not isinstance(own, Own):
        return {}
    if own.weights != card.sha256:
        return {f"your data with {own.statistics.metadata.get('model')}": lambda: own.statistics}
    name, here = f"{card.name} without your data", collected(card)
    if card.statistics_path.is_file():
        return {name: partial(read_statistics, card.statistics_path)}
    return {name: lambda: here} if here else {}


def _compare_upload(statistics: ClassStatistics, metric: str) -> None:
    limit = int(st.get_option("server.maxUploadSize"))
    file = st.file_uploader(f"A file of class statistics (.safetensors, at most {limit} MB)", type="safetensors", key="models_upload")
    if file is None:
        st.info(
            "Choose a file of the same classes that `python -m sevis collect` wrote; `--sample 5` makes a smaller file.",
            icon=":material/upload_file:",
        )
        return
    with opened(file.getvalue()) as other:
        _compare(statistics, other, metric)


@contextmanager
def opened(data: bytes) -> Iterator[ClassStatistics]:
    """Yield a stranger's class statistics, in a private file that is gone afterwards. Raises SevisError for what is none."""
    limit = int(st.get_option("server.maxUploadSize"))
    if len(data) > limit * 2**20:
        raise SevisError(
            f"the file has {len(data) / 2**20:,.1f} MB, but this app takes at most {limit} MB: collect it again with --sample 5"
        )
    with TemporaryDirectory(prefix="sevis-") as folder:
        path = Path(folder) / f"{hashlib.sha256(data).hexdigest()[:12]}.safetensors"
        path.write_bytes(data)
        try:
            yield ClassStatistics.load(path)
        except SevisError as error:  # also where a damaged value is met only when it is read
            raise SevisError(str(error).replace(str(path), "the file")) from None


def _compare(first: ClassStatistics, second: ClassStatistics, metric: str) -> None:
    rows = match_classes(first, second)
    if not all_common(first, second, rows):
        st.warning(
            f"The two networks saw different classes ({describe_sizes(first, second, rows)}), so their measures cannot be compared "
            "directly.",
            icon=":material/warning:",
        )
        if not st.toggle(f"Compare them on the {len(rows[0])} classes that both saw", key="models_common", bind="query-params"):
            return
    comparison = _comparison(identity(first), identity(second), metric, _first=first, _second=second)
    _say_what_differs(comparison)
    _show(comparison)


@st.cache_data(max_entries=16, max_size="20MB", show_spinner="Comparing the networks …")
def _comparison(key: str, other: str, metric: str, *, _first: ClassStatistics, _second: ClassStatistics) -> ModelComparison:
    return compare_models(_first, _second, only_common=True, metric=metric)


def _say_what_differs(comparison: ModelComparison) -> None:
    if comparison.same_images is False:
        st.warning(
            "The two networks saw different photos (the fingerprints of their data differ), so a difference may come from the photos.",
            icon=":material/warning:",
        )
    elif comparison.same_images is None:
        st.info("The files do not say whether both networks saw the same photos.", icon=":material/info:")
    if not comparison.named:
        st.info(
            "The networks have different blocks, so each block is compared with the block at the same relative depth.",
            icon=":material/info:",
        )


def _show(comparison: ModelComparison) -> None:
    charts = {f"models-{measure}": figures.profile_panel(comparison, measure) for measure in figures.MEASURES}
    charts |= {"models-agreement": figures.agreement_panel(comparison), "models-blocks": figures.agreement_map(comparison)}
    if np.isfinite(comparison.difference).any():
        charts["models-difference"] = figures.difference_panel(comparison)
    show_grid(charts.items())
    one, two = comparison.images
    st.caption(f"Measured over the {len(comparison.classes)} classes that both networks saw, with {one:,} and {two:,} photos.")
