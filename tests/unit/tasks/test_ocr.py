"""The pipeline's joints: components, drawing. What it reads is tested with real networks."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from paddlesrv.errors import UsageError
from paddlesrv.models.spec import ModelSpec
from paddlesrv.tasks import make_task
from paddlesrv.tasks.base import Task
from paddlesrv.tasks.drawing import paint_text, text_picture
from paddlesrv.tasks.ocr import Ocr, OcrResult
from tests.unit.tasks.specs import detection_spec, orientation_spec, recognition_spec


@pytest.fixture
def components(tmp_path: Path) -> dict[str, Task]:
    specs = {
        "detection": detection_spec(),
        "orientation": orientation_spec(),
        "recognition": recognition_spec(tmp_path),
    }
    made = {role: make_task(spec, tmp_path) for role, spec in specs.items()}
    return {role: task for role, task in made.items() if task is not None}


def pipeline(**parameters: object) -> ModelSpec:
    return ModelSpec(name="reader", task="ocr", format="pipeline", parameters=parameters)


def test_a_pipeline_without_orientation_needs_no_such_component(
    components: dict[str, Task],
) -> None:
    del components["orientation"]
    task = make_task(pipeline(), Path(), components)
    assert isinstance(task, Ocr)
    assert task.orientation is None


@pytest.mark.parametrize("role", ["detection", "orientation", "recognition"])
def test_a_missing_component_is_named(components: dict[str, Task], role: str) -> None:
    del components[role]
    with pytest.raises(UsageError, match=f"as its {role}, and has nothing"):
        make_task(pipeline(orientation=True), Path(), components)


def test_a_component_of_another_task_is_refused(components: dict[str, Task]) -> None:
    components["recognition"] = components["detection"]
    with pytest.raises(UsageError, match="needs a text-recognition model as its recognition"):
        make_task(pipeline(), Path(), components)


def test_a_result_is_drawn_beside_the_picture(components: dict[str, Task]) -> None:
    task = make_task(pipeline(), Path(), components)
    assert task is not None
    image = np.full((80, 200, 3), 230, np.uint8)
    box = [[20, 20], [180, 20], [180, 60], [20, 60]]
    result = msgspec.convert(
        {"text": "abc", "lines": [{"text": "abc", "score": 0.9, "box": box}]}, OcrResult
    )
    painted = task.draw(image, result)
    assert painted is not None
    assert painted.shape == (80, 400, 3)
    assert (image == 230).all()
    assert painted[25:55, 225:375].min() < 100  # the text, on the right


@pytest.mark.parametrize("text", ["Latin", "中文", "\U0010fffd unknown", "", " "])
def test_any_text_can_be_drawn_in_any_box(text: str) -> None:
    image = np.full((60, 60, 3), 255, np.uint8)
    boxes = [
        [(0, 0), (60, 0), (60, 60), (0, 60)],
        [(5, 5), (15, 5), (15, 55), (5, 55)],
        [(7, 7), (7, 7), (7, 7), (7, 7)],
        [(30, 5), (55, 30), (50, 35), (25, 10)],
    ]
    assert paint_text(image, [(text, box) for box in boxes]).shape == (60, 120, 3)


def test_nothing_found_leaves_the_picture_and_an_empty_sheet() -> None:
    image = np.full((10, 20, 3), 7, np.uint8)
    painted = paint_text(image, [])
    assert (painted[:, :20] == 7).all()
    assert (painted[:, 20:] == 255).all()


def test_text_fits_its_picture() -> None:
    for width, height in ((300, 40), (40, 40), (300, 10)):
        drawn = text_picture("A rather long line", width, height)
        assert drawn.shape == (height, width, 3)
        assert drawn.min() < 200
        assert drawn[:, 0].min() > 200
        assert drawn[:, -1].min() > 200
