"""What was found, painted on its picture: outlines, masks, names; and a picture to try it on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw

from paddlesrv.models.tensor import Array
from paddlesrv.tasks.drawing import colour
from paddlesrv.tasks.fonts import font_for
from paddlesrv.tasks.images import encode_png
from paddlesrv.tasks.palette import class_colours

Colour = tuple[int, int, int]
"""Blue, green, red."""

_TINT = 0.45
_LABEL_SHARE = 45
"""The picture's long side is as many label heights, within these bounds:"""
_LABEL_PIXELS = (11, 60)
_MARGIN = 2


class Painted(NamedTuple):
    """What is painted of an object; `number` chooses the colour, `mask` is picture-sized."""

    box: tuple[float, float, float, float]
    text: str
    number: int
    mask: Array | None = None


def paint_objects(image: Array, objects: Sequence[Painted]) -> Array:
    """The picture with outlines and names, and masks as a tint.

    Objects are painted from the last to the first, so that the first ones, the surest, lie on top.

    Args:
        image: height x width x 3, BGR, uint8; it is left as it is.
        objects: Boxes in pixels.
    """
    painted: Array = image.copy()
    for each in reversed(objects):
        if each.mask is not None:
            _tint(painted, each.mask, colour(each.number))
    long_side = max(image.shape[:2])
    thickness = max(1, round(long_side / 500))
    pixels = min(_LABEL_PIXELS[1], max(_LABEL_PIXELS[0], long_side // _LABEL_SHARE))
    for each in reversed(objects):
        x1, y1, x2, y2 = (round(side) for side in each.box)
        cv2.rectangle(painted, (x1, y1), (x2, y2), colour(each.number), thickness, cv2.LINE_AA)
    for each in reversed(objects):
        label = _label(each.text, each.number, colour(each.number), pixels)
        _put(painted, label, each.box)
    return painted


def sample_scene(width: int, height: int) -> bytes:
    """A PNG file of a red square and a blue disc on grey, for warm-up and check runs."""
    pixels = np.full((height, width, 3), 128, np.uint8)
    side = min(width, height) // 3
    cv2.rectangle(pixels, (side // 2, side), (side // 2 + side, 2 * side), (0, 0, 255), -1)
    cv2.circle(pixels, (width - side, height // 2), side // 2, (255, 0, 0), -1)
    return encode_png(pixels)


def _tint(painted: Array, mask: Array, bgr: Colour) -> None:
    tint = np.array(bgr, np.float32) * _TINT
    painted[mask] = (painted[mask] * (1 - _TINT) + tint).astype(np.uint8)


def _label(text: str, number: int, bgr: Colour, pixels: int) -> Array:
    """White text on a colour: height x width x 3, BGR; its number without a font."""
    font = font_for(text, pixels)
    if font is None:
        text = f"#{number}"
        font = font_for(text, pixels)
    blue, green, red = bgr
    assert font is not None
    left, top, right, bottom = font.getbbox(text)
    size = (int(right - left) + 2 * _MARGIN, int(bottom - top) + 2 * _MARGIN)
    canvas = Image.new("RGB", size, (red, green, blue))
    ImageDraw.Draw(canvas).text((_MARGIN - left, _MARGIN - top), text, fill="white", font=font)
    pixels_bgr: Array = np.ascontiguousarray(np.asarray(canvas)[:, :, ::-1])
    return pixels_bgr


def _put(painted: Array, label: Array, box: tuple[float, float, float, float]) -> None:
    """The label above its box where there is room, else inside; what leads out is cut off."""
    height, width = painted.shape[:2]
    own_height, own_width = label.shape[:2]
    x = max(0, min(round(box[0]), width - own_width))
    y = round(box[1]) - own_height
    if y < 0:
        y = max(0, min(round(box[1]), height - own_height))
    part = label[: height - y, : width - x]
    painted[y : y + part.shape[0], x : x + part.shape[1]] = part


def paint_captions(image: Array, texts: Sequence[str], colours: Sequence[Colour] = ()) -> Array:
    """The picture with lines of text in its upper left corner.

    Args:
        image: height x width x 3, BGR, uint8; it is left as it is.
        texts: From top to bottom; what does not fit into the picture is cut off.
        colours: Behind each; those of `colour`, one after the other, without them.
    """
    painted: Array = image.copy()
    pixels = min(_LABEL_PIXELS[1], max(_LABEL_PIXELS[0], max(image.shape[:2]) // _LABEL_SHARE))
    below = 0
    for place, text in enumerate(texts):
        if below >= image.shape[0]:
            break
        label = _label(text, place, colours[place] if colours else colour(place), pixels)
        part = label[: image.shape[0] - below, : image.shape[1]]
        painted[below : below + part.shape[0], : part.shape[1]] = part
        below += label.shape[0] + 1
    return painted


def paint_classes(
    image: Array, masks: Sequence[tuple[int, Array]], captions: Sequence[tuple[int, str]]
) -> Array:
    """The picture with masks as a tint, and captions in the colours of `palette` in its corner.

    Args:
        image: height x width x 3, BGR, uint8; it is left as it is.
        masks: Number of a class, and its pixels (height x width, bool).
        captions: Number of a class, and what is written of it.
    """
    colours = [each[::-1] for each in class_colours()]
    painted: Array = image.copy()
    for number, mask in masks:
        _tint(painted, mask, colours[number])
    return paint_captions(
        painted, [text for _, text in captions], [colours[number] for number, _ in captions]
    )
