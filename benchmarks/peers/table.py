"""The servers that are compared: what each is installed with, and in which forms it is asked."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.load import Target
from benchmarks.networks import Network
from benchmarks.peers.environments import engine_pin, make
from benchmarks.systems import System, free_port, paddlesrv

Wire = Literal["json", "binary", "predict"]
Form = Literal[
    "open-inference", "open-inference-binary", "bytes", "bentoml", "pipeline", "images", "image"
]  # fmt: skip
"""How a row looks in a request.

The Open Inference Protocol's JSON; its binary extension; the row's bytes and nothing else, which is
less than the extension asks of us; the same JSON as the first, with an answer that is its list of
outputs alone, because BentoML names arguments; Paddle Serving's own JSON, which holds a tensor too.
With `images` (ours) and `image` (PaddleX) JSON holds a picture in base64, and the server makes the
tensor itself.
"""

HERE = Path(__file__).parent
OURS = "paddlesrv"
PICTURE = HERE.parents[1] / "docs" / "images" / "hello.png"
_OPEN_INFERENCE: Mapping[Wire, tuple[Form, str]] = {
    "json": ("open-inference", "/v2/models/{name}/infer"),
    "binary": ("open-inference-binary", "/v2/models/{name}/infer"),
}


@dataclass(frozen=True)
class Peer:
    """One server: `serve_NAME.py` beside this file runs it; `asked` says form and path by wire."""

    name: str
    packages: tuple[str, ...]
    asked: Mapping[Wire, tuple[Form, str]]
    python: str | None = None
    engine: Literal["onnxruntime", "paddle"] = "onnxruntime"
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Load:
    """How the network is to run, the same for all; `max_delay_ms` None: each one's usual wait."""

    threads: int
    workers: int
    max_batch_size: int
    max_delay_ms: float | None = None


def _peers() -> tuple[Peer, ...]:
    engine = (engine_pin(), "numpy")
    return (
        # Its stub was built for numpy 1: of numpy 2's arrays it takes no bytes.
        Peer("triton", ("nvidia-pytriton==0.7.0", engine[0], "numpy<2"), _OPEN_INFERENCE),
        Peer(
            "mosec",
            ("mosec==0.9.8", *engine),
            {"json": ("open-inference", "/inference"), "binary": ("bytes", "/inference")},
        ),
        Peer("litserve", ("litserve==0.2.19", *engine), {"json": ("open-inference", "/predict")}),
        # No binary extension over HTTP. Its workers do not start with later versions of uvloop.
        Peer(
            "mlserver",
            ("mlserver==1.7.1", "uvloop==0.21.0", *engine),
            {"json": _OPEN_INFERENCE["json"]},
        ),
        Peer("bentoml", ("bentoml==1.4.39", *engine), {"json": ("bentoml", "/infer")}),
        Peer(
            "ray",
            ("ray[serve]==2.60.0", *engine),
            {"json": ("open-inference", "/infer"), "binary": ("bytes", "/infer")},
            environment={
                "RAY_USAGE_STATS_ENABLED": "0",
                "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
                "RAY_SERVE_ENABLE_DIRECT_INGRESS": "0",  # wants HAProxy in front
            },
        ),
        # The last release of 2022; of Paddle 2 it is the last that Python 3.8 has.
        Peer(
            "pipeline",
            (
                "--no-deps paddle-serving-server==0.9.0",
                "--no-deps paddle-serving-client==0.9.0",
                "--no-deps paddle-serving-app==0.9.0",
                "paddlepaddle==2.6.2",
                "numpy<1.24",
                "protobuf==3.20.2",
                "grpcio==1.47.5",
                "grpcio-tools==1.47.5",
                "flask<2.3",
                "func-timeout",
                "pyyaml",
                "requests",
                "six",
                "opencv-python-headless<4.9",
                "sentencepiece",
                "shapely",
                "pyclipper",
                "pytest",
            ),
            {"json": ("pipeline", "/{name}/prediction")},
            python="3.8",
            engine="paddle",
        ),
        # Its 3.7.2 answers 500 to every picture: numbers of classes are not told apart by picture.
        Peer(
            "paddlex",
            ("paddlex[cv,serving]==3.4.3", "paddlepaddle==3.3.1"),
            {"predict": ("image", "/image-classification")},
            engine="paddle",
        ),
    )


def versions() -> dict[str, str]:
    """The version of each peer."""
    found = {}
    for peer in PEERS.values():
        name, _, version = peer.packages[0].removeprefix("--no-deps ").partition("==")
        found[name.partition("[")[0]] = version
    return found


PEERS: dict[str, Peer] = {peer.name: peer for peer in _peers()}


