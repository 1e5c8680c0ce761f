"""image-classification and image-segmentation: answers to tensors that are made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.errors import EngineError
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.tasks import tasks_with_class_maps
from paddlesrv.tasks.base import TaskInput, TaskOptions
from paddlesrv.tasks.image_classification import ImageClassification
from paddlesrv.tasks.image_segmentation import ImageSegmentation
from paddlesrv.tasks.images import decode, encode_indexed_png, encode_png
from paddlesrv.tasks.palette import class_colours
from paddlesrv.tasks.run_length import decode as decode_runs

ASKED = TaskOptions()
HERE = Path()


def spec(task: str, files: dict[str, str] | None = None, **parameters: Any) -> ModelSpec:
    return ModelSpec(
        name="small",
        task=task,
        format="onnx",
        inputs=(TensorSpec(name="x", dtype="float32", shape=(-1, 3, -1, -1), role="image"),),
        outputs=(TensorSpec(name="y", dtype="float32", shape=(-1, -1)),),
        parameters=parameters,
        files=files or {},
    )


def classes(scores: list[float], options: TaskOptions = ASKED, **parameters: Any) -> list[Any]:
    task = ImageClassification(spec("image-classification", **parameters), HERE)
    return task.post({"y": Tensor(np.array([scores], np.float32))}, None, options).classes


def segments(answer: Any, size: tuple[int, int], **parameters: Any) -> Any:
    task = ImageSegmentation(spec("image-segmentation", **parameters), HERE)
    return task.post({"y": Tensor(np.array([answer]))}, size, ASKED)


# ---- classification ----------------------------------------------------------------------------


def test_probabilities_are_left_as_they_are_and_other_numbers_go_through_a_softmax() -> None:
    assert [each.score for each in classes([0.25, 0.75])] == [0.75, 0.25]
    one, other = classes([2.0, 0.0])
    assert one.score == pytest.approx(1 / (1 + np.exp(-2)))
    assert one.score + other.score == pytest.approx(1)
    # Said, it is not looked at.
    assert classes([0.25, 0.75], output="logits")[0].score == pytest.approx(0.6225, abs=1e-4)
    assert classes([2.0, 0.0], output="probabilities")[0].score == 2


def test_the_likeliest_classes_come_first_as_many_as_asked_for() -> None:
    scores = [0.1, 0.3, 0.3, 0.2, 0.1]
    assert [each.index for each in classes(scores)] == [1, 2, 3, 0, 4]
    assert [each.index for each in classes(scores, TaskOptions(top=2))] == [1, 2]
    assert [each.index for each in classes(scores, TaskOptions(threshold=0.2))] == [1, 2, 3]
    assert classes(scores, TaskOptions(threshold=0.9)) == []


def test_classes_are_called_by_their_labels_and_by_their_number_without_one(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    task = ImageClassification(spec("image-classification", {"labels": "names.txt"}), tmp_path)
    found = task.post({"y": Tensor(np.array([[0.2, 0.5, 0.3]], np.float32))}, None, ASKED)
    assert [each.label for each in found.classes] == ["dog", "2", "cat"]


def test_scores_that_are_no_numbers_are_the_networks_fault() -> None:
    with pytest.raises(EngineError, match="no scores that can be compared"):
        classes([float("nan"), 1.0])


@given(st.integers(1, 3000), st.integers(1, 40))
def test_a_picture_of_any_shape_has_a_middle(height: int, width: int) -> None:
    task = ImageClassification(spec("image-classification", resize_short=32, crop=[28, 28]), HERE)
    inputs = task.prepare(np.zeros((height, width, 3), np.uint8))
    assert inputs["x"].data.shape == (1, 3, 28, 28)


# ---- segmentation ------------------------------------------------------------------------------


def test_classes_are_told_with_their_share_and_a_mask_of_the_sent_size() -> None:
    answer = np.array([[0, 1], [0, 1]], np.int64)
    found = segments(answer, (4, 6))
    assert [(each.index, each.share) for each in found.classes] == [(0, 0.5), (1, 0.5)]
    assert found.mask.size == (4, 6)
    assert decode_runs(found.mask).tolist() == [[False] * 3 + [True] * 3] * 4
    assert all(each.mask is None for each in found.classes)


def test_of_several_classes_each_has_its_own_mask() -> None:
    answer = np.array([[0, 1], [2, 2]], np.int64)
    found = segments(answer, (2, 2), classes=3)
    assert [each.share for each in found.classes] == [0.25, 0.25, 0.5]
    assert [each.mask is None for each in found.classes] == [True, False, False]
    assert decode_runs(found.classes[2].mask).tolist() == [[False, False], [True, True]]
    assert decode_runs(found.mask).tolist() == [[False, True], [True, True]]


def test_scores_and_a_probability_are_made_classes() -> None:
    scores = np.array([[[0.1, 0.9]], [[0.9, 0.1]]], np.float32)  # 2 classes, 1 x 2 pixels
    assert decode_runs(segments(scores, (1, 2), output="scores").mask).tolist() == [[True, False]]
    chance = np.array([[[0.4, 0.6]]], np.float32)
    found = segments(chance, (1, 2), output="probability")
    assert decode_runs(found.mask).tolist() == [[False, True]]
    found = segments(chance, (1, 2), output="probability", threshold=0.3)
    assert decode_runs(found.mask).tolist() == [[True, True]]


@pytest.mark.parametrize("answer", [np.array([[5]]), np.array([[-1]]), np.zeros((3, 2, 2))])
def test_what_is_no_mask_is_the_networks_fault(answer: Any) -> None:
    with pytest.raises(EngineError, match="small answers"):
        segments(answer, (2, 2))


def test_a_mask_of_no_numbers_is_the_networks_fault() -> None:
    with pytest.raises(EngineError, match="numbers that are none"):
        segments(np.full((1, 2), np.nan, np.float32), (1, 2), output="probability")


def test_of_a_very_long_picture_the_very_middle_is_seen() -> None:
    task = ImageClassification(spec("image-classification"), HERE)
    for length in (1000, 1001):
        picture = np.random.default_rng(5).integers(0, 256, (10, length, 3)).astype(np.uint8)
        whole = cv2.resize(picture, (round(length * 25.6), 256))
        left = (whole.shape[1] - 224) // 2
        expected = task.prepare(whole[:, left - 16 : left + 240])["x"].data
        np.testing.assert_allclose(task.prepare(picture)["x"].data, expected, atol=0.02)


def test_both_paint_on_the_picture_and_leave_it_as_it_is() -> None:
    image = np.full((60, 80, 3), 200, np.uint8)
    classifier = ImageClassification(spec("image-classification"), HERE)
    named = classifier.post({"y": Tensor(np.array([[0.2, 0.8]], np.float32))}, None, ASKED)
    segmenter = ImageSegmentation(spec("image-segmentation"), HERE)
    marked = segmenter.post({"y": Tensor(np.array([[[0, 1]]]))}, (60, 80), ASKED)
    for task, result in ((classifier, named), (segmenter, marked)):
        painted = task.draw(image, result)
        assert painted is not None
        assert painted.shape == image.shape
        assert (painted != image).any()
        assert (image == 200).all()


def test_the_first_frame_of_a_moving_picture_counts() -> None:
    import io

    from PIL import Image

    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    assert (decode(file.getvalue()) == (0, 0, 255)).all()


def test_examples_can_be_fed() -> None:
    for task in (
        ImageClassification(spec("image-classification"), HERE),
        ImageSegmentation(spec("image-segmentation"), HERE),
    ):
        inputs, _ = task.pre(task.example(), ASKED)
        assert inputs["x"].data.dtype == np.float32
    picture = TaskInput("image", encode_png(np.zeros((5, 7, 3), np.uint8)))
    assert ImageSegmentation(spec("image-segmentation"), HERE).pre(picture, ASKED)[1] == (5, 7)


@pytest.mark.parametrize(("classes", "answer"), [(2, [[0, 1], [1, 1]]), (3, [[0, 2], [1, 2]])])
def test_a_class_map_has_the_class_of_each_pixel_of_the_sent_picture(
    classes: int, answer: list[list[int]]
) -> None:
    task = ImageSegmentation(spec("image-segmentation", classes=classes), HERE)
    found = segments(np.array(answer), (4, 6), classes=classes)
    expected = np.repeat(np.repeat(np.array(answer), 2, axis=0), 3, axis=1)
    assert (task.class_map(found) == expected).all()


def test_a_class_map_is_a_png_whose_values_are_classes_and_whose_colours_differ() -> None:
    import io

    from PIL import Image

    classes = np.arange(256, dtype=np.uint8).reshape(16, 16)
    colours = class_colours()
    assert colours[0] == (0, 0, 0)
    assert len(set(colours)) == 256
    picture = Image.open(io.BytesIO(encode_indexed_png(classes, colours)))
    assert (picture.format, picture.mode) == ("PNG", "P")
    assert (np.asarray(picture) == classes).all()
    assert picture.convert("RGB").getpixel((7, 0)) == colours[7] == (128, 128, 128)


def test_the_tasks_with_a_class_map_are_told() -> None:
    assert tasks_with_class_maps() == ["image-segmentation"]
