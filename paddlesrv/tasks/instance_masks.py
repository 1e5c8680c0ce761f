"""Masks of single objects, as networks answer them -> masks as large as the picture."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from paddlesrv.models.tensor import Array

INSIDE = 0.5
"""The probability from which on a pixel belongs to an object."""


def masks_of(found: Array, classes: Array, boxes: Array, size: tuple[int, int]) -> Iterator[Array]:
    """The mask of each object, height x width of the picture, bool.

    Args:
        found: n x H x W of integers: masks laid on the picture already, perhaps on a larger
            canvas. n x h x w, or n x classes x h x w, of floating point: probabilities on a grid
            that is stretched over each object's box.
        classes: The n classes.
        boxes: n x 4, x1, y1, x2, y2 in pixels of the picture; they may lead out of it.
        size: Height and width of the picture.
    """
    for mask, index, box in zip(found, classes, boxes, strict=True):
        if found.dtype.kind != "f":
            yield _laid(mask > 0, size)
        elif mask.ndim == 3:
            # With one mask for all classes, that is the one.
            yield _stretched(mask[index if index < len(mask) else 0], box, size)
        else:
            yield _stretched(mask, box, size)


def _laid(mask: Array, size: tuple[int, int]) -> Array:
    """The picture's part of a canvas."""
    height, width = size
    full = np.zeros(size, bool)
    part = mask[:height, :width]
    full[: part.shape[0], : part.shape[1]] = part
    return full


def _stretched(grid: Array, box: Array, size: tuple[int, int]) -> Array:
    """A grid of probabilities laid over a box, bilinear between its cells' middles, 0 outside."""
    height, width = size
    x1, y1, x2, y2 = (float(side) for side in box)
    left, right = _pixels(x1, x2, width)
    top, bottom = _pixels(y1, y2, height)
    down = _weights(np.arange(top, bottom), y1, y2, grid.shape[0])
    across = _weights(np.arange(left, right), x1, x2, grid.shape[1])
    full = np.zeros(size, bool)
    full[top:bottom, left:right] = down @ grid @ across.T >= INSIDE
    return full


def _pixels(first: float, last: float, size: int) -> tuple[int, int]:
    """The pixels from one edge of a box to the other that are in the picture."""
    return min(size, max(0, math.floor(first))), min(size, max(0, math.ceil(last)))


def _weights(pixels: Array, first: float, last: float, cells: int) -> Array:
    """How much of each cell of a grid from `first` to `last` is in each pixel: pixels x cells."""
    places = (pixels + 0.5 - first) / (last - first) * cells - 0.5
    weights = 1 - np.abs(places[:, np.newaxis] - np.arange(cells))
    clipped: Array = np.maximum(weights, 0).astype(np.float32)
    return clipped
