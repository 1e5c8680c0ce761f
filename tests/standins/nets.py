"""Small ONNX networks that behave as tests need: failing on some input, slow, undividable."""

from __future__ import annotations

from pathlib import Path

import numpy as np

VOCABULARY = 10
WIDTH = 2
TABLE = np.arange(VOCABULARY * WIDTH, dtype=np.float32).reshape(VOCABULARY, WIDTH)


def write_lookup(directory: Path) -> None:
    """`y = TABLE[ids]`: int64 [batch, n] -> float32 [batch, n, 2]; fails on an id out of range."""
    from onnx import TensorProto, helper, numpy_helper

    _save(
        directory,
        [helper.make_node("Gather", ["table", "ids"], ["y"], axis=0)],
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "n", WIDTH])],
        [numpy_helper.from_array(TABLE, "table")],
    )


def write_slow(directory: Path, rounds: int = 40, size: int = 512) -> None:
    """`y = x` after `rounds` products of large matrices: float32 [batch, 4], a fixed time a run."""
    from onnx import TensorProto, helper, numpy_helper

    identity = np.eye(size, dtype=np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zeros"], ["m0"]),
    ]
    for i in range(rounds):
        nodes.append(helper.make_node("MatMul", [f"m{i}", "identity"], [f"m{i + 1}"]))
    nodes += [
        helper.make_node("ReduceSum", [f"m{rounds}"], ["nothing"], keepdims=0),
        helper.make_node("Add", ["x", "nothing"], ["y"]),
    ]
    _save(
        directory,
        nodes,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
        [
            numpy_helper.from_array(np.zeros((size, size), np.float32), "zeros"),
            numpy_helper.from_array(identity, "identity"),
        ],
    )


def write_summary(directory: Path) -> None:
    """`y = mean over the batch`: float32 [batch, 4] -> [1, 4]; its outputs do not divide."""
    from onnx import TensorProto, helper

    _save(
        directory,
        [helper.make_node("ReduceMean", ["x"], ["y"], axes=[0], keepdims=1)],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["one", 4])],
        [],
    )


def write_identity(directory: Path, dtype: str, columns: int | str = 3) -> None:
    """`y = x`: [batch, columns] of a type, by numpy's name for it; a word: any number of them."""
    from onnx import helper

    code = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    _save(
        directory,
        [helper.make_node("Identity", ["x"], ["y"])],
        [helper.make_tensor_value_info("x", code, ["batch", columns])],
        [helper.make_tensor_value_info("y", code, ["batch", columns])],
        [],
    )


def write_mixed(directory: Path) -> None:
    """`sum = a + b` and `same = ids`: float32 [batch, 4] twice, int64 [batch, n]."""
    from onnx import TensorProto, helper

    _save(
        directory,
        [
            helper.make_node("Add", ["a", "b"], ["sum"]),
            helper.make_node("Identity", ["ids"], ["same"]),
        ],
        [
            helper.make_tensor_value_info("a", TensorProto.FLOAT, ["batch", 4]),
            helper.make_tensor_value_info("b", TensorProto.FLOAT, ["batch", 4]),
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "n"]),
        ],
        [
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["batch", 4]),
            helper.make_tensor_value_info("same", TensorProto.INT64, ["batch", "n"]),
        ],
        [],
    )


def _save(directory: Path, nodes: list, inputs: list, outputs: list, weights: list) -> None:
    import onnx
    from onnx import helper

    graph = helper.make_graph(nodes, "standin", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    directory.mkdir(parents=True, exist_ok=True)
    onnx.save(model, directory / "model.onnx")
