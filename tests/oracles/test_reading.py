"""Lines, texts and boxes as Paddle Serving's own readers make them, beside ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from paddlesrv.models.tensor import Tensor
from paddlesrv.tasks.base import TaskOptions
from paddlesrv.tasks.probability_map import boxes_of_map
from paddlesrv.tasks.text_recognition import TextRecognition
from tests.oracles.pictures import pictures
from tests.oracles.serving_app import readers
from tests.unit.tasks.specs import recognition_spec

THRESHOLDS = {"thresh": 0.3, "box_thresh": 0.5, "max_candidates": 1000, "unclip_ratio": 1.5}
MAPS = 24


@pytest.fixture(scope="module")
def theirs() -> Iterator[dict[str, Any]]:
    """Paddle Serving's modules for pictures and for reading."""
    with readers("image_reader", "ocr_reader") as modules:
        yield modules


@pytest.fixture
def task(tmp_path: Path) -> TextRecognition:
    return TextRecognition(recognition_spec(tmp_path, height=32, min_width=32), tmp_path)


@pytest.fixture
def reader(theirs: dict[str, Any], task: TextRecognition) -> Any:
    path = task.root / task.spec.files["characters"]
    return theirs["ocr_reader"].OCRReader(char_dict_path=str(path))


def test_lines_are_fed_the_same(reader: Any, task: TextRecognition) -> None:
    """Of other heights they differ: ours shrinks by areas and enlarges by cubics, theirs linearly.

    Of other widths too: ours is padded to a step of 32 of its own, theirs to the longest beside it.
    """
    compared = 0
    for number, picture in enumerate(pictures()):
        line = cv2.resize(picture, (32 * (1 + number % 12), 32))
        ours = task.prepare(line)[task.input].data[0]
        np.testing.assert_allclose(ours, reader.preprocess([line]), atol=1e-5, rtol=0)
        compared += 1
    assert compared >= 20


def test_scores_say_the_same_text(reader: Any, task: TextRecognition) -> None:
    random = np.random.default_rng(3)
    compared = 0
    for steps in range(1, 41):
        # Sharp enough for repetitions and blanks to come.
        scores = random.random((steps, len(task.classes))) ** 8
        scores[random.random(steps) < 0.3, 0] = 2
        scores = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
        scores = np.repeat(scores, random.integers(1, 3, steps), axis=0)
        ours = task.post({task.output: Tensor(scores[np.newaxis])}, None, TaskOptions())
        ((text, score),) = reader.label_ops(scores[np.newaxis]) if ours.text else (("", 0.0),)
        assert ours.text == text
        assert ours.score == pytest.approx(score, abs=1e-5)
        compared += bool(ours.text)
    assert compared >= 20


def probability_map(seed: int) -> np.ndarray:
    """Blocks of text as a detector answers them: up to four, askew, soft at the edges."""
    random = np.random.default_rng(seed)
    canvas = np.zeros((320, 480), np.float32)
    for place in range(random.integers(1, 5)):
        centre = (float(random.integers(140, 340)), 50.0 + 70 * place)
        size = (float(random.integers(60, 240)), float(random.integers(10, 26)))
        corners = cv2.boxPoints((centre, size, float(random.uniform(-4, 4))))
        cv2.fillPoly(canvas, [np.round(corners).astype(np.int32)], 1.0)
    return cv2.GaussianBlur(canvas, (5, 5), 0)


@pytest.mark.parametrize("seed", range(MAPS))
def test_the_same_boxes_are_found(theirs: dict[str, Any], seed: int) -> None:
    """Theirs are cut off to whole pixels before they grow and rounded after it; ours never are.

    Besides, ours count from the outer corner of the first pixel, theirs from its middle.
    """
    probabilities = probability_map(seed)
    process = theirs["image_reader"].DBPostProcess(THRESHOLDS)
    (expected,) = process(probabilities[np.newaxis, np.newaxis], [(1.0, 1.0)])
    found, scores = boxes_of_map(
        probabilities, score_threshold=0.3, box_threshold=0.5, unclip_ratio=1.5,
        max_candidates=1000, min_side=3,
    )  # fmt: skip
    assert len(found) == len(expected) > 0
    assert (scores > 0.5).all()
    height, width = probabilities.shape
    for box in np.clip(found, 0, (width, height)):
        nearest = min(np.abs(np.array(other) - box).max() for other in expected)
        assert nearest <= 2.5
