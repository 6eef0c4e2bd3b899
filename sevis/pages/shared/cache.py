"""Answers that all visitors share: kept outside the function that computes them, which may draw and take its turn."""

import hashlib
import json
from typing import Any

import numpy as np
import streamlit as st

from sevis.class_statistics.class_statistics import ClassStatistics


class _NothingKeptError(Exception):
    """Ends the cache's function without an answer, so that none is kept."""


@st.cache_data(max_entries=256, max_size="200MB", show_spinner=False)
def _answer(keys: tuple[str, ...], *, _given: Any) -> Any:
    if _given is None:
        raise _NothingKeptError
    return _given


def look_up(*keys: str) -> Any:
    """Return a copy of the answer that was kept under these keys; None where there is none."""
    try:
        return _answer(keys, _given=None)
    except _NothingKeptError:
        return None


def keep(answer: Any, *keys: str) -> None:
    """Keep an answer, which is not None, under these keys."""
    _answer(keys, _given=answer)


def identity(statistics: ClassStatistics) -> str:
    """Return what to keep answers about class statistics under: a hash of provenance, classes, counts, first and last means."""
    header = json.dumps([statistics.metadata, statistics.classes, statistics.channels, statistics.count.tolist()], default=str)
    digest = hashlib.sha256(header.encode())
    for site in (statistics.sites[0], statistics.sites[-1]):
        digest.update(np.ascontiguousarray(statistics.mean(site)).tobytes())
    return digest.hexdigest()
