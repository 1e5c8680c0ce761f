"""Corners, crops and reading order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.models.tensor import Array
from paddlesrv.tasks.quads import clockwise, crop, is_tall, reading_rows, size


def box(x: float, y: float, width: float, height: float, degrees: float = 0) -> Array:
    """A rectangle by its centre, turned clockwise as seen."""
    turn = math.radians(degrees)
    across = np.array([math.cos(turn), math.sin(turn)]) * width / 2
    down = np.array([-math.sin(turn), math.cos(turn)]) * height / 2
    centre = np.array([x, y])
    return np.array(
        [
            centre - across - down,
            centre + across - down,
            centre + across + down,
            centre - across + down,
        ]
    )


rectangles = st.builds(
    box,
    st.floats(-500, 500),
    st.floats(-500, 500),
    st.floats(1, 400),
    st.floats(1, 400),
    st.floats(-180, 180),
)


@given(rectangles, st.permutations(range(4)))
def test_corners_come_out_clockwise_from_top_left_in_whatever_order_they_go_in(
    rectangle: Array, order: list[int]
) -> None:
    ordered = clockwise(rectangle[order])
    assert {tuple(point) for point in ordered} == {tuple(point) for point in rectangle}
    following = np.roll(ordered, -1, axis=0)
    area = float((ordered[:, 0] * following[:, 1] - following[:, 0] * ordered[:, 1]).sum()) / 2
    assert area > 0  # positive is clockwise where y points down
    sums = ordered.sum(axis=1)
    assert sums[0] == sums.min()


def test_an_upright_box_begins_top_left() -> None:
    upright = box(50, 20, 80, 30)
    assert clockwise(upright[[2, 0, 3, 1]]).tolist() == upright.tolist()


@given(rectangles)
def test_size_is_width_and_height_of_the_ordered_box(rectangle: Array) -> None:
    ordered = clockwise(rectangle)
    assert size(ordered)[0] == pytest.approx(np.linalg.norm(ordered[1] - ordered[0]), rel=1e-6)
    assert size(ordered)[1] == pytest.approx(np.linalg.norm(ordered[3] - ordered[0]), rel=1e-6)


def test_a_crop_holds_what_the_box_held() -> None:
    image = np.zeros((60, 100, 3), np.uint8)
    image[20:40, 30:80] = (10, 120, 240)
    cut = crop(image, np.array([[30, 20], [80, 20], [80, 40], [30, 40]], np.float32))
    assert cut.shape == (20, 50, 3)
    assert (np.abs(cut.astype(int) - (10, 120, 240)) <= 1).all()


def test_a_tall_crop_is_turned_to_the_left() -> None:
    image = np.zeros((100, 60, 3), np.uint8)
    image[:50] = 255  # the upper half comes to lie on the left
    tall = np.array([[20, 10], [40, 10], [40, 90], [20, 90]], np.float32)
    assert is_tall(tall)
    cut = crop(image, tall)
    assert cut.shape == (20, 80, 3)
    assert cut[:, :35].min() == 255
    assert cut[:, 45:].max() == 0


def test_a_box_without_extent_gives_a_picture_of_one_pixel() -> None:
    assert crop(np.zeros((5, 5, 3), np.uint8), np.full((4, 2), 2, np.float32)).shape == (1, 1, 3)


def page(degrees: float) -> Array:
    """Three rows of two columns, written in reading order, the page turned by an angle."""
    turn = math.radians(degrees)
    matrix = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    rows = [box(x, y, 180, 24) for y in (0, 50, 100) for x in (0, 400)]
    return np.array(rows) @ matrix


@pytest.mark.parametrize("degrees", [0, 5, -5, 12, -12, 30])
def test_rows_of_a_page_askew_are_kept_together(degrees: float) -> None:
    quads = np.array([clockwise(quad) for quad in page(degrees)])
    assert reading_rows(quads, np.zeros(6, bool)) == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize(
    ("degrees", "flipped"), [(90, False), (180, True), (-90, True), (175, True), (87, False)]
)
def test_a_page_on_its_side_or_upside_down_is_read_as_if_it_lay_straight(
    degrees: float, flipped: bool
) -> None:
    quads = np.array([clockwise(quad) for quad in page(degrees)])
    assert reading_rows(quads, np.full(6, flipped)) == [[0, 1], [2, 3], [4, 5]]


@given(st.lists(st.tuples(rectangles, st.booleans()), max_size=12))
def test_reading_order_has_every_box_exactly_once(boxes: list[tuple[Array, bool]]) -> None:
    quads = np.array([clockwise(quad) for quad, _ in boxes]).reshape(-1, 4, 2)
    rows = reading_rows(quads, np.array([turned for _, turned in boxes], bool))
    assert sorted(index for row in rows for index in row) == list(range(len(boxes)))
    assert all(rows)


@given(
    st.lists(rectangles, min_size=1, max_size=8, unique_by=lambda quad: tuple(quad.mean(axis=0)))
)
def test_reading_order_does_not_depend_on_where_the_page_lies(boxes: list[Array]) -> None:
    quads = np.array([clockwise(np.round(quad)) for quad in boxes])
    flipped = np.zeros(len(quads), bool)
    assert reading_rows(quads, flipped) == reading_rows(quads + np.array([1024, 2048]), flipped)


def test_a_large_heading_does_not_swallow_the_small_lines_beside_it() -> None:
    quads = np.array([box(100, 50, 200, 80), box(400, 30, 150, 20), box(400, 70, 150, 20)])
    rows = reading_rows(quads, np.zeros(3, bool))
    order = [index for row in rows for index in row]
    assert order.index(1) < order.index(2)
    assert not any({1, 2} <= set(row) for row in rows)
