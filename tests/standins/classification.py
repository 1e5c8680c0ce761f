"""Stand-ins for the thirteen classifiers: they know eight colours, by the mean of what they see.

A linear network over the mean of each channel, with the normalisation undone by its weights: the
class of the nearest of eight colours gets almost all of the probability. What is fed with other
statistics, with channels the other way round, or from outside of the picture's middle, is another
colour. `mobilenet_v2_imagenet` answers logits, the others probabilities.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.standins import serving_conf
from tests.standins.serving_conf import Variable

CLASSES = 1000
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
SHARPNESS = 40.0

COLOURS = {
    index: colour
    for index, colour in zip(
        (0, 137, 285, 404, 511, 698, 812, 999), itertools.product((0.0, 1.0), repeat=3), strict=True
    )
}
"""Class -> red, green, blue, 0 to 1."""


def weights() -> tuple[np.ndarray, np.ndarray]:
    """Of the normalised means: 3 x 1000, and 1000. The score of a colour p is 2 p.x - |p|^2."""
    weight, bias = np.zeros((3, CLASSES)), np.full(CLASSES, -2 * SHARPNESS)
    for index, colour in COLOURS.items():
        p = np.array(colour)
        weight[:, index] = SHARPNESS * 2 * p * STD
        bias[index] = SHARPNESS * (2 * p @ MEAN - p @ p)
    return weight.astype(np.float32), bias.astype(np.float32)


def build(
    server: str,
    alias: str,
    *,
    image: str = "image",
    client: str | None = None,
    logits: bool = False,
) -> Callable[[Path], None]:
    """What writes a classifier's archive into an empty directory."""

    def write(directory: Path) -> None:
        import paddle

        paddle.enable_static()
        weight, bias = weights()
        x = paddle.static.data(image, [-1, 3, 224, 224], "float32")
        layer = paddle.nn.Linear(
            3,
            CLASSES,
            paddle.ParamAttr(initializer=paddle.nn.initializer.Assign(weight)),
            paddle.ParamAttr(initializer=paddle.nn.initializer.Assign(bias)),
        )
        scores = layer(paddle.mean(x, axis=[2, 3]))
        scores = scores if logits else paddle.nn.functional.softmax(scores)
        executor = paddle.static.Executor(paddle.CPUPlace())
        executor.run(paddle.static.default_startup_program())
        place = directory / server
        place.mkdir(parents=True)
        paddle.static.save_inference_model(str(place / "net"), [x], [scores], executor)
        (place / "net.pdmodel").rename(place / "__model__")
        (place / "net.pdiparams").rename(place / "__params__")
        tensors = (
            [Variable(image, image, (3, 224, 224))],
            [Variable(scores.name, alias, (CLASSES,))],
        )
        serving_conf.write(place, *tensors)
        if client is not None:
            serving_conf.write_client(directory / client, *tensors)

    return write


def _clas(name: str, alias: str = "prediction", image: str = "image") -> Callable[[Path], None]:
    return build(f"{name}/ppcls_model", alias, image=image)


STANDINS: dict[str, Callable[[Path], None]] = {
    "resnet_v2_50_imagenet/resnet_v2_50_imagenet.tar.gz": build(
        "resnet_v2_50_imagenet_model", "score", client="resnet_v2_50_imagenet_client"
    ),
    "mobilenet_v2_imagenet/mobilenet_v2_imagenet.tar.gz": build(
        "mobilenet_v2_imagenet_model",
        "feature_map",
        client="mobilenet_v2_imagenet_client",
        logits=True,
    ),
    "ResNet50_vd_KL/ResNet50_vd_KL.tar": _clas(
        "ResNet50_vd_KL", "save_infer_model/scale_0.tmp_0", "inputs"
    ),
    "ResNet50_vd_FPGM/ResNet50_vd_FPGM.tar": _clas(
        "ResNet50_vd_FPGM", "save_infer_model/scale_0.tmp_1"
    ),
    "ResNet50_vd_PACT/ResNet50_vd_PACT.tar": _clas(
        "ResNet50_vd_PACT", "save_infer_model/scale_0.tmp_1", "inputs"
    ),
} | {
    f"{name}/{name}.tar": _clas(name)
    for name in (
        "ResNet50_vd", "ResNeXt101_vd_64x4d", "DarkNet53", "MobileNetV1", "MobileNetV2",
        "MobileNetV3_large_x1_0", "HRNet_W18_C", "ShuffleNetV2_x1_0",
    )
}  # fmt: skip
