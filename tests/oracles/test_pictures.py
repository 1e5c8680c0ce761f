"""Pictures as Paddle Serving's own transforms prepare them, beside ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Array
from paddlesrv.tasks.detection_input import prepare
from paddlesrv.tasks.image_classification import ImageClassification
from paddlesrv.tasks.image_segmentation import ImageSegmentation
from paddlesrv.tasks.object_detection import Parameters
from paddlesrv.zoo.catalogue import Catalogue
from tests.oracles.paddleclas import paddleclas
from tests.oracles.pictures import pictures
from tests.oracles.serving_app import readers

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def transforms() -> Iterator[Any]:
    """Paddle Serving's module of transforms."""
    with readers("image_reader") as modules:
        yield modules["image_reader"]


def _spec(model: str, shape: tuple[int, ...]) -> ModelSpec:
    entry = Catalogue.load().get(model)
    return ModelSpec(
        name=model,
        task=entry.task,
        format="paddle-program",
        inputs=(TensorSpec(name="image", dtype="float32", shape=shape, role="image"),),
        outputs=(TensorSpec(name="out", dtype="float32", shape=(-1, 1000), role="scores"),),
        parameters=entry.parameters,
    )


def test_classifiers_are_fed_the_same(transforms: Any, tmp_path: Any) -> None:
    t = transforms
    steps = [
        t.Resize(256), t.CenterCrop(224), t.RGB2BGR(), t.Transpose((2, 0, 1)), t.Div(255),
        t.Normalize(MEAN, STD, True),
    ]  # fmt: skip
    task = ImageClassification(_spec("ResNet50_vd", (-1, 3, 224, 224)), tmp_path)
    compared = 0
    for picture in pictures():
        theirs = picture
        for step in steps:
            theirs = step(theirs)
        ours = task.prepare(picture)["image"].data[0]
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE, rtol=0)
        compared += 1
    assert compared >= 20


def test_segmenters_are_fed_the_same(transforms: Any, tmp_path: Any) -> None:
    resize = transforms.Resize((512, 512), interpolation=cv2.INTER_LINEAR)
    for model in ("deeplabv3", "unet"):
        task = ImageSegmentation(_spec(model, (-1, 512, 512, 3)), tmp_path)
        for picture in pictures():
            ours, size = task.prepare(picture)
            np.testing.assert_array_equal(ours["image"].data[0], resize(picture))
            assert size == picture.shape[:2]


def _after_resize(t: Any, size: Any, ratio: bool, how: int, stride: int) -> list[Any]:
    """In the order of the examples that resize bytes."""
    return [
        t.DetectionBGR2RGB(), t.DetectionResize(size, ratio, interpolation=how),
        t.DetectionNormalize(MEAN, STD, True), t.DetectionTranspose((2, 0, 1)),
        t.DetectionPadStride(stride),
    ]  # fmt: skip


def _before_resize(t: Any, size: Any, ratio: bool, how: int, stride: int) -> list[Any]:
    """In the order of the examples that normalise first."""
    return [
        t.DetectionBGR2RGB(), t.DetectionNormalize(MEAN, STD, True),
        t.DetectionResize(size, ratio, interpolation=how), t.DetectionTranspose((2, 0, 1)),
        t.DetectionPadStride(stride),
    ]  # fmt: skip


def _raw(t: Any, size: Any, how: int, mean: list[float], std: list[float]) -> list[Any]:
    """In the order of the examples whose statistics are of 0 to 255."""
    return [
        t.DetectionBGR2RGB(), t.DetectionResize(size, False, interpolation=how),
        t.DetectionNormalize(mean, std, False), t.DetectionTranspose((2, 0, 1)),
    ]  # fmt: skip


def _in_bytes(t: Any, size: Any, ratio: bool, how: int, stride: int) -> list[Any]:
    return _raw(t, size, how, [104.0, 117.0, 123.0], [1.0, 1.0, 1.0])


def _in_pixels(t: Any, size: Any, ratio: bool, how: int, stride: int) -> list[Any]:
    return _raw(t, size, how, [123.675, 116.28, 103.53], [58.395, 57.12, 57.375])


