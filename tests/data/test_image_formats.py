"""Pictures from strangers: shown as a person would see them, or refused in one sentence."""

import io
import random
import struct
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from sevis import SevisError
from sevis.data.image_formats import FORMATS, MAX_BYTES, is_image, read_image
from tests.helpers.pictures import a_picture


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def pixels(data: bytes) -> np.ndarray:
    image = read_image(data)
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG written by hand, for what Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, content) for kind, content in chunks)


def on_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255
    return rgb * share + 255 * (1 - share)


# --- shown as they are ---


@pytest.mark.parametrize("form", ["PNG", "BMP"])
def test_lossless_formats_come_back_exactly(form: str) -> None:
    np.testing.assert_array_equal(pixels(encoded(a_picture(), form)), np.asarray(a_picture()))


def test_webp_comes_back_exactly_where_it_is_lossless() -> None:
    np.testing.assert_array_equal(pixels(encoded(a_picture(), "WEBP", lossless=True)), np.asarray(a_picture()))


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_comes_back_nearly(progressive: bool) -> None:
    difference = pixels(encoded(a_picture(), "JPEG", quality=95, progressive=progressive)) - np.asarray(a_picture()).astype(int)
    assert np.abs(difference).mean() < 5  # a mirror image differs by 80


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP"])
def test_grey(form: str) -> None:
    ramp = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (32, 1))
    seen = pixels(encoded(Image.fromarray(ramp), form))
    np.testing.assert_allclose(seen, np.repeat(ramp[..., None], 3, axis=2), atol=0 if form != "JPEG" else 3)


@pytest.mark.parametrize("form", ["PNG", "BMP"])
def test_one_bit(form: str) -> None:
    board = np.indices((16, 16)).sum(0) % 2 == 0
    np.testing.assert_array_equal(pixels(encoded(Image.fromarray(board), form))[..., 1], board * 255)


