"""A map of text probability -> boxes: the post-processing of differentiable binarisation (DB).

Minghui Liao et al., "Real-time Scene Text Detection with Differentiable Binarization" (2020),
section 3.6: binarise, take connected regions, grow each by D = area x ratio / perimeter, because
the network was taught on shrunken regions.
"""

from __future__ import annotations

import cv2
import numpy as np

from paddlesrv.models.tensor import Array
from paddlesrv.tasks.quads import clockwise

GROWN_MIN_SIDE_EXTRA = 2
"""A grown box must be larger than the smallest region by this many pixels of the map."""


def boxes_of_map(
    probabilities: Array,
    *,
    score_threshold: float,
    box_threshold: float,
    unclip_ratio: float,
    max_candidates: int,
    min_side: float,
) -> tuple[Array, Array]:
    """Boxes around text.

    Args:
        probabilities: height x width, float32.
        score_threshold: Pixels above it are text.
        box_threshold: Boxes whose pixels' mean is below it are dropped.
        unclip_ratio: How far a region is grown, as a share of area / perimeter.
        max_candidates: Regions looked at, at most.
        min_side: Regions with a side shorter than this many pixels of the map are dropped.

    Returns:
        n x 4 x 2 corners, clockwise from top left, in the map's pixels, where (0, 0) is the outer
        corner of the first pixel; and n scores.
    """
    mask = (probabilities > score_threshold).astype(np.uint8)
    contours = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)[0]
    boxes, scores = [], []
    for contour in contours[:max_candidates]:
        centre, (width, height), angle = cv2.minAreaRect(contour)
        if min(width, height) < min_side:
            continue
        score = mean_inside(probabilities, cv2.boxPoints((centre, (width, height), angle)))
        if score < box_threshold:
            continue
        grown = grow(width, height, unclip_ratio)
        if min(grown) < min_side + GROWN_MIN_SIDE_EXTRA:
            continue
        # Contours go through the middles of pixels.
        boxes.append(clockwise(cv2.boxPoints((centre, grown, angle)) + 0.5))
        scores.append(score)
    if not boxes:
        return np.zeros((0, 4, 2), np.float32), np.zeros(0, np.float32)
    return np.array(boxes, np.float32), np.array(scores, np.float32)


def grow(width: float, height: float, ratio: float) -> tuple[float, float]:
    """The sides of the smallest rectangle around a rectangle that is offset outwards.

    The outline offset by a distance d is the rectangle with rounded corners, and the rectangle of
    least area around that is the first one with 2 d added to each side; no polygon clipping is
    needed for it.
    """
    distance = width * height * ratio / (2 * (width + height))
    return width + 2 * distance, height + 2 * distance


def mean_inside(probabilities: Array, corners: Array) -> float:
    """The mean of the map over the pixels of a polygon."""
    limits = np.array(probabilities.shape[::-1]) - 1
    low = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, limits)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, limits)
    part = probabilities[low[1] : high[1] + 1, low[0] : high[0] + 1]
    inside = np.zeros(part.shape, np.uint8)
    cv2.fillPoly(inside, [np.round(corners - low).astype(np.int32)], (1.0,))
    return float(cv2.mean(np.ascontiguousarray(part), inside)[0])
