"""What the tasks answer with real networks."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from paddlesrv.predict import LoadedModel, make_tasks, predict_in_process
from paddlesrv.tasks.base import TaskInput
from paddlesrv.tasks.images import decode, encode_png
from paddlesrv.tasks.lexical_analysis import Words
from paddlesrv.tasks.ocr import OcrResult
from paddlesrv.tasks.text_detection import TextBoxes
from paddlesrv.tasks.text_orientation import Orientation
from paddlesrv.tasks.text_recognition import RecognisedText

pytestmark = pytest.mark.models

HERE = Path(__file__).parent
ORACLE = HERE.parent / "data" / "lac_oracle.jsonl"
HELLO = HERE.parent.parent / "docs" / "images" / "hello.png"
DETECTION = "PP-OCRv4_mobile_det"
RECOGNITION = "PP-OCRv4_mobile_rec"
ORIENTATION = "ch_ppocr_mobile_v2.0_cls"

Loaded = dict[str, LoadedModel]


def test_words_and_tags_are_those_of_the_package_lac(loaded_models: Loaded) -> None:
    with ORACLE.open(encoding="utf-8") as lines:
        truth = [json.loads(line) for line in lines]
    assert len(truth) >= 200

    results = predict_in_process(
        loaded_models, "LAC_2.1", [TaskInput("text", entry["text"]) for entry in truth]
    )

    for entry, result in zip(truth, results, strict=True):
        assert result == Words(entry["words"], entry["tags"]), entry["text"]


def test_examples_of_all_tasks_are_answered(loaded_models: Loaded) -> None:
    for name, task in make_tasks(loaded_models).items():
        (result,) = predict_in_process(loaded_models, name, [task.example()])
        if isinstance(result, OcrResult | RecognisedText):
            assert result.text.replace(" ", "").startswith("Hello"), name
        elif isinstance(result, TextBoxes):
            assert len(result.boxes) in (1, 2), name
        elif isinstance(result, Orientation):
            assert result.angle == 0
        else:
            assert isinstance(result, Words)
            assert "".join(result.words) == task.example().data
            assert result.tags[0] == "TIME"
            assert result.tags[-1] == "w"


def test_the_picture_of_the_readme_is_read_in_reading_order(loaded_models: Loaded) -> None:
    (result,) = predict_in_process(loaded_models, "ocr", [TaskInput("image", HELLO.read_bytes())])
    assert isinstance(result, OcrResult)
    rows = result.text.split("\n")
    assert rows[0].replace(" ", "") == "HelloPaddle"
    assert rows[1] == "你好，飞桨"
    assert [row.split(" ")[0] for row in rows[2:5]] == ["Jasmine", "Flat", "Sesame"]
    assert [row[-2:] for row in rows[2:5]] == ["18", "26", "32"]
    assert len(result.lines) == 12


def test_a_line_upside_down_is_seen_and_read(loaded_models: Loaded) -> None:
    task = make_tasks(loaded_models)[RECOGNITION]
    assert isinstance(task.example().data, bytes)
    line = decode(task.example().data)
    turned = TaskInput("image", encode_png(cv2.rotate(line, cv2.ROTATE_180)))
    (upright,) = predict_in_process(loaded_models, ORIENTATION, [task.example()])
    (upside_down,) = predict_in_process(loaded_models, ORIENTATION, [turned])
    assert isinstance(upright, Orientation)
    assert isinstance(upside_down, Orientation)
    assert (upright.angle, upside_down.angle) == (0, 180)


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 3000), (3000, 1), (2, 2), (31, 33), (5000, 40)]
)
def test_odd_sizes_of_blank_pictures_hold_no_text(
    loaded_models: Loaded, height: int, width: int
) -> None:
    blank = encode_png(np.full((height, width, 3), 255, np.uint8))
    (result,) = predict_in_process(loaded_models, "ocr", [TaskInput("image", blank)])
    assert result == OcrResult("", [])


def test_boxes_lie_inside_the_sent_picture_whatever_its_size(loaded_models: Loaded) -> None:
    hello = decode(HELLO.read_bytes())
    for scale in (0.4, 1.0, 2.5):
        picture = cv2.resize(hello, None, fx=scale, fy=scale)
        height, width = picture.shape[:2]
        item = TaskInput("image", encode_png(picture))
        (result,) = predict_in_process(loaded_models, DETECTION, [item])
        assert isinstance(result, TextBoxes)
        corners = np.array([box.box for box in result.boxes])
        assert len(corners) >= 10
        assert corners.min() >= 0
        assert (corners.max(axis=(0, 1)) <= (width, height)).all()
        # The title begins in the upper left quarter at every size.
        assert corners[0][0][0] < width / 2
        assert corners[0][0][1] < height / 4


def test_what_a_picture_is_sent_with_does_not_change_its_answer(loaded_models: Loaded) -> None:
    pictures = sorted((HERE.parent / "data" / "ocr").glob("s*.png"))
    items = [TaskInput("image", path.read_bytes()) for path in pictures]
    together = predict_in_process(loaded_models, "ocr", items)
    alone = [predict_in_process(loaded_models, "ocr", [item])[0] for item in items]
    assert together == alone