@pytest.mark.parametrize("form", ["PNG", "GIF", "BMP"])
def test_palette(form: str) -> None:
    image = a_picture().quantize(16)
    np.testing.assert_array_equal(pixels(encoded(image, form)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("form", ["PNG", "GIF"])
def test_a_transparent_palette_entry_is_white(form: str) -> None:
    image = Image.new("P", (2, 2))
    image.putdata([0, 1, 1, 2])
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    seen = pixels(encoded(image, form, transparency=1))
    assert seen.tolist() == [[[255, 0, 0], [255, 255, 255]], [[255, 255, 255], [0, 0, 255]]]


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_transparency_is_laid_on_white(form: str) -> None:
    rgb = np.asarray(a_picture())
    alpha = np.tile(np.linspace(0, 255, 40).astype(np.uint8), (30, 1))
    image = Image.fromarray(np.dstack([rgb, alpha]))
    seen = pixels(encoded(image, form, **({"lossless": True, "exact": True} if form == "WEBP" else {})))
    np.testing.assert_allclose(seen, on_white(rgb, alpha), atol=1)


def test_grey_with_transparency_is_laid_on_white() -> None:
    grey, alpha = np.arange(0, 160, 10, dtype=np.uint8).reshape(4, 4), np.arange(0, 256, 16, dtype=np.uint8).reshape(4, 4)
    seen = pixels(encoded(Image.merge("LA", (Image.fromarray(grey), Image.fromarray(alpha))), "PNG"))
    np.testing.assert_allclose(seen, on_white(np.repeat(grey[..., None], 3, axis=2), alpha), atol=1)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_colour_declared_transparent_is_white(mode: str) -> None:
    image = Image.new(mode, (2, 1), 50 if mode == "L" else (50, 60, 70))
    image.putpixel((1, 0), 90 if mode == "L" else (90, 60, 70))
    seen = pixels(encoded(image, "PNG", transparency=50 if mode == "L" else (50, 60, 70)))
    assert seen[0, 0].tolist() == [255, 255, 255]
    assert seen[0, 1, 0] == 90


def test_sixteen_bit_grey_is_scaled_not_cut() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    seen = pixels(encoded(Image.fromarray(values), "PNG"))
    np.testing.assert_array_equal(seen[..., 0], np.round(values / 257).astype(int))
    assert (seen == seen[..., :1]).all()


def test_sixteen_bit_grey_with_a_transparent_value() -> None:
    values = np.array([[1000, 40000]], ">u2")
    seen = pixels(png(2, 1, 16, 0, b"\0" + values.tobytes(), (b"tRNS", struct.pack(">H", 1000))))
    assert seen[0, :, 0].tolist() == [255, round(40000 / 257)]


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_sixteen_bit_colour_and_alpha(colour: int, channels: int) -> None:
    values = np.random.default_rng(colour).integers(0, 65536, (3, 5, channels))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    shown = values / 257
    if channels % 2 == 0:
        shown = on_white(shown[..., :-1], shown[..., -1])
    np.testing.assert_allclose(pixels(png(5, 3, 16, colour, rows)), np.broadcast_to(shown, (3, 5, 3)), atol=2)


def test_cmyk_jpeg() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    np.testing.assert_allclose(pixels(encoded(image, "JPEG", quality=95))[8, 8], (255, 0, 0), atol=4)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = np.asarray(a_picture())
    stored = {  # EXIF 2.3, 4.6.4: where the stored row 0 and column 0 are seen
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(pixels(encoded(Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif)), upright)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_shown(form: str) -> None:
    frames = [Image.new("RGB", (12, 8), colour) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if form == "WEBP" else {}
    data = encoded(frames[0], form, save_all=True, append_images=frames[1:], duration=50, **options)
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == 3
    assert (pixels(data) == (255, 0, 0)).all()


def test_a_phone_s_double_jpeg_and_what_is_appended_to_it() -> None:
    double = encoded(a_picture(), "MPO", save_all=True, append_images=[a_picture(seed=1)], quality=95)
    assert np.abs(pixels(double) - np.asarray(a_picture()).astype(int)).mean() < 5
    film = b"\xff\xda\x00\x02" * 50_000  # a motion photo's film may hold anything
    assert pixels(encoded(a_picture(), "JPEG") + film).shape == (30, 40, 3)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40, b"\xff" * 90]
)
def test_malformed_exif_does_not_hide_the_photo(exif: bytes) -> None:
    assert pixels(encoded(a_picture(), "JPEG", exif=exif)).shape == (30, 40, 3)


def test_an_orientation_among_malformed_tags_is_applied() -> None:
    width = struct.pack(">HHI4s", 0x0100, 2, 4, b"abc\0")  # a number's tag that holds text
    orientation = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x02" + width + orientation + b"\0\0\0\0"
    seen, stored = pixels(encoded(a_picture(), "JPEG", exif=exif)), pixels(encoded(a_picture(), "JPEG"))
    np.testing.assert_array_equal(seen, np.rot90(stored, -1))


def test_reading_prints_no_warning() -> None:
    data = encoded(a_picture(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\x00\x01\x01\x12\x00\x03\x00\x00\xff\xff\0\6\0\0\0\0\0\0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_image(data)


# --- refused, with the reason and the cure ---


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"The file is empty: choose a picture"),
        (b"hello, world", r"not a picture that sevis reads.*choose a PNG, JPEG, WebP, GIF or BMP"),
        (b"\0" * 1000, r"not a picture that sevis reads"),
        (b"PK\x03\x04" + b"\0" * 60, r"not a picture that sevis reads"),
        (b"\x89PNG\r\n\x1a\n", r"not a picture that sevis reads"),
        (b"II*\0\x08\0\0\0" + b"\0" * 60, r"is a TIFF or raw camera file, which sevis does not read: save it as JPEG or PNG"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 60, r"is an HEIC photo.*save it as JPEG or PNG"),
        (b"\0\0\0\x18ftypavif" + b"\0" * 60, r"is an AVIF picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", r"is an SVG drawing"),
        (b'<?xml version="1.0"?><svg/>', r"is an SVG drawing"),
        (b"%PDF-1.7", r"is a PDF document"),
        (b"x" * (MAX_BYTES + 1), r"The file has 20\.0 MB; at most 20 MB are read: make it smaller"),
    ],
)
def test_what_is_no_picture_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(SevisError, match=message):
        read_image(data)


@pytest.mark.parametrize("mode", ["RGB", "I;16", "F", "1", "RGBA"])
def test_tiff_is_refused_in_every_mode(mode: str) -> None:
    for compression in (None, "tiff_lzw", "tiff_deflate"):
        with pytest.raises(SevisError, match="is a TIFF or raw camera file"):
            read_image(encoded(Image.new(mode, (8, 8)), "TIFF", compression=compression))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "WEBP"])
def test_a_truncated_picture_is_refused(form: str) -> None:
    data = encoded(a_picture(200, 150), form)
    for share in (0.3, 0.6, 0.9):
        with pytest.raises(SevisError, match=r"damaged or cut off|not a picture that sevis reads, or it is damaged"):
            read_image(data[: int(len(data) * share)])