def start_ours(network: Network, load: Load, scratch: Path, label: str = OURS) -> System:
    """paddlesrv, as a user starts it; each model is a server of its own."""
    port = free_port()
    words = ["--max-batch-size", str(load.max_batch_size), "--threads", str(load.threads)]
    words += ["--instances", str(load.workers)]
    if load.max_delay_ms is not None:
        words += ["--max-delay", f"{load.max_delay_ms:g}"]
    home = {"PADDLESRV_HOME": str(scratch / "home")}
    model = str(network.served)
    ours: dict[Wire, tuple[Form, str]] = dict(_OPEN_INFERENCE)
    if network.takes_pictures:
        # A model of one's own is served with its pictures once it is imported with its task.
        own = [sys.executable, "-m", "paddlesrv", "import", model, "--task", "image-classification"]
        subprocess.run(
            [*own, "--no-run"], env={**os.environ, **home}, check=True, capture_output=True
        )
        model = network.name
        ours["predict"] = ("images", "/predict/{name}")
    command = paddlesrv(model, *words, port=port, engine=network.engine)
    targets = {wire: target(network, port, *asked) for wire, asked in ours.items()}
    return System(label, command, targets, home, scratch / f"{label}.log")


def start(peer: Peer, network: Network, load: Load, home: Path, scratch: Path) -> System:
    """A peer, in its own environment.

    Raises:
        CannotInstall: it cannot be had.
    """
    python = make(peer.name, peer.packages, peer.python, home)
    port = free_port()
    job = scratch / f"{peer.name}.json"
    told = {
        "port": port,
        "name": network.name,
        "model": str(network.onnx / "model.onnx"),
        "paddle": str(network.paddle),
        "input": network.input,
        "output": network.output,
        "shape": network.shape,
        "classes": network.classes,
        "threads": load.threads,
        "workers": load.workers,
        "max_batch_size": load.max_batch_size,
        "max_delay_ms": load.max_delay_ms or 0.0,
    }
    job.write_text(json.dumps(told))
    # Theirs is another Python: ours must not find a way into it.
    clean = {"PYTHONPATH": "", "PYTHONHOME": "", "OMP_NUM_THREADS": str(load.threads)}
    clean["PATH"] = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    targets = {wire: target(network, port, *asked) for wire, asked in peer.asked.items()}
    command = [str(python), str(HERE / f"serve_{peer.name}.py"), str(job)]
    environment = {**clean, **peer.environment}
    return System(peer.name, command, targets, environment, scratch / f"{peer.name}.log", scratch)


def target(network: Network, port: int, form: Form, path: str) -> Target:
    """The request that asks for one row."""
    url = f"http://127.0.0.1:{port}" + path.format(name=network.name)
    row = network.row()
    if form == "bytes":
        return Target(url, row.tobytes(), "application/octet-stream")
    if form in ("images", "image"):
        picture = base64.b64encode(PICTURE.read_bytes()).decode()
        said = {"images": [picture]} if form == "images" else {"image": picture}
        return Target(url, json.dumps(said).encode())
    tensor = {"name": network.input, "shape": list(row.shape), "datatype": "FP32"}
    if form in ("open-inference", "bentoml"):
        # Shortest decimals that are still the same float32, as clients send them.
        values = [float(str(value)) for value in row.ravel()]
        return Target(url, json.dumps({"inputs": [{**tensor, "data": values}]}).encode())
    if form == "pipeline":
        own = {"name": network.input, "elem_type": 1, "shape": list(row.shape)}
        values = [float(str(value)) for value in row.ravel()]
        return Target(url, json.dumps({"tensors": [{**own, "float_data": values}]}).encode())
    tensor["parameters"] = {"binary_data_size": row.nbytes}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    lengths = {"inference-header-content-length": str(len(head))}
    return Target(url, head + row.tobytes(), "application/octet-stream", lengths)


def answer_of(body: bytes, wire: Wire, network: Network) -> np.ndarray:
    """The row that a server answered; of bytes it is the end of them in every form.

    Of a picture it is the number of classes that were named: what random weights make of a picture
    hangs on the last bit.

    Raises:
        ValueError: it is no such answer.
        LookupError: likewise.
    """
    if wire == "predict":
        said = json.loads(body)
        found = said["results"][0]["classes"] if "results" in said else said["result"]["categories"]
        return np.float32([len(found)])
    if wire == "binary":
        return np.frombuffer(body[-4 * network.classes :], np.float32)
    said = json.loads(body)
    if isinstance(said, dict) and "err_no" in said:
        return np.asarray(json.loads(said["value"][0]), np.float32).ravel()
    outputs = said["outputs"] if isinstance(said, dict) else said
    return np.asarray(outputs[0]["data"], np.float32).ravel()
