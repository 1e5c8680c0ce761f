"""Detection, orientation and recognition: pictures to tensors, tensors to results."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.errors import EngineError, IntegrityError, InvalidInput, UsageError
from paddlesrv.models.tensor import Tensor
from paddlesrv.tasks import make_task
from paddlesrv.tasks.base import TaskInput, TaskOptions
from paddlesrv.tasks.images import decode, encode_png
from paddlesrv.tasks.tensors import normalise
from paddlesrv.tasks.text_detection import Parameters as DetectionParameters
from paddlesrv.tasks.text_detection import TextBoxes, TextDetection, network_size
from paddlesrv.tasks.text_orientation import Orientation, TextOrientation
from paddlesrv.tasks.text_recognition import Parameters as RecognitionParameters
from paddlesrv.tasks.text_recognition import RecognisedText, TextRecognition, canonical_width
from tests.unit.tasks.specs import detection_spec, image_spec, orientation_spec, recognition_spec

HERE = Path()
ASKED = TaskOptions()
sides = st.integers(1, 20_000)


def detection(**parameters: object) -> TextDetection:
    return TextDetection(detection_spec(**parameters), HERE)


def orientation(**parameters: object) -> TextOrientation:
    return TextOrientation(orientation_spec(**parameters), HERE)


def picture(height: int, width: int, value: int = 255) -> TaskInput:
    return TaskInput("image", encode_png(np.full((height, width, 3), value, np.uint8)))


# ---- tensors -----------------------------------------------------------------------------------


def test_pixels_are_normalised_by_channel_in_the_order_of_the_network() -> None:
    pixels = np.array([[[0, 128, 255], [255, 64, 1]]], np.uint8)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    for channels, order in (("bgr", [0, 1, 2]), ("rgb", [2, 1, 0])):
        plain = (pixels[:, :, order] / 255 - mean) / std
        assert normalise(pixels, mean, std, channels) == pytest.approx(  # type: ignore[arg-type]
            plain.transpose(2, 0, 1)[np.newaxis], abs=1e-6
        )


def test_padding_is_zero_after_normalising() -> None:
    tensor = normalise(np.full((2, 3, 3), 255, np.uint8), (0.5,) * 3, (0.5,) * 3, width=8)
    assert tensor.shape == (1, 3, 2, 8)
    assert (tensor[..., :3] == 1).all()
    assert (tensor[..., 3:] == 0).all()


# ---- detection ---------------------------------------------------------------------------------


@given(sides, sides, st.sampled_from(["max", "min"]), st.sampled_from([1, 32, 128]))
def test_every_picture_gets_a_size_the_network_takes(
    height: int, width: int, limit_type: str, multiple: int
) -> None:
    parameters = msgspec.convert(
        {"limit_type": limit_type, "side_multiple": multiple}, DetectionParameters
    )
    for side in network_size(height, width, parameters):
        assert side >= multiple
        assert side % multiple == 0
        assert side <= 4000 + multiple


def test_a_picture_within_the_limit_keeps_its_size_up_to_the_multiple() -> None:
    assert network_size(600, 800, DetectionParameters()) == (608, 800)
    assert network_size(1200, 1920, DetectionParameters()) == (608, 960)


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 2000), (2000, 1), (31, 31), (33, 500), (700, 900)]
)
def test_a_box_comes_back_where_it_is_in_the_sent_picture(height: int, width: int) -> None:
    task = detection()
    inputs, scale = task.pre(picture(height, width), ASKED)
    _, _, net_height, net_width = inputs["x"].data.shape
    # A map that is text everywhere answers the whole picture.
    full = {"y": Tensor(np.ones((1, 1, net_height, net_width), np.float32))}
    (box,) = task.post(full, scale, ASKED).boxes
    assert box.box == ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height))
    assert box.score == pytest.approx(1.0)


def test_coordinates_are_scaled_back_by_each_side() -> None:
    task = detection(unclip_ratio=0, min_side=1)
    inputs, scale = task.pre(picture(300, 1920), ASKED)
    probabilities = np.zeros((1, 1, *inputs["x"].data.shape[2:]), np.float32)
    assert probabilities.shape == (1, 1, 160, 960)
    probabilities[0, 0, 40:81, 100:301] = 1
    (box,) = task.post({"y": Tensor(probabilities)}, scale, ASKED).boxes
    down, across = 300 / 160, 1920 / 960
    assert box.box[0] == pytest.approx((100.5 * across, 40.5 * down), abs=0.2)
    assert box.box[2] == pytest.approx((300.5 * across, 80.5 * down), abs=0.2)


def test_boxes_are_answered_from_top_to_bottom_and_a_threshold_of_the_caller_counts() -> None:
    task = detection()
    inputs, scale = task.pre(picture(320, 320), ASKED)
    probabilities = np.zeros((1, 1, *inputs["x"].data.shape[2:]), np.float32)
    probabilities[0, 0, 200:220, 20:200] = 0.95
    probabilities[0, 0, 40:60, 20:200] = 0.7
    outputs = {"y": Tensor(probabilities)}
    tops = [box.box[0][1] for box in task.post(outputs, scale, ASKED).boxes]
    assert len(tops) == 2
    assert tops == sorted(tops)
    assert len(task.post(outputs, scale, TaskOptions(threshold=0.8)).boxes) == 1


def test_text_only_in_the_padding_is_no_text() -> None:
    task = detection(min_side=1, unclip_ratio=0)
    inputs, scale = task.pre(picture(8, 320), ASKED)
    probabilities = np.zeros((1, 1, *inputs["x"].data.shape[2:]), np.float32)
    probabilities[0, 0, 16:30, 20:200] = 1  # the picture ends at row 8
    assert task.post({"y": Tensor(probabilities)}, scale, ASKED) == TextBoxes([])


def test_boxes_are_painted_on_a_copy() -> None:
    image = np.full((60, 120, 3), 255, np.uint8)
    task = detection()
    result = msgspec.convert(
        {"boxes": [{"score": 0.9, "box": [[10, 10], [90, 10], [90, 40], [10, 40]]}]}, TextBoxes
    )
    painted = task.draw(image, result)
    assert painted is not None
    assert painted.shape == image.shape
    assert (image == 255).all()
    assert (painted[10, 10:90] != 255).any()
    assert (painted[50:] == 255).all()


# ---- orientation -------------------------------------------------------------------------------


@given(st.integers(1, 400), st.integers(1, 4000))
def test_every_line_becomes_the_one_size_of_the_orientation_network(
    height: int, width: int
) -> None:
    tensor = orientation().prepare(np.zeros((height, width, 3), np.uint8))["x"].data
    assert tensor.shape == (1, 3, 48, 192)


@pytest.mark.parametrize(
    ("scores", "angle", "turned"),
    [([0.99, 0.01], 0, False), ([0.2, 0.8], 180, False), ([0.05, 0.95], 180, True)],
)
def test_a_line_is_turned_only_if_the_network_is_sure(
    scores: list[float], angle: int, turned: bool
) -> None:
    outputs = {"y": Tensor(np.array([scores], np.float32))}
    found = orientation().post(outputs, None, ASKED)
    assert found == Orientation(angle, pytest.approx(max(scores)))
    assert orientation().upside_down(outputs) is turned


def test_an_orientation_network_of_four_angles_is_refused() -> None:
    with pytest.raises(EngineError, match="2 angles"):
        orientation().post({"y": Tensor(np.ones((1, 4), np.float32))}, None, ASKED)


# ---- recognition -------------------------------------------------------------------------------

widths = st.builds(
    RecognitionParameters,
    min_width=st.integers(8, 640),
    max_width=st.integers(640, 4000),
    width_step=st.sampled_from([1, 8, 32, 64]),
)


@given(st.integers(1, 300), sides, sides, widths)
def test_a_wider_line_never_gets_less_width(
    height: int, one: int, other: int, parameters: RecognitionParameters
) -> None:
    low, high = sorted((one, other))
    assert canonical_width(height, low, parameters) <= canonical_width(height, high, parameters)


@given(st.integers(1, 300), sides, widths)
def test_the_width_holds_the_line_or_is_the_widest(
    height: int, width: int, parameters: RecognitionParameters
) -> None:
    got = canonical_width(height, width, parameters)
    assert parameters.min_width <= got <= parameters.max_width
    assert got == parameters.max_width or got >= 48 * width / height


@given(st.integers(1, 120), st.integers(1, 6000))
def test_every_line_becomes_a_tensor_of_its_canonical_width(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int
) -> None:
    root = tmp_path_factory.getbasetemp()
    task = TextRecognition(recognition_spec(root), root)
    tensor = task.prepare(np.zeros((height, width, 3), np.uint8))["x"].data
    assert tensor.shape == (1, 3, 48, canonical_width(height, width, task.parameters))


def test_scores_become_text(tmp_path: Path) -> None:
    task = TextRecognition(recognition_spec(tmp_path), tmp_path)
    scores = np.eye(4, dtype=np.float32)[np.newaxis, [1, 1, 0, 3, 2]]
    assert task.post({"y": Tensor(scores)}, None, ASKED) == RecognisedText("a b", 1.0)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_characters_may_be_any_character(tmp_path: Path, ending: str) -> None:
    # A full-width space, a line separator and a no-break space are characters, not line ends.
    characters = ["\u3000", "\u2028", "\xa0", "x"]
    spec = recognition_spec(tmp_path, ending.join(characters) + ending, classes=6)
    assert TextRecognition(spec, tmp_path).classes == ("", *characters, " ")


def test_characters_that_do_not_fit_the_network_are_an_error_when_it_is_made(
    tmp_path: Path,
) -> None:
    with pytest.raises(IntegrityError, match="5 classes with the blank, the network has 7"):
        TextRecognition(recognition_spec(tmp_path, "a\nb\nc", classes=7), tmp_path)


def test_a_network_that_answers_other_classes_is_an_error(tmp_path: Path) -> None:
    task = TextRecognition(recognition_spec(tmp_path, classes=-1), tmp_path)
    with pytest.raises(EngineError, match="steps x 4"):
        task.post({"y": Tensor(np.ones((1, 5, 9), np.float32))}, None, ASKED)


def test_steps_that_come_end_to_end_are_read_as_those_that_do_not(tmp_path: Path) -> None:
    spec = recognition_spec(tmp_path)
    plain = TextRecognition(spec, tmp_path)
    scores = msgspec.structs.replace(spec.outputs[0], lod_level=1, batching="lod")
    inside = TextRecognition(msgspec.structs.replace(spec, outputs=(scores,)), tmp_path)
    steps = np.full((3, len(plain.classes)), 0.01, np.float32)
    steps[[0, 2], [1, 2]] = 0.9
    steps[1, 0] = 0.9
    expected = plain.post({plain.output: Tensor(steps[np.newaxis])}, None, ASKED)
    assert expected.text == "".join(plain.classes[1:3])
    assert inside.post({inside.output: Tensor(steps, (0, 3))}, None, ASKED) == expected


# ---- all of them -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters",
    [{"score_threshold": 1.5}, {"limit_type": "both"}, {"unclip": 2}, {"mean": [1, 2]}],
)
def test_wrong_parameters_are_an_error_when_the_task_is_made(parameters: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="the parameters of small are not those of text-detection"):
        detection(**parameters)


def test_a_missing_file_is_named_with_what_to_type(tmp_path: Path) -> None:
    spec = recognition_spec(tmp_path)
    (tmp_path / "characters.txt").unlink()
    with pytest.raises(IntegrityError, match=r"characters\.txt") as caught:
        make_task(spec, tmp_path)
    assert caught.value.hints == ("paddlesrv get --force small",)


def test_a_model_without_the_file_that_its_task_needs_is_refused(tmp_path: Path) -> None:
    spec = msgspec.structs.replace(recognition_spec(tmp_path), files={})
    with pytest.raises(IntegrityError, match="no file with role 'characters'"):
        make_task(spec, tmp_path)


def test_a_text_is_no_picture() -> None:
    with pytest.raises(InvalidInput, match="takes a picture, got text"):
        detection().pre(TaskInput("text", "hello"), ASKED)


def test_a_task_that_nobody_knows_is_no_task() -> None:
    assert make_task(image_spec("fortune-telling", "y", (-1, 1)), HERE) is None


def test_examples_are_small_pictures(tmp_path: Path) -> None:
    for task in (detection(), orientation(), TextRecognition(recognition_spec(tmp_path), tmp_path)):
        data = task.example().data
        assert isinstance(data, bytes)
        image = decode(data)
        assert image.size < 320 * 100 * 3 + 1
        assert image.min() < 100  # there is ink on it