def test_a_decompression_bomb_is_refused_by_its_header() -> None:
    bomb = png(30_000, 30_000, 1, 0, b"\0" * 3751 * 100)
    assert len(bomb) < 2_000
    with pytest.raises(SevisError, match=r"30000 x 30000 = 900 megapixels; at most 50 are read|too many pixels"):
        read_image(bomb)
    slightly = png(8_000, 6_251, 1, 0, b"\0" * 100)
    with pytest.raises(SevisError, match=r"8000 x 6251 = 50 megapixels; at most 50 are read: make it smaller"):
        read_image(slightly)


@pytest.mark.parametrize("size", [(3000, 59), (59, 3000)])
def test_a_thread_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(SevisError, match=r"its longer side may be at most 50 times the shorter: crop it"):
        read_image(encoded(Image.new("L", size), "PNG"))
    assert read_image(encoded(Image.new("L", (3000, 60)), "PNG")).size == (3000, 60)


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    data = encoded(a_picture(), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    scan = data[start:-2]
    assert pixels(data[:-2] + scan * 20 + b"\xff\xd9").shape == (30, 40, 3)
    with pytest.raises(SevisError, match=r"more than 100 scans, which no camera writes: save it again"):
        read_image(data[:-2] + scan * 200 + b"\xff\xd9")


def test_a_text_bomb_is_not_unpacked() -> None:
    text = b"Comment\0\0" + zlib.compress(b"a" * 100_000_000)
    tracemalloc.start()
    with pytest.raises(SevisError, match="damaged or cut off"):
        read_image(png(1, 1, 8, 0, b"\0\0", (b"zTXt", text)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def samples() -> dict[str, bytes]:
    """One small picture for each road through the decoders."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a title"
    picture = a_picture(24, 18)
    frames = [a_picture(24, 18, seed=seed) for seed in (1, 2)]
    return {
        "png": encoded(picture, "PNG", exif=exif),
        "palette": encoded(picture.quantize(8), "PNG", transparency=2),
        "sixteen": encoded(Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20) * 160), "PNG"),
        "apng": encoded(picture, "PNG", save_all=True, append_images=frames),
        "jpeg": encoded(picture, "JPEG", exif=exif),
        "progressive": encoded(picture, "JPEG", progressive=True),
        "cmyk": encoded(picture.convert("CMYK"), "JPEG"),
        "mpo": encoded(picture, "MPO", save_all=True, append_images=frames),
        "gif": encoded(picture, "GIF", save_all=True, append_images=frames),
        "webp": encoded(picture, "WEBP", exif=exif),
        "webp animation": encoded(picture, "WEBP", save_all=True, append_images=frames),
        "bmp": encoded(picture, "BMP"),
        "bmp palette": encoded(picture.quantize(8), "BMP"),
    }


@pytest.mark.parametrize("name", samples())
def test_damage_anywhere_ends_in_a_picture_or_one_sentence(name: str) -> None:
    original, dice = samples()[name], random.Random(name)
    assert read_image(original).mode == "RGB"
    damaged = [original[: dice.randrange(len(original))] for _ in range(40)]
    for _ in range(160):
        data = bytearray(original)
        reach = dice.choice((64, len(data)))  # headers are where it hurts
        for _ in range(dice.choice((1, 1, 4))):
            data[dice.randrange(min(reach, len(data)))] = dice.randrange(256)
        damaged.append(bytes(data))
    refused = 0
    for data in damaged:
        try:
            assert read_image(data).mode == "RGB"
        except SevisError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 0


def test_formats_are_those_named_in_the_messages() -> None:
    with pytest.raises(SevisError) as caught:
        read_image(b"?")
    assert str(caught.value).endswith("choose a PNG, JPEG, WebP, GIF or BMP.")
    with pytest.raises(SevisError, match=r"choose a picture \(PNG, JPEG, WebP, GIF or BMP\)"):
        read_image(b"")


def test_the_suffixes_are_those_of_the_formats() -> None:
    known = Image.registered_extensions()
    for name, suffixes in FORMATS.items():
        assert suffixes
        assert {known[suffix] for suffix in suffixes} == {name.upper()}
        assert all(is_image(f"cat/1{suffix}") and is_image(f"cat/1{suffix.upper()}") for suffix in suffixes)
        assert read_image(encoded(a_picture(), name.upper())).size == (40, 30)
    assert not any(map(is_image, ("cat/1.tiff", "cat/1.avif", "cat/png", "notes.txt")))
