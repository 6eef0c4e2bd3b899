"""Where a photo comes from: the samples, a data set, a file, or the camera. What can be shared in a link is kept in the URL."""

import streamlit as st

from sevis.datasets import ImageDataset, find_data, open_dataset, sample_photos
from sevis.images import FORMATS, MAX_BYTES
from sevis.pages.models import Photo
from sevis.weights import Card

SAMPLES, VALIDATION, UPLOAD, CAMERA = "Samples", "Validation photos", "Upload", "Camera"


def choose_photo(card: Card) -> Photo | None:
    """The controls, and the photo they stand for; None as long as nothing is chosen.

    Raises:
        SevisError: when the data set cannot be read.
    """
    samples, data = sample_photos(), find_data()
    with st.container(horizontal=True, gap="medium"):
        source = _choose_source(samples=bool(samples), validation=data is not None)
        if source == SAMPLES:
            titles = list(samples)
            title = st.segmented_control("Photo", titles, default=titles[0], required=True, wrap=True, key="sample", bind="query-params")
            return Photo(title, samples[title].read_bytes()) if title else None
        if source == VALIDATION and data:
            return _choose_validation_photo(_validation_photos(str(data), tuple(card["wnids"])), card)
    return _take_photo() if source == CAMERA else _upload_photo()


def _choose_source(*, samples: bool, validation: bool) -> str | None:
    sources = ([SAMPLES] if samples else []) + ([VALIDATION] if validation else []) + [UPLOAD, CAMERA]
    return st.segmented_control(
        "Take the photo from",
        sources,
        default=sources[0],
        required=True,
        wrap=True,
        key="source",
        bind="query-params",
    )


def _choose_validation_photo(photos: ImageDataset, card: Card) -> Photo | None:
    name = st.selectbox("Class", card.classes, key="photo_class", bind="query-params", width=240)
    found = photos.indices_of(card.classes.index(name))
    number = st.number_input("Photo number", 1, max(len(found), 1), key="photo_number", bind="query-params", width=160)
    if not found:
        st.info(f"There is no validation photo of this class in {photos.name}.")
        return None
    return Photo(f"{name}, photo {number}", photos.read(found[number - 1]))


@st.cache_resource(max_entries=2, show_spinner="Opening the data set …")
def _validation_photos(path: str, wnids: tuple[str, ...]) -> ImageDataset:
    """The data set's validation photos of the network's classes, in the order of its outputs."""
    return open_dataset(path, "val").select(wnids)


def _upload_photo() -> Photo | None:
    file = st.file_uploader(
        "A picture from this computer",
        type=[*(name.lower() for name in FORMATS), "jpg"],
        key="upload",
        max_upload_size=MAX_BYTES // 1_000_000,
        width=640,
    )
    if file is None:
        st.info("Choose a picture. It stays on the computer that runs this app and is not stored.", width=640)
    return Photo(file.name, file.getvalue()) if file else None


def _take_photo() -> Photo | None:
    file = st.camera_input("Look into the camera", key="camera", width=480)
    return Photo("Photo from the camera", file.getvalue()) if file else None
