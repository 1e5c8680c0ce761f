"""Picture files: what is taken, how odd ones come out, what is refused and how."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from paddlesrv.errors import InvalidInput, PayloadTooLarge, UnsupportedMediaType
from paddlesrv.tasks import images
from paddlesrv.tasks.images import decode, encode_png


def gradient(mode: str = "RGB", size: tuple[int, int] = (64, 48)) -> Image.Image:
    width, height = size
    x = np.linspace(0, 255, width, dtype=np.uint8)[np.newaxis].repeat(height, 0)
    y = np.linspace(0, 255, height, dtype=np.uint8)[:, np.newaxis].repeat(width, 1)
    return Image.fromarray(np.dstack([x, y, 255 - x])).convert(mode)


def file(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def png_with_size(width: int, height: int) -> bytes:
    """A PNG file whose header promises a size that its data does not have."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 32)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_files_come_out_as_bgr(kind: str) -> None:
    picture = gradient()
    decoded = decode(file(picture, kind))
    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous
    assert (decoded[:, :, ::-1] == np.asarray(picture)).all()


@pytest.mark.parametrize("kind", ["JPEG", "WebP"])
def test_lossy_files_come_out_as_bgr(kind: str) -> None:
    picture = gradient()
    decoded = decode(file(picture, kind, quality=95)).astype(int)
    assert np.abs(decoded[:, :, ::-1] - np.asarray(picture)).mean() < 6


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "LA", "RGBA"])
def test_all_kinds_of_pixels_become_colour(mode: str) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    assert decode(file(gradient(mode), kind)).shape == (48, 64, 3)


def test_transparency_lies_on_white() -> None:
    hidden = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert (decode(file(hidden, "PNG")) == 255).all()
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    assert (np.abs(decode(file(half, "PNG")).astype(int) - 127) <= 1).all()


def test_a_palette_with_a_transparent_colour_lies_on_white() -> None:
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([10, 20, 30])
    assert (decode(file(picture, "PNG", transparency=0)) == 255).all()


def test_a_transparent_grey_of_sixteen_bits_lies_on_white() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 1, 16, 0, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(b"\0" + struct.pack(">HHH", 0, 0x1234, 0xFFFF)))
    clear = chunk(b"tRNS", struct.pack(">H", 0))
    whole = b"\x89PNG\r\n\x1a\n" + header + clear + rows + chunk(b"IEND", b"")
    assert decode(whole)[0, :, 0].tolist() == [255, 0x12, 255]


def test_of_sixteen_bits_the_upper_eight_are_kept() -> None:
    values = np.array([[0, 0x1234], [0x80FF, 0xFFFF]], np.uint16)
    decoded = decode(file(Image.fromarray(values), "PNG"))
    assert decoded[:, :, 0].tolist() == [[0x00, 0x12], [0x80, 0xFF]]
    assert (decoded[:, :, 0] == decoded[:, :, 2]).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP"])
def test_exif_orientation_is_applied(orientation: int, kind: str) -> None:
    upright = Image.new("RGB", (40, 24), "white")
    upright.paste("red", (0, 0, 20, 12))
    turns = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT], 3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM], 5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90], 7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270], 1: [],
    }  # fmt: skip
    stored = upright
    for turn in turns[orientation]:
        stored = stored.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode(file(stored, kind, exif=exif, quality=95))
    assert decoded.shape == (24, 40, 3)
    assert decoded[4, 4, 2] > 200
    assert decoded[4, 4, 1] < 60
    assert decoded[20, 36].min() > 200


def test_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = file(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    assert decode(data)[0, 0].tolist() == [0, 0, 255]


def test_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput, match="empty"):
        decode(b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_file_that_was_cut_off_is_refused(kind: str, share: float) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    data = file(Image.fromarray(noise), kind)
    with pytest.raises(InvalidInput):
        decode(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"%PDF-1.7 ...", "a PDF"),
        (b"\0\0\0\x18ftypheic....", "a HEIC"),
        (b'{"image": "..."}', "JSON"),
        (b"/9j/4AAQSkZJRg==", "base64"),
        (b"hello, I am not a picture", "25 bytes that begin with 0x68656c6c"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, name: str) -> None:
    with pytest.raises(UnsupportedMediaType) as caught:
        decode(data)
    assert name in caught.value.message
    assert caught.value.context["accepted"] == "JPEG, PNG, WebP, BMP, TIFF, GIF"


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_file_damaged_at_its_beginning_is_damaged_and_no_other_kind_of_file(kind: str) -> None:
    data = file(gradient(), kind)
    with pytest.raises(InvalidInput, match=f"{kind} picture of .* is damaged"):
        decode(data[:8] + b"\xff" * 40 + data[48:])


def test_a_header_that_promises_too_much_is_refused_before_decoding() -> None:
    # The data would fail to decode, so only a look at the header can give this answer.
    with pytest.raises(PayloadTooLarge, match="60000 x 60000 pixels, 3600 million"):
        decode(png_with_size(60000, 60000))


def test_the_limit_itself_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 64 * 48)
    assert decode(file(gradient(), "PNG")).shape == (48, 64, 3)
    with pytest.raises(PayloadTooLarge):
        decode(file(gradient(size=(65, 48)), "PNG"))


def test_pixels_of_32_bits_are_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="32 bits"):
        decode(file(Image.fromarray(np.full((4, 4), 0.5, np.float32)), "TIFF"))


FILES = [
    file(gradient(size=(8, 6)), kind) for kind in ("JPEG", "PNG", "WebP", "BMP", "TIFF", "GIF")
]


# pytest has filters of its own, in which the one of the module does not count.
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(st.sampled_from(FILES), st.data())
def test_damage_anywhere_is_refused_or_decoded_but_never_another_error(
    data: bytes, draw: st.DataObject
) -> None:
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        place = draw.draw(st.integers(0, min(len(data) - 1, 400)))
        damaged[place] = draw.draw(st.integers(0, 255))
    try:
        decoded = decode(bytes(damaged))
    except InvalidInput:
        return
    assert decoded.ndim == 3
    assert decoded.shape[2] == 3


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_words(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode(data)


def test_png_there_and_back() -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (7, 9, 3), np.uint8)
    assert (decode(encode_png(pixels)) == pixels).all()
