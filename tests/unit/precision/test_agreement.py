"""How far two answers agree, by the measure of each task."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.precision.agreement import MEASURES, RAW, agreement, cosine
from paddlesrv.tasks import TASKS
from paddlesrv.tasks.image_classification import Classes, ScoredClass
from paddlesrv.tasks.object_detection import DetectedObject, DetectedObjects
from paddlesrv.tasks.ocr import OcrLine, OcrResult
from paddlesrv.tasks.text_detection import TextBox, TextBoxes

SQUARE = ((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0))

corners = st.tuples(
    st.floats(0, 50, width=32), st.floats(0, 50, width=32), st.floats(1, 50, width=32),
    st.floats(1, 50, width=32),
)  # fmt: skip
objects = st.builds(
    lambda index, score, c: DetectedObject(
        str(index), index, score, (c[0], c[1], c[0] + c[2], c[1] + c[3])
    ),
    st.integers(0, 2),
    st.floats(0, 1),
    corners,
)
detections = st.builds(DetectedObjects, st.lists(objects, max_size=6))


def of(task: str, one, other) -> float | None:
    return MEASURES[task].compare(one, other)


def classes(*indices: int) -> Classes:
    return Classes([ScoredClass(str(i), i, 1 / (n + 2)) for n, i in enumerate(indices)])


def lines(*texts: str) -> OcrResult:
    return OcrResult("\n".join(texts), [OcrLine(text, 0.9, SQUARE) for text in texts])


def test_every_task_has_a_measure():
    assert set(MEASURES) == set(TASKS)
    assert all(0.5 < measure.threshold <= 1 for measure in (*MEASURES.values(), RAW))


@given(detections, detections)
def test_boxes_agree_wholly_with_themselves_and_alike_both_ways(one, other):
    there = any(box.score >= 0.5 for box in one.boxes)
    same = of("object-detection", one, one)
    assert same == pytest.approx(1.0, abs=1e-4) if there else same is None
    value = of("object-detection", one, other)
    assert value == pytest.approx(of("object-detection", other, one))
    assert value is None or -1e-6 <= value <= 1 + 1e-4


def test_a_box_of_another_class_or_that_is_missing_is_no_agreement():
    box = (0.0, 0.0, 10.0, 10.0)
    cat, dog = (DetectedObjects([DetectedObject(n, i, 0.9, box)]) for i, n in enumerate("ab"))
    assert of("object-detection", cat, dog) == 0
    assert of("object-detection", cat, DetectedObjects([])) == 0
    unsure = DetectedObjects([DetectedObject("a", 0, 0.4, box)])
    assert of("object-detection", cat, unsure) == pytest.approx(1)


def test_half_a_box_over_another_is_a_third():
    moved = tuple((x + 5, y) for x, y in SQUARE)
    one, other = (TextBoxes([TextBox(0.9, box)]) for box in (SQUARE, moved))
    assert of("text-detection", one, other) == pytest.approx(1 / 3)


def test_lines_of_text_are_counted_whatever_their_order():
    assert of("ocr", lines("a", "b"), lines("b", "a")) == 1
    assert of("ocr", lines("a", "b", "b"), lines("a", "b")) == pytest.approx(2 / 3)
    assert of("ocr", lines(), lines()) is None
    assert of("ocr", lines("a"), lines()) == 0


def test_the_worst_inputs_are_named():
    right = [classes(1, 2), classes(2, 1), classes(3, 1)]
    found = [classes(1, 3), classes(1, 2), classes(3, 2)]
    told = agreement("image-classification", ["a", "b", "c"], right, found, 0.5)
    assert told.value == pytest.approx(2 / 3)
    assert told.worst == (("b", 0.0),)
    assert not told.enough


def test_where_there_is_nothing_to_agree_about_the_raw_outputs_decide():
    nothing = [DetectedObjects([])] * 2
    told = agreement("object-detection", ["a", "b"], nothing, nothing, 0.7)
    assert (told.measure, told.value, told.enough) == (RAW.name, 0.7, False)


def test_a_cosine_of_what_cannot_be_compared_is_0():
    ones = np.ones(4, np.float32)
    assert cosine(ones, ones * 3) == pytest.approx(1)
    assert cosine(ones, -ones) == pytest.approx(-1)
    assert cosine(ones, np.ones(5)) == 0
    assert cosine(ones, np.array([1, 1, 1, np.nan])) == 0
    assert cosine(ones, np.zeros(4)) == 0
    assert cosine(np.zeros(4), np.zeros(4)) == 1
