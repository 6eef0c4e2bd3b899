"""The networks that all visitors share: loaded beside the pages, none beyond a limit, at most a few at a time in memory."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

import streamlit as st

from sevis.errors import SevisError, WeightsMissing
from sevis.settings import most_parameters
from sevis.weights.card import list_pretrained, read_card
from sevis.weights.loading import load

if TYPE_CHECKING:
    from sevis.weights.loading import ReadyModel

HEAD_START = 4.0  # seconds
NETWORKS = 4  # are kept; a fifth drives out the one that was used the longest ago
GLANCE = 0.2  # seconds between two chances for Streamlit to end a run that nobody waits for any more


class Loading:
    """A network that a thread loads beside whatever the pages do; the thread calls nothing of Streamlit.

    It lets HEAD_START seconds pass first, or begins when somebody waits: importing torch takes all of a core for some seconds, which on
    a small machine the browser needs to draw the first page.
    """

    def __init__(self, name: str, weights: str | None = None, *, download: bool = False) -> None:
        self.download = download
        self._result: Future[ReadyModel] = Future()
        self._wanted = threading.Event()
        self._removed = threading.Lock()
        self._unhook: Callable[[], None] = lambda: None
        threading.Thread(target=self._load, args=(name, weights), daemon=True, name=f"load-{name}").start()

    def done(self) -> bool:
        """Return whether `result` answers at once."""
        return self._result.done()

    def result(self, timeout: float | None = None) -> "ReadyModel":
        """Return the network, once it is there. Raises SevisError where it cannot be loaded, TimeoutError after so many seconds."""
        self._wanted.set()
        return self._result.result(timeout)

    def remove_once(self) -> bool:
        """Return True to the first caller only, who removes a failed one: the next would remove its successor."""
        return self._removed.acquire(blocking=False)

    def release(self) -> None:
        """Take the hooks off a network that is no longer kept, so that nothing but its users holds its memory."""
        self._unhook()

    def _load(self, name: str, weights: str | None) -> None:
        self._wanted.wait(HEAD_START)
        try:
            from sevis.blocks.hooks import keep_hooks

            if weights is not None or name not in list_pretrained():
                check_size(name)
            ready = load(name, weights=weights, download=self.download)
            self._unhook = keep_hooks(ready.model)
            self._result.set_result(ready)
        except SevisError as error:
            self._result.set_exception(error)
        except BaseException as error:  # handed to whoever waits, who would otherwise wait for ever
            self._result.set_exception(SevisError(f"the network {name} could not be loaded ({type(error).__name__}: {error})"))


def check_size(name: str) -> None:
    """Raise SevisError for a network with more parameters than the app loads: one visitor's would take the memory of all."""
    count, most = count_parameters(name), most_parameters()
    if count > most:
        raise SevisError(
            f"the network {name} has {count / 1e6:,.0f} million parameters ({4 * count / 1e9:,.1f} GB), but this app loads networks "
            f"of at most {most / 1e6:,.0f} million ({4 * most / 1e9:,.1f} GB): choose a smaller SE network such as "
            "legacy_seresnet50, or start the app with a higher SEVIS_MAX_PARAMETERS"
        )


def count_parameters(name: str) -> int:
    """Return how many parameters a network has, without the memory for them; 0 for a name that nobody knows. Raises SevisError as
    `load`.
    """
    from sevis.networks import libraries

    network = libraries.read(read_card(name).architecture) if name in list_pretrained() else libraries.find(name)
    return network.count_parameters() if network else 0


@st.cache_resource(max_entries=NETWORKS, show_spinner=False, on_release=Loading.release)
def start_loading(name: str, weights: str | None, *, _download: bool = False) -> Loading:
    """Begin once per server to load a network; `weights` has no default, for Streamlit would keep that call apart."""
    return Loading(name, weights, download=_download)


def wait_for(name: str, weights: str | None, *, download: bool = False) -> "ReadyModel":
    """Return the network, once it is loaded; meanwhile the page says so.

    Args:
        name: of the network.
        weights: None for its trained ones, or `random`.
        download: whether trained weights may be fetched from the internet.

    Raises:
        WeightsMissing: when they are not on this machine and may not, or cannot, be downloaded.
        SevisError: when it cannot be loaded for another reason, such as its size. The next call tries again.
    """
    loading = start_loading(name, weights, _download=download)
    try:
        return _result_of(loading, name, "Downloading" if download else "Loading")
    except Exception as error:
        if loading.remove_once():
            start_loading.clear(name, weights)
        if download and not loading.download and isinstance(error, WeightsMissing):  # somebody else looked for them on this machine
            return wait_for(name, weights, download=True)
        raise


def _result_of(loading: Loading, name: str, doing: str) -> "ReadyModel":
    if loading.done():
        return loading.result()
    with st.spinner(f"{doing} {name} …", show_time=True):
        while True:
            try:
                return loading.result(GLANCE)
            except TimeoutError:
                _ = "any" in st.session_state  # here Streamlit ends a run that nobody waits for any more
