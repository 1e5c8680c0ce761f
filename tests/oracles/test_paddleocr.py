"""PaddleOCR's own operators, of its 2.10, beside ours: what the networks are fed and say.

Each of its modules is loaded by itself; the package as a whole imports what nothing here needs.
"""

from __future__ import annotations

import ast
import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.tasks.base import TaskOptions
from paddlesrv.tasks.probability_map import boxes_of_map
from paddlesrv.tasks.quads import crop, reading_rows
from paddlesrv.tasks.text_detection import TextDetection
from paddlesrv.tasks.text_orientation import TextOrientation
from paddlesrv.tasks.text_recognition import TextRecognition
from paddlesrv.zoo.catalogue import Catalogue
from tests import packages
from tests.oracles.pictures import pictures
from tests.oracles.test_reading import probability_map
from tests.unit.tasks.specs import orientation_spec, recognition_spec

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
CASES = 24


def module(path: str) -> ModuleType:
    """One module of the package."""
    root = packages.unpacked("paddleocr") / "paddleocr"
    spec = importlib.util.spec_from_file_location(f"paddleocr_{Path(path).stem}", root / path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of paddle, which it imports: there is no ccache
        spec.loader.exec_module(found)
    return found


def function(path: str, name: str) -> Callable[..., Any]:
    """One function, out of a module whose imports are of programs and fonts."""
    file = packages.unpacked("paddleocr") / "paddleocr" / path
    body = [
        node
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name == name
    ]
    names: dict[str, Any] = {"cv2": cv2, "np": np}
    exec(compile(ast.Module(body, []), str(file), "exec"), names)
    found: Callable[..., Any] = names[name]
    return found


def test_detectors_are_fed_the_same(tmp_path: Path) -> None:
    """But for pictures of fewer than 64 pixels in width and height together, which theirs pads
    with black and ours with their own edges.
    """
    theirs = module("ppocr/data/imaug/operators.py")
    steps = [
        theirs.DetResizeForTest(limit_side_len=960, limit_type="max"),
        theirs.NormalizeImage(1 / 255, MEAN, STD, "hwc"), theirs.ToCHWImage(),
    ]  # fmt: skip
    entry = Catalogue.load().get("ch_ppocr_mobile_v2.0_det")
    spec = ModelSpec(
        name="detector",
        task=entry.task,
        format="paddle-program",
        inputs=(TensorSpec(name="x", dtype="float32", shape=(-1, 3, -1, -1), role="image"),),
        outputs=(TensorSpec(name="y", dtype="float32", shape=(-1, 1, -1, -1), role="map"),),
        parameters=entry.parameters,
    )
    task = TextDetection(spec, tmp_path)
    compared = 0
    for picture in pictures():
        if min(picture.shape[:2]) < 32:
            continue
        data = {"image": picture}
        for step in steps:
            data = step(data)
        ours, _ = task.prepare(picture)
        np.testing.assert_allclose(ours["x"].data[0], data["image"], atol=1e-5, rtol=0)
        compared += 1
    assert compared >= 20


@pytest.mark.parametrize("seed", range(CASES))
def test_the_same_boxes_are_found(seed: int) -> None:
    """As of Paddle Serving: theirs are rounded to whole pixels, ours are not."""
    process = module("ppocr/postprocess/db_postprocess.py").DBPostProcess(0.3, 0.5, 1000, 1.5)
    probabilities = probability_map(seed)
    height, width = probabilities.shape
    shapes = np.array([[height, width, 1.0, 1.0]])
    (expected,) = process({"maps": probabilities[np.newaxis, np.newaxis]}, shapes)
    found, _ = boxes_of_map(
        probabilities, score_threshold=0.3, box_threshold=0.5, unclip_ratio=1.5,
        max_candidates=1000, min_side=3,
    )  # fmt: skip
    assert len(found) == len(expected["points"]) > 0
    for box in np.clip(found, 0, (width, height)):
        assert min(np.abs(np.array(other) - box).max() for other in expected["points"]) <= 2.5


def test_scores_say_the_same_text(tmp_path: Path) -> None:
    task = TextRecognition(recognition_spec(tmp_path, height=32, min_width=32), tmp_path)
    decode = module("ppocr/postprocess/rec_postprocess.py").CTCLabelDecode(
        str(tmp_path / task.spec.files["characters"]), use_space_char=True
    )
    random = np.random.default_rng(7)
    compared = 0
    for steps in range(1, 41):
        scores = random.random((steps, len(task.classes))) ** 8
        scores[random.random(steps) < 0.3, 0] = 2
        scores = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
        ours = task.post({task.output: Tensor(scores[np.newaxis])}, None, TaskOptions())
        ((text, score),) = decode(scores[np.newaxis])
        assert ours.text == text
        assert ours.score == pytest.approx(float(score), abs=1e-5)
        compared += bool(text)
    assert compared >= 20


def test_lines_are_turned_the_same(tmp_path: Path) -> None:
    task = TextOrientation(orientation_spec(), tmp_path)
    decide = module("ppocr/postprocess/cls_postprocess.py").ClsPostProcess(["0", "180"])
    random = np.random.default_rng(8)
    for scores in random.dirichlet([1, 1], CASES).astype(np.float32):
        ours = task.post({task.output: Tensor(scores[np.newaxis])}, None, TaskOptions())
        ((angle, score),) = decide(scores[np.newaxis])
        assert (str(ours.angle), ours.score) == (angle, pytest.approx(float(score)))


def _quads(seed: int) -> np.ndarray:
    """Boxes askew, wide and tall, inside a picture of 400 x 600, from top to bottom."""
    random = np.random.default_rng(seed)
    found = []
    for row in range(4):
        long, thick = float(random.integers(80, 200)), float(random.integers(20, 30))
        centre = (float(random.integers(150, 450)), 60.0 + 90 * row)
        angle = float(random.uniform(-3, 3))
        corners = cv2.boxPoints((centre, (long, thick), angle))
        order = np.argsort(np.arctan2(*(corners - corners.mean(axis=0)).T[::-1]))
        around = corners[order]
        found.append(np.roll(around, -int(np.argmin(around.sum(axis=1))), axis=0))
    return np.array(found, np.float32)


def _whole(side: np.ndarray) -> np.ndarray:
    """A side a hair longer than a whole number, on which cutting off and rounding agree."""
    length = float(np.linalg.norm(side))
    return side / length * (round(length) + 0.01)


@pytest.mark.parametrize("seed", range(CASES))
def test_lines_are_cut_out_the_same(seed: int) -> None:
    """Their sides are cut off to whole pixels, ours rounded: compared are boxes of whole sides."""
    cut_out = function("tools/infer/utility.py", "get_rotate_crop_image")
    random = np.random.default_rng(seed)
    picture = random.integers(0, 256, (400, 600, 3)).astype(np.uint8)
    picture = cv2.GaussianBlur(picture, (9, 9), 0)
    for quad in _quads(seed):
        across, down = (_whole(quad[place] - quad[0]) for place in (1, 3))
        whole = np.array([quad[0], quad[0] + across, quad[0] + across + down, quad[0] + down])
        whole = whole.astype(np.float32)
        np.testing.assert_array_equal(crop(picture, whole), cut_out(picture, whole.copy()))


@pytest.mark.parametrize("seed", range(CASES))
def test_lines_that_lie_straight_are_read_in_the_same_order(seed: int) -> None:
    quads = _quads(seed)
    order = np.random.default_rng(seed).permutation(len(quads))
    rows = reading_rows(quads[order], np.zeros(len(quads), bool))
    ours = [int(order[index]) for row in rows for index in row]
    theirs = function("tools/infer/predict_system.py", "sorted_boxes")(quads[order])
    for index, box in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(quads[index], box)
