"""Pictures as they come in practice: tiny, thin, deep, turned, damaged, moving, empty."""

from __future__ import annotations

import io
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


def _turned(scene: Image.Image) -> bytes:
    """The scene as a phone held sideways stores it: turned, with EXIF orientation 6."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return _saved(scene.transpose(Image.Transpose.ROTATE_90), exif=exif)


def _grey_16_with_alpha() -> bytes:
    """16 bits per channel, grey and alpha: PNG colour type 4, which few programs write."""
    import struct
    import zlib

    width, height = 40, 30
    values = np.zeros((height, width, 2), ">u2")
    values[..., 0] = np.linspace(0, 65535, width).astype(">u2")
    values[..., 1] = 65535
    rows = b"".join(b"\0" + row.tobytes() for row in values)

    def chunk(kind: bytes, body: bytes) -> bytes:
        checked = kind + body
        return struct.pack(">I", len(body)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 16, 4, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


_SCENE = _scene(160, 120)
_JPEG = _saved(_SCENE, "JPEG", quality=90)
_FRAMES = [_scene(120, 90).convert("P"), Image.new("P", (120, 90), 3)]

CASES = (
    Case("one-pixel", _saved(Image.new("RGB", (1, 1), (200, 30, 30)))),
    Case("10000-wide-10-high", _saved(_scene(10000, 10))),
    Case("10-wide-10000-high", _saved(_scene(10, 10000))),
    Case("grey-16-bit-with-alpha", _grey_16_with_alpha()),
    Case("turned-by-exif", _turned(_SCENE), same_as=_saved(_SCENE)),
    Case("cut-off-jpeg", _JPEG[: len(_JPEG) // 2], refused=Refused(400, "cut off")),
    Case(
        "animated-gif",
        _saved(_FRAMES[0], "GIF", save_all=True, append_images=_FRAMES[1:]),
        same_as=_saved(_FRAMES[0].convert("RGB")),
    ),
    Case("nothing", b"", refused=Refused(400, "no body")),
)
