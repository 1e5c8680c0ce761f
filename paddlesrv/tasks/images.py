"""The bytes of a picture file -> pixels, and back. Everything odd about picture files ends here.

Pixels are always height x width x 3, blue-green-red, uint8, upright as a viewer shows them:

- EXIF orientation is applied.
- Transparency is laid on white, as on paper: what is hidden under full transparency is often
  black, and black text on it would vanish.
- Grey and palette become colour; of 16 bits per channel the upper 8 are kept.
- Of several frames or pages, the first one counts.

Pillow decodes, not OpenCV: of a JPEG that was cut off, OpenCV makes a picture with a grey rest
and says nothing, Pillow refuses it; and what libjpeg has to say of a damaged one, OpenCV writes to
stderr. The pixels are the same, and all that takes long (Pillow's decoders too) runs without the
interpreter lock.

A JPEG is a sum of waves per 8 x 8 pixels, and a decoder that leaves out the fast ones has a picture
of half, a quarter or an eighth of each side for less work. `decode_for` asks for that where a
network sees the picture smaller still.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from paddlesrv.errors import InvalidInput, PayloadTooLarge, UnsupportedMediaType
from paddlesrv.models.tensor import Array

MAX_PIXELS = 50_000_000
"""Width x height, read from the header before anything is decoded: 150 MB as pixels."""

MIN_SIDE_PIXELS = 1

ACCEPTED = ("JPEG", "PNG", "WebP", "BMP", "TIFF", "GIF")
_DECODERS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")

REDUCED_MARGIN = 2
"""How many times larger than its network sees it a JPEG decoded smaller is at least.

Networks were trained on pictures that were resized from full size, with pixels left out; that
many times larger, and what is left out is the same sort.
"""

_REDUCTIONS = (8, 4, 2)
_STRIP_BYTES = 2 << 20
"""Pixels are handed over in pieces that stay in the processor's cache: twice as fast."""

_ORIENTATION = 0x0112
"""EXIF's tag. Its values 1 to 8: EXIF 2.32, 4.6.4 A."""
_ON_ITS_SIDE = (5, 6, 7, 8)

# How most of what is taken begins; for files whose header is damaged behind that.
_TAKEN = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
)

# What people send by mistake, by the first bytes of the file: offset, bytes, name.
_KNOWN = (
    (0, b"%PDF", "a PDF"),
    (4, b"ftypheic", "a HEIC picture"),
    (4, b"ftypheix", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIF picture"),
    (4, b"ftypavif", "an AVIF picture"),
    (4, b"ftyp", "a video"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"<?xml", "XML"),
    (0, b"<!DOCTYPE html", "an HTML page"),
    (0, b"<html", "an HTML page"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"\x00\x00\x01\x00", "an icon"),
    (0, b"{", "JSON"),
    (0, b"data:image/", "a data URL (send what follows its comma, decoded from base64)"),
    (0, b"/9j/", "base64 text (decode it first)"),
    (0, b"iVBORw0KGgo", "base64 text (decode it first)"),
)

# What Pillow's decoders raise on bytes that are damaged.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, OverflowError,
            struct.error, zlib.error, MemoryError)  # fmt: skip

# Sizes are checked here, by MAX_PIXELS. Pillow's own limit would print a warning besides.
Image.MAX_IMAGE_PIXELS = None

# Whoever sends damaged metadata must not fill the log.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


# Pictures are prepared by as many threads as there are cores; threads of OpenCV's own, started by
# each of them, would only get in one another's way.
cv2.setNumThreads(1)

Size = tuple[int, int]
"""Height and width, in pixels."""


class Picture(NamedTuple):
    """Pixels as `decode` has them, and the size of the picture that was sent, upright.

    The pixels are that many, or about a half, a quarter or an eighth of each side: pixel (y, x) of
    the picture lies at (y, x) * pixels.shape / size.
    """

    pixels: Array
    size: Size


def decode(data: bytes) -> Array:
    """The pixels of a picture file: height x width x 3, BGR, uint8, contiguous.

    Raises:
        InvalidInput: nothing, or a file that is damaged or cut off.
        UnsupportedMediaType: not a picture, or of a format that is not taken.
        PayloadTooLarge: more pixels than `MAX_PIXELS`.
    """
    return decode_for(data, None).pixels


def decode_for(data: bytes, resized: Callable[[int, int], Size] | None) -> Picture:
    """The pixels of a picture file, or fewer where a network sees fewer still.

    Args:
        data: The file.
        resized: The height and width that a picture of this height and width is resized to; None
            wants all pixels.

    Raises:
        InvalidInput, UnsupportedMediaType, PayloadTooLarge: as `decode`.
    """
    if not data:
        raise InvalidInput("the picture is empty (0 bytes)")
    with _open(data) as picture:
        _check_size(*picture.size)
        try:
            stored = picture.height, picture.width
            factor = 1
            if resized is not None and isinstance(picture, JpegImageFile):
                upright = stored if _orientation(picture) not in _ON_ITS_SIDE else stored[::-1]
                factor = _reduction(upright, resized(*upright))
                _reduce(picture, factor)
            picture.load()
            pixels = _bgr(picture)
            if factor > 1:
                pixels = _without_overhang(pixels, stored, factor)
            pixels = _upright(pixels, picture)
        except _DAMAGED as error:
            raise InvalidInput(
                f"the {picture.format} picture of {len(data)} bytes is damaged or cut off: {error}"
            ) from error
    return Picture(pixels, (pixels.shape[0], pixels.shape[1]) if factor == 1 else upright)


