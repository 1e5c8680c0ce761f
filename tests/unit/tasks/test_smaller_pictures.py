"""JPEGs decoded smaller than they are: when, how much, and what that does to a network's input."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from paddlesrv.errors import InvalidInput
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Array
from paddlesrv.tasks import make_task
from paddlesrv.tasks.base import TaskInput, TaskOptions
from paddlesrv.tasks.images import REDUCED_MARGIN, decode, decode_for
from paddlesrv.zoo.catalogue import Catalogue

MODELS = (
    "ResNet50_vd",
    "yolov3_darknet53_270e_coco",
    "faster_rcnn_r50_fpn_1x_coco",
    "deeplabv3",
    "PP-OCRv4_mobile_det",
)


@cache
def scene(height: int, width: int) -> Array:
    """Soft shapes and thin rings."""
    random = np.random.default_rng(height * width)
    cells = random.integers(0, 256, (height // 50 + 2, width // 50 + 2, 3), np.uint8)
    picture = cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(12):
        middle = int(random.integers(width)), int(random.integers(height))
        cv2.circle(picture, middle, max(4, height // 12), (20, 200, 90), max(1, height // 200))
    return picture


def jpeg(pixels: Array, orientation: int | None = None, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.fromarray(pixels[:, :, ::-1].copy()).convert(mode).save(
        file, "JPEG", quality=95, exif=exif
    )
    return file.getvalue()


def task_of(name: str) -> Any:
    entry = Catalogue.load().get(name)
    spec = ModelSpec(
        name=name,
        task=entry.task,
        format="onnx",
        inputs=(TensorSpec(name="x", dtype="float32", shape=(-1, 3, -1, -1), role="image"),),
        outputs=(TensorSpec(name="y", dtype="float32", shape=(-1, 6)),),
        parameters=entry.parameters,
    )
    return make_task(spec, Path())


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(1, 300), st.integers(1, 300))
def test_a_smaller_picture_is_never_too_small_for_its_network(
    height: int, width: int, down: int, across: int
) -> None:
    picture = decode_for(jpeg(np.full((height, width, 3), 90, np.uint8)), lambda *_: (down, across))
    assert picture.size == (height, width)
    factors = [side / own for side, own in zip(picture.size, picture.pixels.shape, strict=False)]
    if picture.pixels.shape[:2] != (height, width):
        for side, network in zip(picture.pixels.shape, (down, across), strict=False):
            # A last half-empty row may have been left out.
            assert side >= network * REDUCED_MARGIN - 0.5
        assert max(factors) <= 8 * 2
        assert abs(factors[0] * picture.pixels.shape[0] - height) < 1e-6


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_shows_the_whole_picture_upright(factor: int, orientation: int) -> None:
    # Without the rings: what is left of half a pixel at the last edge is no matter of orientation.
    data = jpeg(cv2.blur(scene(401, 603), (15, 15)), orientation)
    whole = decode(data)
    height, width = whole.shape[:2]
    least = REDUCED_MARGIN * factor
    picture = decode_for(data, lambda high, wide: (high // least, wide // least))
    assert picture.size == (height, width)
    own = picture.pixels.shape
    assert own == (round(height / factor), round(width / factor), 3)
    shrunk = cv2.resize(whole, (own[1], own[0]), interpolation=cv2.INTER_AREA)
    assert np.abs(picture.pixels.astype(int) - shrunk).mean() < 6  # turned wrongly: 60


def test_the_sizes_that_a_network_is_asked_for_are_upright() -> None:
    asked = []

    def resized(height: int, width: int) -> tuple[int, int]:
        asked.append((height, width))
        return height, width

    decode_for(jpeg(scene(60, 90), 6), resized)
    assert asked == [(90, 60)]


def test_where_nothing_is_left_out_the_pixels_are_those_of_the_whole() -> None:
    data = jpeg(scene(400, 600))
    picture = decode_for(data, lambda *_: (101, 151))  # twice that would be too small
    assert np.array_equal(picture.pixels, decode(data))


def test_grey_ones_are_decoded_smaller_too() -> None:
    data = jpeg(scene(400, 600), mode="L")
    picture = decode_for(data, lambda *_: (50, 50))
    assert picture.pixels.shape == (100, 150, 3)
    shrunk = cv2.resize(decode(data), (150, 100), interpolation=cv2.INTER_AREA)
    assert np.abs(picture.pixels.astype(int) - shrunk).mean() < 3


def test_other_formats_have_all_their_pixels() -> None:
    file = io.BytesIO()
    Image.fromarray(scene(400, 600)).save(file, "PNG")
    assert decode_for(file.getvalue(), lambda *_: (10, 10)).pixels.shape == (400, 600, 3)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_one_that_was_cut_off_is_refused_as_ever(share: float) -> None:
    data = jpeg(scene(400, 600))
    with pytest.raises(InvalidInput, match="damaged or cut off"):
        decode_for(data[: int(len(data) * share)], lambda *_: (10, 10))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("size", [(90, 120), (601, 402)])
def test_a_picture_that_a_network_sees_whole_is_fed_as_before(
    model: str, size: tuple[int, int]
) -> None:
    task, data = task_of(model), jpeg(scene(*size))
    fed, state = task.pre(TaskInput("image", data), TaskOptions())
    expected = task.prepare(decode(data))
    expected, whole = expected if isinstance(expected, tuple) else (expected, None)
    assert np.array_equal(fed["x"].data, expected["x"].data)
    assert state == whole


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("size", [(3000, 4000), (3601, 2703)])
def test_decoded_smaller_a_network_is_fed_no_more_than_a_pixels_shift_away(
    model: str, size: tuple[int, int]
) -> None:
    task, pixels = task_of(model), scene(*size)
    data = jpeg(pixels)
    fed, state = task.pre(TaskInput("image", data), TaskOptions())
    whole = decode(data)
    expected = task.prepare(whole)
    expected, told = expected if isinstance(expected, tuple) else (expected, None)
    assert state == told, "boxes and masks are in pixels of the picture that was sent"
    shifted = task.prepare(cv2.copyMakeBorder(whole[1:, 1:], 0, 1, 0, 1, cv2.BORDER_REPLICATE))
    shifted = shifted[0] if isinstance(shifted, tuple) else shifted
    away = np.abs(fed["x"].data - expected["x"].data).mean()
    assert away <= np.abs(shifted["x"].data - expected["x"].data).mean()
    assert away < 0.05 * expected["x"].data.std()


def test_opencv_starts_no_threads_beside_those_that_prepare_pictures() -> None:
    assert cv2.getNumThreads() == 1
