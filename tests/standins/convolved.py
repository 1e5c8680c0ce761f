"""A classifier with convolutions and a fully connected layer, small enough to be quantised often.

It knows the eight corners of the colour cube by the mean of what it sees, and answers
probabilities; its spec is that of a model of the task `image-classification`.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import msgspec
import numpy as np

from paddlesrv.models.spec import ModelSpec, TensorSpec

SIDE, CHANNELS = 64, 16
COLOURS = [np.array(corner, np.float32) for corner in itertools.product((0.0, 1.0), repeat=3)]
SHARPNESS = 20.0


def write(directory: Path, name: str = "colours") -> ModelSpec:
    """Write `model.onnx`, `labels.txt` and `spec.json`; the spec."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(3)
    first = np.zeros((CHANNELS, 3, 3, 3), np.float32)
    for channel in range(3):
        first[channel, channel] = 1 / 9
    first[3:] = random.standard_normal((CHANNELS - 3, 3, 3, 3)) / 9
    second = np.zeros((CHANNELS, CHANNELS, 1, 1), np.float32)
    second[:, :, 0, 0] = np.eye(CHANNELS)
    weight = np.zeros((CHANNELS, 8), np.float32)
    bias = np.zeros(8, np.float32)
    for index, colour in enumerate(COLOURS):
        weight[:3, index] = SHARPNESS * 2 * colour
        bias[index] = -SHARPNESS * float(colour @ colour)
    arrays = {"first": first, "second": second, "weight": weight, "bias": bias}
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["d"]),
        helper.make_node("Flatten", ["d"], ["e"]),
        helper.make_node("Gemm", ["e", "weight", "bias"], ["f"]),
        helper.make_node("Softmax", ["f"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 8])],
        [numpy_helper.from_array(array, key) for key, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    directory.mkdir(parents=True, exist_ok=True)
    onnx.save(model, directory / "model.onnx")
    (directory / "labels.txt").write_text("\n".join(f"colour {i}" for i in range(8)) + "\n")
    spec = ModelSpec(
        name=name,
        task="image-classification",
        format="onnx",
        program="model.onnx",
        inputs=(
            TensorSpec(
                name="image", role="image", dtype="float32", shape=(-1, 3, SIDE, SIDE)
            ),
        ),
        outputs=(TensorSpec(name="scores", role="scores", dtype="float32", shape=(-1, 8)),),
        parameters={
            "resize_short": SIDE, "crop": [SIDE, SIDE], "mean": [0, 0, 0], "std": [1, 1, 1],
            "output": "probabilities",
        },
        files={"labels": "labels.txt"},
    )  # fmt: skip
    (directory / "spec.json").write_bytes(msgspec.json.encode(spec))
    return spec


def picture(index: int, seed: int = 0) -> bytes:
    """A PNG that is mostly of one of the eight colours."""
    random = np.random.default_rng(seed * 8 + index)
    red, green, blue = COLOURS[index]
    pixels = np.empty((80, 96, 3), np.float32)
    pixels[:] = (blue, green, red)
    pixels = np.clip(pixels + random.normal(0, 0.08, pixels.shape), 0, 1) * 255
    done, data = cv2.imencode(".png", pixels.astype(np.uint8))
    assert done
    return bytes(data)


def write_pictures(directory: Path, count: int = 24) -> None:
    """So many pictures, of every colour."""
    directory.mkdir(parents=True)
    for number in range(count):
        (directory / f"{number:03}.png").write_bytes(picture(number % 8, number // 8))
