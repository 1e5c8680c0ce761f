"""The networks that servers are compared on: one input, one output, one file for all of them.

Speed does not depend on what weights are, so those of the two image networks are drawn from a
fixed seed. Files are made once and kept: Paddle's program for servers that run Paddle, and the
ONNX file that was converted from it for all others.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

SEED = 13


@dataclass(frozen=True)
class Network:
    """What is served; `shape` and `classes` are of one row of its input and of its output."""

    name: str
    title: str
    directory: Path
    input: str
    output: str
    shape: tuple[int, ...]
    classes: int
    max_batch_size: int
    workers: int
    patience: int
    """How many times longer than usual a measurement must be, so that enough answers come in."""
    engine: Literal["onnxruntime", "paddle"] = "onnxruntime"

    @property
    def key(self) -> str:
        """What it is called among the figures of a run."""
        return self.name if self.engine == "onnxruntime" else f"{self.name}/paddle"

    @property
    def served(self) -> Path:
        """The directory that is served: it has the network's name, which a server takes from it."""
        return self.onnx if self.engine == "onnxruntime" else self.paddle

    @property
    def takes_pictures(self) -> bool:
        """Whether it is served with its task beside tensors, as those peers do that have tasks."""
        return self.engine == "paddle" and len(self.shape) == 3

    def on_paddle(self) -> Network:
        """The same, to be run by Paddle: one worker, for its Python lets one run at a time."""
        title = f"{self.title}, Paddle Inference"
        return replace(self, engine="paddle", title=title, workers=1)

    @property
    def onnx(self) -> Path:
        """The directory with `model.onnx`."""
        return self.directory / "onnx" / self.name

    @property
    def paddle(self) -> Path:
        """The directory with `inference.pdmodel` and `inference.pdiparams`."""
        return self.directory / "paddle" / self.name

    def row(self) -> np.ndarray:
        """One row of input, float32, the same every time."""
        if self.classes == 1:
            return np.arange(1, self.shape[0] + 1, dtype=np.float32)[None]
        return np.random.default_rng(SEED).standard_normal((1, *self.shape), np.float32)


def linear(home: Path) -> Network:
    """13 features: nearly no network, so a server's own cost. One worker: it needs no more."""
    from tests.standins import linear as standin

    def write(directory: Path) -> None:
        standin.write_onnx(directory / "onnx" / "linear")
        standin.write_program(directory / "paddle" / "linear")

    directory = _kept(home / "networks" / "linear", write)
    title = "linear, 13 features"
    return Network(
        "linear", title, directory, "x", "y", (13,), 1, max_batch_size=64, workers=1, patience=1
    )


def mobilenet(home: Path) -> Network:
    """MobileNetV3-small at 224 x 224, batches of up to 16."""
    return _image(home, "mobilenet_v3_small", "MobileNetV3-small", 16, 2)


def resnet50(home: Path) -> Network:
    """ResNet-50 at 224 x 224, batches of up to 8."""
    return _image(home, "resnet50", "ResNet-50", 8, 4)


NETWORKS: dict[str, Callable[[Path], Network]] = {
    "linear": linear,
    "mobilenet": mobilenet,
    "resnet50": resnet50,
}


def _image(home: Path, name: str, title: str, max_batch_size: int, patience: int) -> Network:
    def write(directory: Path) -> None:
        flags = {"FLAGS_enable_pir_api": "0", "GLOG_minloglevel": "2"}
        paddle = directory / "paddle" / name
        command = [sys.executable, "-m", "benchmarks.networks", name, str(paddle)]
        subprocess.run(command, check=True, env={**os.environ, **flags})
        _convert(paddle, directory / "onnx" / name)

    directory = _kept(home / "networks" / name, write)
    title = f"{title}, random weights"
    inputs, outputs = _tensors(directory / "onnx" / name)
    return Network(
        name, title, directory, inputs, outputs, (3, 224, 224), 1000,
        max_batch_size, min(2, os.cpu_count() or 1), patience,
    )  # fmt: skip


def _convert(paddle: Path, onnx: Path) -> None:
    """Convert as the server does, which compares the answers of both."""
    from paddlesrv.engines.conversion import converted
    from tests.server.harness import local_spec

    with tempfile.TemporaryDirectory() as cache:
        _, place = converted(local_spec(paddle, onnx.name), paddle, Path(cache))
        onnx.mkdir(parents=True)
        shutil.copy(place / "model.onnx", onnx)


def _tensors(directory: Path) -> tuple[str, str]:
    import onnxruntime

    session = onnxruntime.InferenceSession(directory / "model.onnx")
    return session.get_inputs()[0].name, session.get_outputs()[0].name


def _kept(place: Path, write: Callable[[Path], None]) -> Path:
    """What `write` fills is made beside the place, and moved there when it is whole."""
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".making-", dir=place.parent))
        try:
            write(work)
            work.rename(place)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return place


def _export(name: str, directory: Path) -> None:
    import paddle

    paddle.seed(SEED)
    network = getattr(paddle.vision.models, name)()
    network.eval()
    shape = paddle.static.InputSpec([-1, 3, 224, 224], "float32", "x")
    paddle.jit.save(network, str(directory / "inference"), input_spec=[shape])


if __name__ == "__main__":
    _export(sys.argv[1], Path(sys.argv[2]))
