"""Boxes out of networks that leave the last steps to whoever runs them: decoding, and NMS.

Boxes are [x1, y1, x2, y2] in pixels as fed; rows are [class, score, x1, y1, x2, y2], best first,
what NMS inside of a network answers as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np

from paddlesrv.models.tensor import Array

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=1, le=10_000)]

ROW = 6


class DistancesPerCell(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind",
    tag="distances",
):  # fmt: skip
    """PicoDet and others with a generalised focal loss (Li et al. 2020, arXiv 2006.04388).

    Per stride one output of scores (cells x classes) and one of distances (cells x 4 times bins):
    how far a box reaches left, up, right and down of its cell's middle, as a distribution over
    0, 1, 2 ... strides. Cells go row by row.
    """

    strides: tuple[Annotated[int, msgspec.Meta(ge=1, le=1024)], ...]
    score_threshold: Share = 0.025
    nms_threshold: Share = 0.6
    candidates: Count = 1000
    """The best cells of each stride, and the best boxes of each class, that are looked at."""
    keep: Count = 100


class ReadyBoxes(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind",
    tag="boxes",
):  # fmt: skip
    """Boxes that need only NMS: y1, x1, y2, x2 as shares of the fed height and width; one class.

    One output of boxes (n x 4), one of scores (n).
    """

    score_threshold: Share = 0.025
    nms_threshold: Share = 0.5
    candidates: Count = 1000
    keep: Count = 100


Decoding = DistancesPerCell | ReadyBoxes


def decode_distances(
    scores: Sequence[Array], distances: Sequence[Array], fed: tuple[int, int], how: DistancesPerCell
) -> Array:
    """Rows out of the outputs of all strides.

    Args:
        scores: Per stride: cells x classes.
        distances: Per stride: cells x (4 times bins).
        fed: Height and width of what was fed.
        how: Strides and limits.

    Raises:
        ValueError: an output has not the cells that its stride makes of what was fed.
    """
    found_boxes, found_scores = [], []
    for stride, own_scores, own in zip(how.strides, scores, distances, strict=True):
        rows, columns = -(-fed[0] // stride), -(-fed[1] // stride)
        if not len(own_scores) == len(own) == rows * columns:
            raise ValueError(
                f"stride {stride} makes {rows * columns} cells, and there are "
                f"{len(own_scores)} scores and {len(own)} distances"
            )
        best = own_scores.max(axis=1)
        kept = _best(best, how.score_threshold, how.candidates)
        middles = np.stack([kept % columns, kept // columns], axis=1).astype(np.float32)
        middles = (middles + np.float32(0.5)) * stride
        reach = expected_bin(own[kept].reshape(len(kept), 4, own.shape[1] // 4)) * stride
        found_boxes.append(np.concatenate([middles - reach[:, :2], middles + reach[:, 2:]], axis=1))
        found_scores.append(own_scores[kept])
    return suppress(np.concatenate(found_boxes), np.concatenate(found_scores), how)


def decode_boxes(boxes: Array, scores: Array, fed: tuple[int, int], how: ReadyBoxes) -> Array:
    """Rows out of boxes (n x 4; y1, x1, y2, x2 as shares of what was fed) and their n scores."""
    height, width = fed
    pixels = boxes[:, [1, 0, 3, 2]] * np.array([width, height, width, height], np.float32)
    return suppress(pixels, scores.reshape(-1, 1), how)


def expected_bin(logits: Array) -> Array:
    """The mean of the distribution over 0, 1, 2 ... that the last dimension holds as logits."""
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True, initial=-np.inf))
    weights /= weights.sum(axis=-1, keepdims=True)
    means: Array = weights @ np.arange(logits.shape[-1], dtype=np.float32)
    return means


def suppress(boxes: Array, scores: Array, how: Decoding) -> Array:
    """NMS class by class: rows [class, score, x1, y1, x2, y2], best first.

    Args:
        boxes: n x 4.
        scores: n x classes.
        how: Limits.
    """
    rows = [np.empty((0, ROW), np.float32)]
    for index in range(scores.shape[1]):
        own = scores[:, index]
        order = _best(own, how.score_threshold, how.candidates)
        kept = order[nms(boxes[order], how.nms_threshold)]
        row = np.empty((len(kept), ROW), np.float32)
        row[:, 0], row[:, 1], row[:, 2:] = index, own[kept], boxes[kept]
        rows.append(row)
    found = np.concatenate(rows)
    return found[np.argsort(-found[:, 1], kind="stable")[: how.keep]]


def nms(boxes: Array, threshold: float) -> Array:
    """Places of the boxes that no better one covers by more than `threshold` (IoU).

    Args:
        boxes: n x 4, best first.
        threshold: Intersection over union, 0 to 1.
    """
    x1, y1, x2, y2 = boxes.T.astype(np.float32)
    areas = np.maximum(x2 - x1, 0) * np.maximum(y2 - y1, 0)
    left = np.arange(len(boxes))
    kept = []
    while left.size:
        best, left = left[0], left[1:]
        kept.append(best)
        across = np.minimum(x2[best], x2[left]) - np.maximum(x1[best], x1[left])
        down = np.minimum(y2[best], y2[left]) - np.maximum(y1[best], y1[left])
        common = np.maximum(across, 0) * np.maximum(down, 0)
        union = areas[best] + areas[left] - common
        left = left[common <= threshold * union]
    return np.array(kept, np.int64)


def _best(scores: Array, threshold: float, count: int) -> Array:
    """Places of the scores above the threshold, best first, at most `count`."""
    order = np.argsort(-scores, kind="stable")[:count]
    return order[scores[order] > threshold]