def encode_png(image: Array) -> bytes:
    """A PNG file of pixels (height x width x 3, BGR, uint8)."""
    done, data = cv2.imencode(".png", image)
    if not done:
        raise InvalidInput(f"cannot write an array of shape {image.shape} as PNG")
    return bytes(data)


def encode_indexed_png(classes: Array, colours: Sequence[tuple[int, int, int]]) -> bytes:
    """A PNG file with a palette, whose pixels are numbers (height x width, uint8).

    Args:
        classes: Numbers of colours.
        colours: Red, green, blue of each number.
    """
    picture = Image.fromarray(classes)
    picture.putpalette([channel for one in colours for channel in one])
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def _open(data: bytes) -> Image.Image:
    """The picture with only its header read."""
    try:
        return Image.open(io.BytesIO(data), formats=_DECODERS)
    except _DAMAGED as error:
        for magic, name in _TAKEN:
            if data.startswith(magic):
                raise InvalidInput(
                    f"the {name} picture of {len(data)} bytes is damaged at its beginning"
                ) from error
        raise UnsupportedMediaType(
            f"the input is {_what(data)}, not a picture that can be read",
            context={"accepted": ", ".join(ACCEPTED)},
        ) from error


def _what(data: bytes) -> str:
    for offset, magic, name in _KNOWN:
        if data[offset : offset + len(magic)] == magic:
            return name
    return f"{len(data)} bytes that begin with 0x{data[:8].hex()}"


def _check_size(width: int, height: int) -> None:
    if width < MIN_SIDE_PIXELS or height < MIN_SIDE_PIXELS:
        raise InvalidInput(f"the picture has {width} x {height} pixels")
    if width * height > MAX_PIXELS:
        raise PayloadTooLarge(
            f"the picture has {width} x {height} pixels, {width * height / 1e6:.0f} million; "
            f"the limit is {MAX_PIXELS // 1_000_000} million",
            hints=["send it smaller"],
        )


def _reduction(whole: Size, resized: Size) -> int:
    """By how much each side may be divided in decoding."""
    least = min(side / max(1, network) for side, network in zip(whole, resized, strict=True))
    return next((factor for factor in _REDUCTIONS if least >= factor * REDUCED_MARGIN), 1)


def _reduce(picture: JpegImageFile, factor: int) -> None:
    if factor > 1:
        # The largest factor with which the sides are no smaller than these: that one.
        picture.draft(None, (max(1, picture.width // factor), max(1, picture.height // factor)))


def _without_overhang(pixels: Array, whole: Size, factor: int) -> Array:
    """Without a last row or column that the picture covers less than half of."""
    height, width = (max(1, round(side / factor)) for side in whole)
    return pixels[:height, :width]


def _orientation(picture: Image.Image) -> int:
    return picture.getexif().get(_ORIENTATION, 1)  # type: ignore[no-any-return]


def _upright(pixels: Array, picture: Image.Image) -> Array:
    """As EXIF says that it is to be shown; known of some formats only once they are decoded."""
    turn = _TURNS.get(_orientation(picture))
    return turn(pixels) if turn else pixels


_TURNS: dict[int, Callable[[Array], Array]] = {
    2: lambda pixels: cv2.flip(pixels, 1),
    3: lambda pixels: cv2.rotate(pixels, cv2.ROTATE_180),
    4: lambda pixels: cv2.flip(pixels, 0),
    5: cv2.transpose,
    6: lambda pixels: cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE),
    7: lambda pixels: cv2.rotate(cv2.transpose(pixels), cv2.ROTATE_180),
    8: lambda pixels: cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE),
}


def _bgr(picture: Image.Image) -> Array:
    if picture.mode.startswith(("I", "F")):
        return _grey_of_more_bits(picture)
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    if picture.mode == "L":
        return cv2.cvtColor(np.asarray(picture), cv2.COLOR_GRAY2BGR)
    if picture.mode != "RGB":  # Pillow would copy one that is
        picture = picture.convert("RGB")
    return _exchanged(picture)


def _exchanged(rgb: Image.Image) -> Array:
    """The pixels of an RGB picture, BGR."""
    width, height = rgb.size
    rows = max(1, _STRIP_BYTES // (3 * width))
    if rows >= height:
        return cv2.cvtColor(np.asarray(rgb), cv2.COLOR_RGB2BGR)
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        strip = rgb.crop((0, top, width, min(top + rows, height)))
        cv2.cvtColor(np.asarray(strip), cv2.COLOR_RGB2BGR, dst=pixels[top : top + rows])
    return pixels


def _grey_of_more_bits(picture: Image.Image) -> Array:
    values: Any = np.asarray(picture)
    if picture.mode == "F" or values.min() < 0 or values.max() > 0xFFFF:
        raise InvalidInput(
            f"the {picture.format} picture has pixels of 32 bits (mode {picture.mode})",
            context={"accepted": "8 or 16 bits per channel"},
        )
    grey = (values >> 8).astype(np.uint8)
    clear = picture.info.get("transparency")
    if isinstance(clear, int):  # one value stands for nothing, and what is behind it is white
        grey[values == clear] = 255
    return np.repeat(grey[:, :, np.newaxis], 3, axis=2)
