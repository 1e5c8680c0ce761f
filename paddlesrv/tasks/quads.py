"""Boxes of four corners: their order, their size, cutting them out, the order to read them in.

A quad is 4 x 2 float, (x, y) in pixels, y downwards, clockwise from its top left corner.
"""

from __future__ import annotations

import cv2
import numpy as np

from paddlesrv.models.tensor import Array

TALL = 1.5
"""A box this many times higher than wide is a line of text on its side."""

ROW_OVERLAP = 0.5
"""Two boxes share a row if their centres are nearer than this share of the lower one's height."""


def clockwise(points: Array) -> Array:
    """Corners in clockwise order as seen, beginning with the one at the top left.

    The top left corner is the one with the smallest x + y, of equals the higher one: for a long
    box that is turned by more than 45 degrees it begins one of the short sides, so that the box
    counts as tall.

    Args:
        points: 4 x 2, the corners of a convex shape, in any order.
    """
    centre = points.mean(axis=0)
    offset = points - centre
    around = points[np.argsort(np.arctan2(offset[:, 1], offset[:, 0]), kind="stable")]
    first = np.lexsort((around[:, 1], around.sum(axis=1)))[0]
    return np.roll(around, -first, axis=0)


def size(quad: Array) -> tuple[float, float]:
    """Width and height: the longer of each two opposite sides."""
    top, right, bottom, left = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    return float(max(top, bottom)), float(max(left, right))


def is_tall(quad: Array) -> bool:
    """Whether the box holds a line of text on its side."""
    width, height = size(quad)
    return height >= TALL * max(width, 1.0)


def crop(image: Array, quad: Array) -> Array:
    """The content of a box as an upright picture, tall ones turned a quarter to the left."""
    width, height = (max(1, round(side)) for side in size(quad))
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    transform = cv2.getPerspectiveTransform(quad.astype(np.float32), target)
    cut = cv2.warpPerspective(
        image, transform, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.ascontiguousarray(np.rot90(cut)) if is_tall(quad) else cut


def reading_rows(quads: Array, flipped: Array) -> list[list[int]]:
    """Boxes in reading order: rows from the first to the last, each in the direction of reading.

    The page's own direction is found first, as the mean of the directions in which its lines run,
    weighted by their length: so rows of a page that lies askew, on its side or upside down come
    out as if it lay straight.

    Args:
        quads: n x 4 x 2.
        flipped: n bool, whether the text of a box is upside down in its crop.

    Returns:
        Indices of `quads`, each exactly once.
    """
    if len(quads) == 0:
        return []
    directions = np.array([_direction(quad) for quad in quads])
    directions[flipped] *= -1
    page = directions.sum(axis=0)
    length = float(np.linalg.norm(page))
    along = page / length if length > 1e-6 else np.array([1.0, 0.0])
    down = np.array([-along[1], along[0]])

    centres = quads.mean(axis=1)
    across = centres @ down
    thickness = np.ptp(quads @ down, axis=1)
    # A line askew to the page must not count as thick as its bounding box.
    thickness = np.minimum(thickness, np.array([min(size(quad)) for quad in quads]))

    rows: list[list[int]] = []
    for index in np.argsort(across, kind="stable").tolist():
        if rows and _shares_row(index, rows[-1], across, thickness):
            rows[-1].append(index)
        else:
            rows.append([index])
    position = centres @ along
    return [sorted(row, key=lambda index: (position[index], index)) for row in rows]


def _direction(quad: Array) -> Array:
    """The vector along which a box's text runs, as long as the box."""
    top_left, top_right, bottom_right, bottom_left = quad
    if is_tall(quad):
        vector: Array = (bottom_left - top_left + bottom_right - top_right) / 2
    else:
        vector = (top_right - top_left + bottom_right - bottom_left) / 2
    return vector.astype(np.float64)


def _shares_row(index: int, row: list[int], across: Array, thickness: Array) -> bool:
    distance = across[index] - float(np.mean(across[row]))
    lower = min(thickness[index], float(np.mean(thickness[row])))
    return bool(distance < ROW_OVERLAP * lower)
