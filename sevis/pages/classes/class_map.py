"""The view Class map: how far apart the classes lie in each block, as a map that grows with depth and as a matrix of distances."""

from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from sevis.analysis.class_map import ClassMaps, Separation, furthest, mds_maps, pca_maps, separation, similar_order
from sevis.analysis.formulas import distances
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.figures.classes.class_curves import paper_blocks, paper_classes
from sevis.figures.classes.class_map import MARKED, METRICS, class_map, distance_matrix
from sevis.pages.shared.cache import identity
from sevis.pages.shared.controls import choose_one
from sevis.pages.shared.show import show

PCA, MDS = "PCA", "MDS"
COMMON, OWN = "the same for all blocks", "of this block"
ABOUT = (
    "Each class is the mean of its photos' gates: one point with as many coordinates as the block has channels. If a block is "
    "class-agnostic, its classes lie on one spot; if it is class-specific, they lie apart. **Move the slider to go through the "
    "network.**"
)


@dataclass(frozen=True)
class MapChoice:
    """What to draw: a block, the kind of map, the distance, whether all blocks share one scale, the classes to mark, and photos."""

    site: str
    kind: str
    metric: str
    common: bool
    marked: list[str]
    photos: bool


def draw(statistics: ClassStatistics) -> None:
    """Show the controls, how far apart the classes are, their map and their distances. Raises SevisError where there are too few
    classes.
    """
    choice = _choose(statistics)
    st.markdown(ABOUT)
    st.markdown(describe_separation(choice.site, _separation(identity(statistics), choice.site, _statistics=statistics)))
    left, right = st.columns(2, gap="large")
    with left:
        _show_map(statistics, choice)
    with right:
        _show_matrix(statistics, choice)


def _choose(statistics: ClassStatistics) -> MapChoice:
    sites, names = statistics.sites, list(dict.fromkeys(statistics.classes))
    site = st.select_slider("Block, from the first to the last", sites, value=paper_blocks(sites)[0], key="map_block", bind="query-params")
    with st.container(horizontal=True, gap="medium"):
        kind = choose_one(
            "Map",
            [PCA, MDS],
            key="map_kind",
            wrap=True,
            width="content",
            help="PCA can also place single photos; MDS keeps the chosen distances as well as it can.",
        )
        metric = choose_one(
            "Distance",
            list(METRICS),
            key="map_metric",
            wrap=True,
            width="content",
            help="Cosine ignores how far all gates are open together; L1 does not.",
        )
        scale = choose_one(
            "Scale",
            [COMMON, OWN],
            key="map_scale",
            wrap=True,
            width="content",
            help="One scale for all blocks shows how the classes separate with depth.",
        )
    marked = st.multiselect(
        "Classes to mark",
        names,
        default=paper_classes(statistics)[:MARKED],
        max_selections=MARKED,
        key="map_class",
        bind="query-params",
        wrap=True,
    )
    photos = kind == PCA and statistics.detailed and st.toggle("Single photos, too", key="map_photos", bind="query-params")
    return MapChoice(str(site), kind, METRICS[metric], scale == COMMON, marked, bool(photos))


def describe_separation(site: str, apart: Separation) -> str:
    """Return how far apart the classes of a block lie, in one or two sentences."""
    if np.isnan(apart.between):
        return f"**{site}**: how far apart the classes lie is unknown, because that needs at least two classes with several photos each."
    ratio = f": a ratio of **{apart.between / apart.within:.2f}**" if apart.within else ""
    text = (
        f"In **{site}**, the means of two classes lie {apart.between:.3f} apart, and two photos of one class lie {apart.within:.3f} "
        f"apart{ratio} (root mean square over channels, in units of s; the noise of the means is subtracted)."
    )
    if not apart.tried:
        return text
    return (
        f"{text} By its gates alone, a photo lies nearest to the mean of its own class in {apart.hits / apart.tried:.1%} of "
        f"{apart.tried:,} photos, with the photo itself left out of that mean; guessing gives {1 / apart.classes:.1%}. The view Depth "
        "profile shows this share with its interval, beside that of a linear discriminant."
    )


def _show_map(statistics: ClassStatistics, choice: MapChoice) -> None:
    key, block = identity(statistics), statistics.sites.index(choice.site)
    metric = None if choice.kind == PCA else choice.metric
    maps = _pca(key, _statistics=statistics) if metric is None else _mds(key, metric, _statistics=statistics)
    chart = class_map(maps, block, statistics.classes, metric=metric, marked=choice.marked, common=choice.common, photos=choice.photos)
    show(chart, key=f"{choice.site}-class-map")


def _show_matrix(statistics: ClassStatistics, choice: MapChoice) -> None:
    key = identity(statistics)
    order = np.flatnonzero(statistics.count)[_order(key, choice.site, choice.metric, _statistics=statistics)]
    matrix = distances(statistics.mean(choice.site)[order], choice.metric)
    far = _furthest(key, choice.metric, _statistics=statistics)
    limit = float(np.nanmax(far) if choice.common else far[statistics.sites.index(choice.site)]) or 1.0
    names = [statistics.classes[row] for row in order]
    show(distance_matrix(matrix, names, site=choice.site, metric=choice.metric, furthest=limit), key=f"{choice.site}-distances")


PLACING = "Placing the classes of all blocks …"


@st.cache_data(max_entries=16, max_size="50MB", show_spinner=PLACING)
def _pca(key: str, *, _statistics: ClassStatistics) -> ClassMaps:
    return pca_maps(_statistics)


@st.cache_data(max_entries=16, max_size="50MB", show_spinner=PLACING)
def _mds(key: str, metric: str, *, _statistics: ClassStatistics) -> ClassMaps:
    return mds_maps(_statistics, metric=metric)


@st.cache_data(max_entries=256, show_spinner=False)
def _order(key: str, site: str, metric: str, *, _statistics: ClassStatistics) -> NDArray[np.intp]:
    return similar_order(distances(_statistics.mean(site)[np.flatnonzero(_statistics.count)], metric))


@st.cache_data(max_entries=16, show_spinner=False)
def _furthest(key: str, metric: str, *, _statistics: ClassStatistics) -> NDArray[np.floating]:
    return furthest(_statistics, metric)


@st.cache_data(max_entries=256, show_spinner=False)
def _separation(key: str, site: str, *, _statistics: ClassStatistics) -> Separation:
    return separation(_statistics, site)
