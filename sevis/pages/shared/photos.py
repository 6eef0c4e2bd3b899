"""Where a photo comes from: the samples, a data set, a file, or the camera. What can be shared in a link is kept in the URL."""

from pathlib import Path

import streamlit as st

from sevis.data.datasets import ImageDataset, find_data, open_dataset, sample_photos
from sevis.data.image_formats import MAX_BYTES, SUFFIXES
from sevis.pages.shared.controls import choose_one
from sevis.pages.shared.explanations import Photo
from sevis.weights.card import Card

SAMPLES, VALIDATION, UPLOAD, CAMERA = "Samples", "Validation photos", "Upload", "Camera"


def choose_photo(card: Card, *, key: str = "", start: int = 0) -> Photo | None:
    """Show the controls, and return the photo they stand for; None as long as nothing is chosen.

    Args:
        card: of the network, whose classes the validation photos are of.
        key: goes before the names of the controls, in the URL, too, so that a page can have two choosers.
        start: the number of the sample that is chosen at first.

    Raises:
        SevisError: when the data set cannot be read, or has none of the network's classes.
    """
    samples, data = sample_photos(), find_data()
    with st.container(horizontal=True, gap="medium"):
        sources = [*([SAMPLES] if samples else []), *([VALIDATION] if data else []), UPLOAD, CAMERA]
        source = choose_one("Take the photo from", sources, key=f"{key}source", wrap=True)
        if source == SAMPLES:
            titles = list(samples)
            title = choose_one("Photo", titles, key=f"{key}sample", default=titles[start % len(titles)], wrap=True)
            return Photo(title, samples[title].read_bytes())
        if source == VALIDATION and data:
            return _choose_validation_photo(validation_photos(data, card), key)
    return _take_photo(key) if source == CAMERA else _upload_photo(key)


def validation_photos(data: Path, card: Card) -> ImageDataset:
    """Return a data set's validation photos of those of a network's classes that it has; of all of its own for a network without WordNet
    ids.

    Raises:
        SevisError: when the data set cannot be read, or has none of the classes.
    """
    return _validation_photos(str(data), card.wnids or (), card.classes)


@st.cache_resource(max_entries=4, show_spinner="Opening the data set …")
def _validation_photos(path: str, wnids: tuple[str, ...], classes: tuple[str, ...]) -> ImageDataset:
    photos = open_dataset(path, "val")
    if not wnids:
        return photos
    known = [wnid for wnid in wnids if wnid in photos.wnids]
    return photos.select(known or wnids).named(dict(zip(wnids, classes, strict=True)))


def _choose_validation_photo(photos: ImageDataset, key: str) -> Photo | None:
    names = photos.classes
    name = st.selectbox("Class", names, key=f"{key}photo_class", bind="query-params", width=240)
    found = photos.indices_of(names.index(name))
    number = st.number_input("Photo number", 1, max(len(found), 1), key=f"{key}photo_number", bind="query-params", width=160)
    if not found:
        st.info(f"There is no validation photo of this class in {photos.name}.")
        return None
    return Photo(f"{name}, photo {number}", photos.read(found[number - 1]))


def _upload_photo(key: str) -> Photo | None:
    file = st.file_uploader(
        "A picture from this computer",
        type=[suffix.removeprefix(".") for suffix in SUFFIXES],
        key=f"{key}upload",
        max_upload_size=MAX_BYTES // 1_000_000,
        width=640,
    )
    if file is None:
        st.info("Choose a picture. It stays on the computer that runs this app and is not stored.", width=640)
    return Photo(file.name, file.getvalue()) if file else None


def _take_photo(key: str) -> Photo | None:
    file = st.camera_input("Look into the camera", key=f"{key}camera", width=480)
    return Photo("Photo from the camera", file.getvalue()) if file else None
