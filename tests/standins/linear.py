"""A linear model of 13 features, y = x @ W + b, in each format that the engines read.

Input `x` is float32 [-1, 13]; output is float32 [-1, 1], named `y` in ONNX and by paddle itself
in its own formats (`fetch_name_0` in PIR). The Paddle forms are exported once per test process, by
paddle in a process of its own, so that a test which only wants the files does not import paddle.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from paddlesrv.models.signature import read_signature
from paddlesrv.models.spec import ModelSpec

FEATURES = 13

_random = np.random.default_rng(13)
W = _random.standard_normal((FEATURES, 1)).astype(np.float32)
B = np.float32([0.75])


def expected(x: np.ndarray) -> np.ndarray:
    """What the model answers for rows of features, in float32."""
    return (x.astype(np.float64) @ W.astype(np.float64) + B).astype(np.float32)


def write_paddle(directory: Path) -> None:
    """Write `inference.json` and `inference.pdiparams`: today's Paddle format (PIR)."""
    _copy(_exported("1"), directory)


def write_program(directory: Path) -> None:
    """Write `inference.pdmodel` and `inference.pdiparams`: Paddle's format up to version 2."""
    _copy(_exported("0"), directory)


def write_onnx(directory: Path) -> None:
    """Write `model.onnx`, whose weights are initializers."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "W", "b"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", FEATURES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(W, "W"), numpy_helper.from_array(B, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    directory.mkdir(parents=True, exist_ok=True)
    onnx.save(model, directory / "model.onnx")


def spec(directory: Path, name: str = "linear") -> ModelSpec:
    """The spec of a model that was written into a directory."""
    signature = read_signature(directory)
    return ModelSpec(
        name=name,
        task="features",
        format=signature.format,
        program=signature.program,
        params=signature.params,
        inputs=signature.inputs,
        outputs=signature.outputs,
    )


def _copy(source: Path, directory: Path) -> None:
    shutil.copytree(source, directory, dirs_exist_ok=True)


@functools.cache
def _exported(pir: str) -> Path:
    # The directory object is kept by the cache of `_scratch`, and goes when the process ends.
    directory = Path(_scratch().name, f"pir-{pir}")
    directory.mkdir()
    subprocess.run(
        [sys.executable, "-m", "tests.standins.linear", str(directory)],
        check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "FLAGS_enable_pir_api": pir, "GLOG_minloglevel": "2"},
        capture_output=True,
    )
    return directory


@functools.cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="paddlesrv-standins-", ignore_cleanup_errors=True)


def _export(directory: Path) -> None:
    import paddle

    network = paddle.nn.Linear(FEATURES, 1)
    network.weight.set_value(W)
    network.bias.set_value(B)
    network.eval()
    shape = paddle.static.InputSpec([-1, FEATURES], "float32", "x")
    paddle.jit.save(network, str(directory / "inference"), input_spec=[shape])


if __name__ == "__main__":
    _export(Path(sys.argv[1]))
