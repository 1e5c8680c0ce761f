"""Networks that answer what they are asked: one with an input of each type, one of sequences.

FLAGS_enable_pir_api=0 python -m tests.clients.networks DIRECTORY
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from paddlesrv.server.protocols.datatypes import FROM_NUMPY

NUMBERS = (
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16",
    "float32", "float64",
)  # fmt: skip
WIDTH = 5
TEXTS = ("", "word", "zwei Wörter", "\u98de\u6868", "nul \x00 and more", "z" * 300)
TABLE = np.arange(12, dtype=np.float32).reshape(6, 2) / 8


PADDLE_SERVING = (
    "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64",
)  # fmt: skip
"""Those of `NUMBERS` that Paddle Serving's messages can carry."""


def write_echo(directory: Path, numbers: tuple[str, ...] = NUMBERS) -> None:
    """`out_T` is `in_T` for each of these types T, [batch, 5]."""
    import onnx
    from onnx import helper

    of = {name: helper.np_dtype_to_tensor_dtype(np.dtype(name)) for name in numbers}
    shape = ["batch", WIDTH]
    graph = helper.make_graph(
        [helper.make_node("Identity", [f"in_{name}"], [f"out_{name}"]) for name in numbers],
        "echo",
        [helper.make_tensor_value_info(f"in_{name}", of[name], shape) for name in numbers],
        [helper.make_tensor_value_info(f"out_{name}", of[name], shape) for name in numbers],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)])
    model.ir_version = 8
    directory.mkdir(parents=True, exist_ok=True)
    onnx.save(model, directory / "model.onnx")


def write_texts(directory: Path) -> None:
    """`same = texts` and `twice = count + count`: bytes [batch, n], int64 [batch, 1]."""
    import onnx
    from onnx import TensorProto, helper

    text, number = TensorProto.STRING, TensorProto.INT64
    graph = helper.make_graph(
        [
            helper.make_node("Identity", ["texts"], ["same"]),
            helper.make_node("Add", ["count", "count"], ["twice"]),
        ],
        "texts",
        [
            helper.make_tensor_value_info("texts", text, ["batch", "n"]),
            helper.make_tensor_value_info("count", number, ["batch", 1]),
        ],
        [
            helper.make_tensor_value_info("same", text, ["batch", "n"]),
            helper.make_tensor_value_info("twice", number, ["batch", 1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)])
    model.ir_version = 8
    directory.mkdir(parents=True, exist_ok=True)
    onnx.save(model, directory / "model.onnx")


def texts(rows: int) -> dict[str, np.ndarray]:
    """Inputs for the network of texts: two of `TEXTS` in each row, and a number."""
    words = np.empty((rows, 2), object)
    words.ravel()[:] = [TEXTS[i % len(TEXTS)].encode() for i in range(rows * 2)]
    return {"texts": words, "count": np.arange(rows).reshape(rows, 1)}


def echoed(rows: int, seed: int = 0, numbers: tuple[str, ...] = NUMBERS) -> dict[str, np.ndarray]:
    """Inputs for the echo, with the least and the greatest of each type among them."""
    random = np.random.default_rng(seed)
    inputs = {}
    for name in numbers:
        dtype = np.dtype(name)
        raw = random.integers(0, 256, rows * WIDTH * dtype.itemsize, np.uint8).tobytes()
        values = np.frombuffer(raw, dtype) if name != "bool" else np.frombuffer(raw, "u1") > 127
        values = np.where(np.isfinite(values), values, dtype.type(1)).astype(dtype)
        if dtype.kind in "iuf":
            limits = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
            values[:2] = limits.min, limits.max
        inputs[f"in_{name}"] = values.reshape(rows, WIDTH)
    return inputs


def datatype(name: str) -> str:
    """The protocol's name of a type of `NUMBERS`."""
    return FROM_NUMPY[name]


def write_colours(directory: Path) -> None:
    """How much there is of each of three colours: [n, 3, 224, 224] -> [n, 3], for a task."""
    import onnx
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["flat"]),
            helper.make_node("Softmax", ["flat"], ["scores"], axis=1),
        ],
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 224, 224])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    directory.mkdir(parents=True, exist_ok=True)
    onnx.save(model, directory / "model.onnx")


def write_sequences(directory: Path) -> None:
    """`TABLE[words]` for sequences of words: int64 [rows, 1] with offsets -> float32 [rows, 2]."""
    subprocess.run(
        [sys.executable, "-m", "tests.clients.networks", str(directory)],
        check=True,
        capture_output=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "FLAGS_enable_pir_api": "0", "GLOG_minloglevel": "2"},
    )


def _sequences(directory: Path) -> None:
    from tests.standins import serving_conf
    from tests.standins.programs import Program

    program = Program()
    words = program.feed("words", (-1, 1), "int64", lod=True)
    table = program.weight(TABLE, "table")
    rows = program.add("lookup_table", {"Ids": words, "W": table}, lod=True, name="rows")
    program.save(directory, [words], [rows])
    feed = serving_conf.Variable("words", "words", (-1,), serving_conf.INT64, lod=True)
    fetch = serving_conf.Variable("rows", "rows", (2,), lod=True)
    serving_conf.write(directory, [feed], [fetch])


if __name__ == "__main__":
    _sequences(Path(sys.argv[1]))
