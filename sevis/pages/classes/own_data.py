"""One's own photos on the Classes page: a folder that the operator allowed, or a zip; collected here and then shown in all its views."""

import shlex
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import streamlit as st

from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.data.datasets import ImageDataset, class_folders, find_data, open_dataset
from sevis.data.image_formats import is_image
from sevis.data.own_data import ClassZip, find_class_folders, look_through, open_class_zip, splits_in
from sevis.data.sources import Folder, Zip
from sevis.errors import SevisError
from sevis.pages.classes.collecting import choose_amount, collect_in_turns, keep_collected, look_up_collected, pick
from sevis.pages.shared.controls import choose_one
from sevis.pages.shared.network import Network
from sevis.pages.shared.show import as_text
from sevis.settings import DATA_ROOTS, allowed_roots
from sevis.weights.card import Card
from sevis.weights.matching import names_by_id

KEPT, SEEN = "own-data", "own-zip"
FOLDER, UPLOAD = SOURCES = "Data on this machine", "A zip from my computer"
LARGEST = 100  # megabytes of a zip, where the server allows more
CLASSES, PHOTOS = 100, 500  # at most: the statistics of more would fill the memory of a server with many visitors
NAMED = 5  # files in one sentence
PASSED_OVER = "file is no image and was skipped", "files are no images and were skipped"


@dataclass(frozen=True)
class Found:
    """Photos that can be collected.

    Attributes:
        photos: all of them.
        others: the names of files that are no images.
        shared: what they are kept under for all visitors; None: they are this visitor's own, and so is what is collected from them.
    """

    photos: ImageDataset
    others: tuple[str, ...]
    shared: str | None


@dataclass(frozen=True)
class Own:
    """What a visitor collected last: with which weights, from which photos."""

    weights: str
    statistics: ClassStatistics
    found: Found


def own_statistics(network: Network, card: Card) -> ClassStatistics | None:
    """Return the class statistics that this visitor collected with these weights from photos of choice; None where the network's own are
    shown.
    """
    own = _own(card)
    return own.statistics if own else None


def own_photos(card: Card) -> ImageDataset | None:
    """Return the photos that `own_statistics` were collected from, where its ids say which; None as long as there are none."""
    own = _own(card)
    return own.found.photos if own else None


def _own(card: Card) -> Own | None:
    own = st.session_state.get(KEPT)
    return own if isinstance(own, Own) and own.weights == card.sha256 else None


def draw(network: Network, card: Card) -> None:
    """Show what this visitor collected, or the controls to do so.

    Raises:
        SevisError: for a zip or folder that is not taken, or photos that cannot be read.
    """
    own = _own(card)
    if own:
        _draw_collected(own, card)
        return
    st.markdown(
        "See all views of this page for your own photos. They need one folder of images for each class. The classes need not be "
        "those of the network."
    )
    found = _choose(card)
    if found is None:
        return
    _describe(found)
    amount = choose_amount(found.photos, key="own", most_classes=CLASSES, limit=PHOTOS)
    photos = pick(found.photos, amount)
    slot = st.empty()
    with slot.container():
        wanted = st.button(f"Collect {len(photos)} photos", key="own_collect", type="primary", icon=":material/play_arrow:")
        _name_the_command(network)
    if not wanted:
        return
    with slot.container():
        shared = found.shared and f"{found.shared}|{photos.fingerprint()}"  # the folder may have changed since
        made = look_up_collected(card, shared, amount) if shared else None
        if made is None:
            made = collect_in_turns(network, photos)
            if shared:
                keep_collected(made, card, shared, amount)
    st.session_state[KEPT] = Own(card.sha256, made, replace(found, photos=photos))
    st.rerun()


def _choose(card: Card) -> Found | None:
    """Show the control for where the photos are, and return those that it stands for."""
    folders, source = _folders(), UPLOAD
    if folders:
        source = choose_one("Photos", SOURCES, key="own_source", wrap=True)
    if source == FOLDER:
        with st.container(horizontal=True, gap="medium"):
            label = st.selectbox("Data set", list(folders), key="own_folder", bind="query-params", width=380)
            path = folders[label]
            split = _choose_split(_parts(str(path)))
        photos, others = _open(str(path), split, trusted=path == find_data())
        found: Found | None = Found(photos, others, f"{path}|{split}")
    else:
        found = _upload()
    if not allowed_roots():
        st.caption(f"The operator of this app can also offer folders of class folders: the environment variable {DATA_ROOTS} names them.")
    return found and replace(found, photos=found.photos.named(names_by_id(card)))


def _folders() -> dict[str, Path]:
    """Return the data sets on this machine that may be collected, by what they are called."""
    data = find_data()
    return ({data.stem: data} if data else {}) | _listed(allowed_roots())


@st.cache_data(ttl=30, max_entries=4, show_spinner="Looking for data sets …")
def _listed(roots: tuple[Path, ...]) -> dict[str, Path]:
    return find_class_folders(roots)