DETECTORS: dict[str, tuple[Callable[..., list[Any]], Any, bool, int, int]] = {
    "yolov3_darknet53_270e_coco": (_after_resize, (608, 608), False, cv2.INTER_CUBIC, 1),
    "faster_rcnn_hrnetv2p_w18_1x": (_after_resize, (800, 1333), True, cv2.INTER_CUBIC, 32),
    "faster_rcnn_r50_fpn_1x_coco": (_before_resize, (800, 1333), True, cv2.INTER_LINEAR, 128),
    "fcos_dcn_r50_fpn_1x_coco": (_before_resize, (800, 1333), True, cv2.INTER_LINEAR, 128),
    "ppyolo_r50vd_dcn_1x_coco": (_before_resize, (608, 608), False, cv2.INTER_CUBIC, 1),
    "ppyolo_mbv3_large_coco": (_before_resize, (320, 320), False, cv2.INTER_LINEAR, 1),
    "cascade_mask_rcnn_r50_vd_fpn_ssld_2x_coco":
        (_after_resize, (800, 1333), True, cv2.INTER_CUBIC, 32),
    "ssd_vgg16_300_240e_voc": (_in_bytes, (300, 300), False, cv2.INTER_LINEAR, 1),
    "ttfnet_darknet53_1x_coco": (_in_pixels, (512, 512), False, cv2.INTER_LINEAR, 1),
    # The twin of the first; its example leaves out the statistics that its network was trained on.
    "YOLOv3-DarkNet": (_after_resize, (608, 608), False, cv2.INTER_CUBIC, 1),
}  # fmt: skip


@pytest.mark.parametrize("model", DETECTORS)
def test_detectors_are_fed_the_same(transforms: Any, model: str) -> None:
    order, size, ratio, how, stride = DETECTORS[model]
    steps = order(transforms, size, ratio, how, stride)
    parameters = msgspec.convert(Catalogue.load().get(model).parameters, Parameters)
    compared = 0
    for picture in pictures():
        height, width = picture.shape[:2]
        # A side of less than half a pixel: theirs fails on it, ours keeps one.
        if ratio and max(height, width) / min(height, width) > 1333:
            continue
        theirs: Array = picture
        info: dict[str, Any] = {"im_shape": None, "scale_factor": None}
        for step in steps:
            theirs, info = step(theirs, info)
        ours = prepare(picture, parameters)
        assert ours.data[0].shape == theirs.shape
        np.testing.assert_allclose(ours.data[0], theirs, atol=TOLERANCE, rtol=0)
        np.testing.assert_allclose(ours.scale, info["scale_factor"], rtol=1e-6)
        compared += 1
    assert compared >= 20


def test_yolov4_is_fed_the_same(transforms: Any) -> None:
    t = transforms
    steps = [
        t.BGR2RGB(), t.Resize((608, 608), interpolation=cv2.INTER_LINEAR), t.Div(255.0),
        t.Transpose((2, 0, 1)),
    ]  # fmt: skip
    _same(steps, "yolov4")


def test_blazeface_is_fed_the_same(transforms: Any) -> None:
    t = transforms
    steps = [
        t.Normalize([104, 117, 123], [127.502231] * 3, False), t.Transpose((2, 0, 1)),
    ]  # fmt: skip
    _same(steps, "blazeface")


def _same(steps: list[Any], model: str) -> None:
    parameters = msgspec.convert(Catalogue.load().get(model).parameters, Parameters)
    compared = 0
    for picture in pictures():
        theirs: Array = picture
        for step in steps:
            theirs = step(theirs)
        np.testing.assert_allclose(
            prepare(picture, parameters).data[0], theirs, atol=TOLERANCE, rtol=0
        )
        compared += 1
    assert compared >= 20


def test_classifiers_are_fed_what_paddleclas_feeds(tmp_path: Any) -> None:
    with paddleclas("preprocess") as theirs:
        operators = [
            theirs.ResizeImage(resize_short=256), theirs.CropImage(224),
            theirs.NormalizeImage(1 / 255, MEAN, STD, order=""), theirs.ToCHWImage(),
        ]  # fmt: skip
        task = ImageClassification(_spec("ResNet50_vd", (-1, 3, 224, 224)), tmp_path)
        for picture in pictures():
            expected = picture[:, :, ::-1]
            for operator in operators:
                expected = operator(expected)
            ours = task.prepare(picture)["image"].data[0]
            np.testing.assert_allclose(ours, expected, atol=TOLERANCE, rtol=0)
