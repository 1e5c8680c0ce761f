"""Pictures as they come in practice: tiny, thin, deep, turned, damaged, moving, empty."""

from __future__ import annotations

import io
import struct
import zlib
from typing import NamedTuple

import numpy as np
from PIL import Image


class Refused(NamedTuple):
    """The status of a refusal, and a word that its message must have."""

    status: int
    word: str


class Case(NamedTuple):
    """A picture file: answered, answered as another one is, or refused."""

    name: str
    data: bytes
    same_as: bytes | None = None
    refused: Refused | None = None
    size: tuple[int, int] | None = None
    """Width and height as a viewer shows them, inside of which every answer must lie."""


def _saved(picture: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def _scene(width: int, height: int) -> Image.Image:
    """Smooth colours, a dark bar, a bright square: something for every task."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], axis=-1)
    pixels[height // 4 : height // 3, width // 8 : width // 2] = 16
    pixels[height // 2 : height * 3 // 4, width // 2 : width * 3 // 4] = (250, 40, 40)
    return Image.fromarray(pixels.astype(np.uint8), "RGB")


def _turned(scene: Image.Image, orientation: int) -> bytes:
    """The scene as a phone held otherwise stores it: turned, with an EXIF orientation."""
    turns = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
             6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    return _saved(scene.transpose(turns[orientation]), exif=exif)


_GREYS = np.tile(np.linspace(0, 65535, 40).astype(np.uint16), (30, 1))


def _grey_16_with_alpha() -> bytes:
    """16 bits per channel, grey and alpha: PNG colour type 4, which few programs write."""
    height, width = _GREYS.shape
    values = np.zeros((height, width, 2), ">u2")
    values[..., 0] = _GREYS
    values[..., 1] = 65535
    rows = b"".join(b"\0" + row.tobytes() for row in values)

    def chunk(kind: bytes, body: bytes) -> bytes:
        checked = kind + body
        return struct.pack(">I", len(body)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 16, 4, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def _promising(width: int, height: int) -> bytes:
    """A PNG whose header lies: it would be so large, if it held anything."""
    small = _saved(Image.new("RGB", (1, 1)))
    header = b"IHDR" + struct.pack(">II", width, height) + small[24:29]
    return small[:12] + header + struct.pack(">I", zlib.crc32(header)) + small[33:]


_SCENE = _scene(160, 120)
_PLAIN = _saved(_SCENE)
_JPEG = _saved(_SCENE, "JPEG", quality=90)
_CMYK = _saved(_SCENE.convert("CMYK"), "JPEG", quality=95)
_FRAMES = [_scene(120, 90).convert("P"), Image.new("P", (120, 90), 3)]
_CLEAR = Image.new("RGBA", (120, 90), (0, 0, 0, 0))


def _seen(data: bytes) -> bytes:
    """A file's picture as a plain PNG."""
    with Image.open(io.BytesIO(data)) as picture:
        return _saved(picture.convert("RGB"))


WHITE = _saved(Image.new("RGB", (320, 240), "white"))

CASES = (
    Case("one-pixel", _saved(Image.new("RGB", (1, 1), (200, 30, 30))), size=(1, 1)),
    Case("10000-wide-10-high", _saved(_scene(10000, 10)), size=(10000, 10)),
    Case("10-wide-10000-high", _saved(_scene(10, 10000)), size=(10, 10000)),
    Case("one-row", _saved(_scene(300, 1)), size=(300, 1)),
    Case(
        "grey-16-bit-with-alpha",
        _grey_16_with_alpha(),
        same_as=_saved(Image.fromarray((_GREYS >> 8).astype(np.uint8), "L").convert("RGB")),
    ),
    *(
        Case(f"turned-by-exif-{orientation}", _turned(_SCENE, orientation), same_as=_PLAIN)
        for orientation in (2, 3, 6, 8)
    ),
    Case("cut-off-jpeg", _JPEG[: len(_JPEG) // 2], refused=Refused(400, "cut off")),
    Case("jpeg-with-more-behind", _JPEG + b"behind the end" * 99, same_as=_seen(_JPEG)),
    Case("cmyk-jpeg", _CMYK, same_as=_seen(_CMYK)),
    Case("lossless-webp", _saved(_SCENE, "WEBP", lossless=True), same_as=_PLAIN),
    Case("bmp", _saved(_SCENE, "BMP"), same_as=_PLAIN),
    Case(
        "two-colours",
        _saved(_SCENE.convert("1")),
        same_as=_saved(_SCENE.convert("1").convert("RGB")),
    ),
    Case(
        "wholly-transparent",
        _saved(_CLEAR),
        same_as=_saved(Image.new("RGB", (120, 90), "white")),
    ),
    Case(
        "animated-gif",
        _saved(_FRAMES[0], "GIF", save_all=True, append_images=_FRAMES[1:]),
        same_as=_saved(_FRAMES[0].convert("RGB")),
    ),
    Case("nothing", b"", refused=Refused(400, "no body")),
    Case("a-text", b"I am no picture.", refused=Refused(415, "not a picture")),
    Case("promises-too-much", _promising(60000, 60000), refused=Refused(413, "million")),
)