def _choose_split(splits: tuple[str, ...]) -> str:
    """Show the control for training, validation or test, and return the folder; no control where there are none."""
    if not splits:
        return "val"
    return choose_one("Part", splits, key="own_split")


@st.cache_data(ttl=60, max_entries=16, show_spinner=False)
def _parts(path: str) -> tuple[str, ...]:
    return splits_in(Folder(Path(path)) if Path(path).is_dir() else Zip(Path(path)))


@st.cache_resource(ttl=60, max_entries=4, show_spinner="Looking through the folder …")
def _open(path: str, split: str, *, trusted: bool) -> tuple[ImageDataset, tuple[str, ...]]:
    others = () if trusted else look_through(Path(path), allowed_roots())
    return open_dataset(path, split, links=trusted), others


def _upload() -> Found | None:
    most = min(LARGEST, int(st.get_option("server.maxUploadSize")))
    file = st.file_uploader("A zip with one folder of images for each class", type="zip", key="own_zip", max_upload_size=most, width=640)
    if file is None:
        st.session_state.pop(SEEN, None)
        st.info(
            f"At most {most} MB: photos of 256 pixels are large enough for the networks here. The zip stays in the memory of the "
            "computer that runs this app. Nothing of it is stored, and no other visitor sees what is collected from it.",
            width=640,
        )
        return None
    source = _checked(file.file_id, file.name, file.getvalue(), most)
    split = _choose_split(splits_in(source))
    names = source.names()
    return Found(class_folders(source, names, split), tuple(name for name in names if not is_image(name)), None)


def _checked(upload: str, name: str, data: bytes, most: int) -> ClassZip:
    """Return the zip, looked through once for each upload."""
    seen = st.session_state.get(SEEN)
    if not seen or seen[0] != upload:
        if len(data) > most * 1_000_000:  # the control's own limit is only the browser's
            raise SevisError(f"{name:.120} has {len(data) / 1e6:.0f} MB, but this app takes at most {most} MB: make the photos smaller")
        seen = st.session_state[SEEN] = upload, open_class_zip(data, name)
    found: ClassZip = seen[1]
    return found


def _describe(found: Found) -> None:
    photos = found.photos
    st.markdown(f"**{as_text(photos.name)}** holds {len(photos)} images of {len(photos.classes)} classes.")
    _name_some(photos.empty, "folder holds no image and is not used as a class", "folders hold no image and are not used as classes")
    _name_some(found.others, *PASSED_OVER)
    for note in photos.notes if found.others else photos.remarks:
        st.caption(as_text(note))


def _name_some(names: Iterable[str], one: str, many: str) -> None:
    """Show a sentence about some files, if there are any, with a few of their names."""
    names = list(names)
    if names:
        more = " …" if len(names) > NAMED else ""
        st.caption(f"{len(names)} {one if len(names) == 1 else many}: {as_text(', '.join(name[:80] for name in names[:NAMED]))}{more}")


def _name_the_command(network: Network) -> None:
    weights = " --weights random" if network.weights else ""
    st.caption("This command takes more photos than a page can wait for. It writes a file that the view Two models opens:")
    st.code(f"python -m sevis collect --model {shlex.quote(network.name)}{weights} --data FOLDER", language="bash", wrap_lines=True)


def _draw_collected(own: Own, card: Card) -> None:
    """Show what was collected, where it is shown, and how to save or forget it."""
    statistics, photos = own.statistics, own.found.photos
    st.success(
        f"All views above now show your data: **{as_text(photos.name)}**, {int(statistics.count.sum())} photos of "
        f"{len(statistics.classes)} classes, collected with `{card.name}`.",
        icon=":material/check:",
    )
    if own.found.shared is None:
        st.markdown("Only you see these data. They are gone when you close this page.")
    else:
        st.markdown(
            "Until the app ends, other visitors who choose the same photos get this result at once. Only on your pages does it "
            "replace the network's own statistics."
        )
    broken = statistics.metadata.get("broken") or []
    _name_some(broken, "photo could not be read and was left out", "photos could not be read and were left out")
    _name_some(own.found.others, *PASSED_OVER)
    with st.container(horizontal=True, gap="small"):
        st.download_button(
            "Save as a statistics file",
            partial(to_file, statistics),
            file_name=f"{card.name}.{Path(photos.name).name}.statistics.safetensors".replace("/", "_"),
            key="own_save",
            on_click="ignore",
            icon=":material/download:",
        )
        st.button("Forget it", key="own_forget", on_click=_forget, icon=":material/undo:", help="Shows the network's own statistics again.")


def _forget() -> None:
    st.session_state.pop(KEPT, None)


def to_file(statistics: ClassStatistics) -> bytes:
    """Return the bytes of a statistics file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "own.statistics.safetensors"
        statistics.save(path)
        return path.read_bytes()
