"""Small networks made for imports: of tasks, with external weights, and such that do harm."""

from __future__ import annotations

from pathlib import Path

import numpy as np

CLASSES = 5


def write_recognition(directory: Path, classes: int = CLASSES) -> None:
    """A network with the tensors of text-recognition: [n, 3, 48, w] -> [n, w / 8, classes]."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(0).random((classes, 3, 48, 8), np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], strides=[48, 8], kernel_shape=[48, 8]),
        helper.make_node("Squeeze", ["c", "two"], ["s"]),
        helper.make_node("Transpose", ["s"], ["t"], perm=[0, 2, 1]),
        helper.make_node("Softmax", ["t"], ["scores"], axis=2),
    ]
    save(
        directory,
        helper.make_graph(
            nodes,
            "recognition",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 48, "w"])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", "t", classes])],
            [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.int64([2]), "two")],
        ),
    )


def write_detection(directory: Path) -> None:
    """A network with the tensors of text-detection: [n, 3, h, w] -> [n, 1, h, w]."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[1, 1]),
        helper.make_node("Sigmoid", ["c"], ["map"]),
    ]
    save(
        directory,
        helper.make_graph(
            nodes,
            "detection",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
            [helper.make_tensor_value_info("map", TensorProto.FLOAT, ["n", 1, "h", "w"])],
            [numpy_helper.from_array(np.ones((1, 3, 1, 1), np.float32), "w")],
        ),
    )


def write_nan(directory: Path) -> None:
    """A network that answers NaN: y = log(x - 2) for x below 1."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Sub", ["x", "two"], ["d"]),
        helper.make_node("Log", ["d"], ["y"]),
    ]
    save(
        directory,
        helper.make_graph(
            nodes,
            "nan",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
            [numpy_helper.from_array(np.float32([2]), "two")],
        ),
    )


def write_endless(directory: Path) -> None:
    """A network that never answers: a loop without an end."""
    from onnx import TensorProto, helper, numpy_helper

    body = helper.make_graph(
        [
            helper.make_node("Identity", ["on"], ["still"]),
            helper.make_node("Identity", ["v"], ["w"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, None),
        ],
    )
    save(
        directory,
        helper.make_graph(
            [helper.make_node("Loop", ["", "on0", "x"], ["y"], body=body)],
            "endless",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
            [numpy_helper.from_array(np.array(True), "on0")],
        ),
    )


def write_classifier(directory: Path, classes: int = 3) -> None:
    """y = x @ W: float32 [n, 4] -> [n, classes]."""
    from onnx import TensorProto, helper, numpy_helper

    save(
        directory,
        helper.make_graph(
            [helper.make_node("MatMul", ["x", "W"], ["y"])],
            "classifier",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", classes])],
            [numpy_helper.from_array(np.eye(4, classes, dtype=np.float32), "W")],
        ),
    )


def write_segmenter(directory: Path, *, scores: bool) -> None:
    """Class 1 where red is above half: [n, 3, h, w] -> scores [n, 2, h, w] or classes [n, h, w]."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.array([[0, 0, 0], [0, 0, 1]], np.float32).reshape(2, 3, 1, 1)
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["s"], kernel_shape=[1, 1])]
    told = helper.make_tensor_value_info("s", TensorProto.FLOAT, ["n", 2, "h", "w"])
    if not scores:
        nodes.append(helper.make_node("ArgMax", ["s"], ["y"], axis=1, keepdims=0))
        told = helper.make_tensor_value_info("y", TensorProto.INT64, ["n", "h", "w"])
    save(
        directory,
        helper.make_graph(
            nodes,
            "segmenter",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
            [told],
            [
                numpy_helper.from_array(weights, "w"),
                numpy_helper.from_array(np.array([127.5, 0], np.float32), "b"),
            ],
        ),
    )


def save(directory: Path, graph: object, name: str = "model.onnx", **options: object) -> None:
    """Write a graph as a model."""
    import onnx
    from onnx import helper

    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    directory.mkdir(parents=True, exist_ok=True)
    onnx.save(model, directory / name, **options)
