"""Boxes from maps of text probability."""

from __future__ import annotations

import cv2
import numpy as np
import pyclipper
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.models.tensor import Array
from paddlesrv.tasks.probability_map import boxes_of_map, grow, mean_inside
from paddlesrv.tasks.quads import size

USUAL = {
    "score_threshold": 0.3,
    "box_threshold": 0.6,
    "unclip_ratio": 1.5,
    "max_candidates": 1000,
    "min_side": 3.0,
}


def blank(height: int = 96, width: int = 160) -> Array:
    return np.zeros((height, width), np.float32)


def test_a_blank_map_has_no_boxes() -> None:
    boxes, scores = boxes_of_map(blank(), **USUAL)
    assert boxes.shape == (0, 4, 2)
    assert scores.shape == (0,)


def test_a_region_becomes_one_box_grown_on_all_sides() -> None:
    probabilities = blank()
    probabilities[40:56, 30:110] = 0.9
    boxes, scores = boxes_of_map(probabilities, **USUAL)
    assert len(boxes) == 1
    assert scores[0] == pytest.approx(0.9)
    (left, top), _, (right, bottom), _ = boxes[0].tolist()
    # Contours run through the middles of pixels: the region is 79 x 15.
    grown = 79 * 15 * 1.5 / (2 * (79 + 15))
    assert (left, top) == (
        pytest.approx(30.5 - grown, abs=0.1),
        pytest.approx(40.5 - grown, abs=0.1),
    )
    assert (right, bottom) == (
        pytest.approx(109.5 + grown, abs=0.1),
        pytest.approx(55.5 + grown, abs=0.1),
    )


@pytest.mark.parametrize("degrees", [-40, -10, 10, 25, 40, 60, 90])
def test_a_turned_region_keeps_its_sides(degrees: float) -> None:
    probabilities = blank(400, 400)
    corners = cv2.boxPoints(((200, 200), (200, 30), degrees))
    cv2.fillPoly(probabilities, [np.round(corners).astype(np.int32)], (0.95,))
    boxes, _ = boxes_of_map(probabilities, **USUAL)
    assert len(boxes) == 1
    assert sorted(size(boxes[0])) == pytest.approx(sorted(grow(200, 30, 1.5)), abs=4)
    assert boxes[0].mean(axis=0) == pytest.approx([200.5, 200.5], abs=1.5)


def test_specks_and_faint_regions_are_dropped() -> None:
    probabilities = blank()
    probabilities[10:12, 10:12] = 0.99  # smaller than min_side
    probabilities[40:60, 20:80] = 0.5  # text by its pixels, not by their mean
    assert len(boxes_of_map(probabilities, **USUAL)[0]) == 0
    assert len(boxes_of_map(probabilities, **{**USUAL, "box_threshold": 0.4})[0]) == 1


def test_no_more_candidates_than_the_limit() -> None:
    probabilities = blank(200, 200)
    for row in range(0, 200, 25):
        probabilities[row : row + 10, 20:120] = 0.9
    assert len(boxes_of_map(probabilities, **USUAL)[0]) == 8
    assert len(boxes_of_map(probabilities, **{**USUAL, "max_candidates": 3})[0]) == 3


def test_the_mean_counts_only_pixels_of_the_polygon() -> None:
    probabilities = np.full((20, 20), 0.2, np.float32)
    probabilities[5:10, 5:15] = 1.0
    inside = np.array([[5, 5], [14, 5], [14, 9], [5, 9]], np.float32)
    assert mean_inside(probabilities, inside) == pytest.approx(1.0)


def test_a_polygon_over_the_edge_counts_what_is_on_the_map() -> None:
    over = np.array([[-5, -5], [30, -5], [30, 30], [-5, 30]], np.float32)
    assert mean_inside(np.full((20, 20), 0.7, np.float32), over) == pytest.approx(0.7)


@given(
    st.floats(10, 500),
    st.floats(10, 200),
    st.floats(0.5, 3),
)
def test_growing_is_what_offsetting_the_polygon_gives(
    width: float, height: float, ratio: float
) -> None:
    # The paper's way: offset with round joins, then the smallest rectangle. Scaled up, because
    # the clipper works in whole numbers.
    scale = 64
    corners = [(0, 0), (width * scale, 0), (width * scale, height * scale), (0, height * scale)]
    offset = pyclipper.PyclipperOffset()
    offset.ArcTolerance = 0.5
    offset.AddPath(
        [(round(x), round(y)) for x, y in corners], pyclipper.JT_ROUND, pyclipper.ET_CLOSEDPOLYGON
    )
    distance = width * height * ratio / (2 * (width + height))
    (outline,) = offset.Execute(distance * scale)
    found = cv2.minAreaRect(np.array(outline, np.float32))[1]
    expected = sorted(side * scale for side in grow(width, height, ratio))
    assert sorted(found) == pytest.approx(expected, rel=0.01)
