"""Results painted on pictures, and pictures made from text."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from paddlesrv.models.tensor import Array
from paddlesrv.tasks.fonts import Font, font_for
from paddlesrv.tasks.images import encode_png
from paddlesrv.tasks.quads import is_tall, size

Quad = Sequence[tuple[float, float]]

# Blue, green, red; told apart by most people with colour blindness (Okabe and Ito's palette).
_COLOURS = ((178, 114, 0), (0, 94, 213), (115, 158, 0), (167, 121, 204), (0, 159, 230))
_INK = (40, 40, 40)
MAX_FONT_PIXELS = 200


def paint_boxes(image: Array, boxes: Sequence[Quad]) -> Array:
    """The picture with a coloured, lightly filled outline of each box.

    Args:
        image: height x width x 3, BGR, uint8; it is left as it is.
        boxes: Corners in pixels.
    """
    outlines = [np.round(np.array(box)).astype(np.int32) for box in boxes]
    filled = image.copy()
    for number, outline in enumerate(outlines):
        cv2.fillPoly(filled, [outline], colour(number))
    painted = cv2.addWeighted(filled, 0.2, image, 0.8, 0)
    thickness = max(1, round(max(image.shape[:2]) / 600))
    for number, outline in enumerate(outlines):
        cv2.polylines(painted, [outline], True, colour(number), thickness, cv2.LINE_AA)
    return painted


def paint_text(image: Array, lines: Sequence[tuple[str, Quad]]) -> Array:
    """The picture with its boxes, and beside it each text in the place where it was read.

    A text for which no font is found is replaced by its number, counted from 1, as the results
    are listed.

    Args:
        image: height x width x 3, BGR, uint8; it is left as it is.
        lines: Texts and their boxes.

    Returns:
        height x (2 width) x 3.
    """
    panel = np.full_like(image, 255)
    for number, (text, box) in enumerate(lines):
        quad = np.array(box, np.float32)
        outline = np.round(quad).astype(np.int32)
        cv2.polylines(panel, [outline], True, colour(number), 1, cv2.LINE_AA)
        _paint_label(panel, quad, text, number)
    return np.hstack([paint_boxes(image, [box for _, box in lines]), panel])


def paint_below(image: Array, text: str) -> Array:
    """The picture with a strip below it that has the text, as large as it fits.

    Args:
        image: height x width x 3, BGR, uint8.
        text: What is written; the strip stays white where no font has it.
    """
    height, width = image.shape[:2]
    strip = text_picture(text, width, min(max(height, 16), 64))
    painted: Array = np.vstack([image, strip])
    return painted


def text_picture(text: str, width: int, height: int) -> Array:
    """The text as large as it fits, black on white: height x width x 3, BGR, uint8."""
    canvas = Image.new("RGB", (width, height), "white")
    font = _fitting(text, width, height)
    if font is not None:
        place = (width / 2, height / 2)
        draw = ImageDraw.Draw(canvas)
        if isinstance(font, ImageFont.FreeTypeFont):
            draw.text(place, text, fill=_INK, font=font, anchor="mm")
        else:
            draw.text((0, 0), text, fill=_INK, font=font)
    return np.ascontiguousarray(np.asarray(canvas)[:, :, ::-1])


def sample_picture(text: str, width: int, height: int) -> bytes:
    """A PNG file of `text_picture`, for warm-up and check runs."""
    return encode_png(text_picture(text, width, height))


def _paint_label(panel: Array, quad: Array, text: str, number: int) -> None:
    width, height = (max(1, round(side)) for side in size(quad))
    tall = is_tall(quad)
    along, across = (height, width) if tall else (width, height)
    if font_for(text, 16) is None:
        text = f"#{number + 1}"
    label = text_picture(text, along, across)
    if tall:
        label = np.ascontiguousarray(np.rot90(label, -1))
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    transform = cv2.getPerspectiveTransform(source, quad)
    placed = cv2.warpPerspective(
        label,
        transform,
        (panel.shape[1], panel.shape[0]),
        flags=cv2.INTER_AREA,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(255, 255, 255),
    )
    np.minimum(panel, placed, out=panel)


def _fitting(text: str, width: int, height: int) -> Font | None:
    """The largest font with which the text fits, with a margin; None for nothing to draw."""
    if not text.strip() or width < 4 or height < 4:
        return None
    pixels = min(MAX_FONT_PIXELS, max(4, int(height * 0.8)))
    font = font_for(text, pixels)
    if font is None:
        return None
    left, _, right, _ = font.getbbox(text)
    drawn = right - left
    if drawn > width * 0.96:
        pixels = max(4, int(pixels * width * 0.96 / drawn))
        font = font_for(text, pixels)
    return font


def colour(number: int) -> tuple[int, int, int]:
    """One of a few colours (blue, green, red) that are easily told apart, over and over."""
    return _COLOURS[number % len(_COLOURS)]
