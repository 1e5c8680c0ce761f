"""The linear model of 13 features: requests per second of paddlesrv and of its peers.

Each system serves the same ONNX file with ONNX Runtime on one thread, merges requests into
batches of up to 64, and is sent the same JSON, byte for byte. All are up during the whole run;
points are taken in turns (each system at 1 connection, each at 16, each at 64, and again), so
that whatever else the machine does meets all of them alike. Medians are reported.

    python -m benchmarks.serve_linear --peers --export linear.json
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import load
from benchmarks.load import Target
from benchmarks.report import Point, as_json, table
from benchmarks.systems import PEER_PACKAGES, System, free_port, paddlesrv, peer_python
from tests.standins import linear

FEATURES = [float(i) for i in range(1, 14)]
OPEN_INFERENCE = json.dumps(
    {"inputs": [{"name": "x", "shape": [1, 13], "datatype": "FP32", "data": FEATURES}]}
).encode()


def start_ours(model: Path, scratch: Path) -> System:
    """paddlesrv, as a user starts it."""
    port = free_port()
    command = paddlesrv(str(model), "--max-batch-size", "64", "--threads", "1", port=port)
    url = f"http://127.0.0.1:{port}/v2/models/{model.name}/infer"
    home = {"PADDLESRV_HOME": str(scratch / "home")}
    return System("paddlesrv", command, Target(url, OPEN_INFERENCE), home, scratch / "ours.log")


def start_mosec(python: Path, model: Path, scratch: Path) -> System:
    """mosec, with a worker that takes and gives the same JSON."""
    port = free_port()
    script = Path(__file__).parent / "peers" / "mosec_linear.py"
    command = [str(python), str(script), "--address", "127.0.0.1", "--port", str(port)]
    target = Target(f"http://127.0.0.1:{port}/inference", OPEN_INFERENCE)
    environment = {"LINEAR_MODEL": str(model / "model.onnx")}
    return System("mosec", command, target, environment, scratch / "mosec.log")


def start_litserve(python: Path, model: Path, scratch: Path) -> System:
    """LitServe, with an API that takes and gives the same JSON."""
    port = free_port()
    script = Path(__file__).parent / "peers" / "litserve_linear.py"
    command = [str(python), str(script), str(port), str(model / "model.onnx")]
    target = Target(f"http://127.0.0.1:{port}/predict", OPEN_INFERENCE)
    return System("litserve", command, target, None, scratch / "litserve.log")


def start_triton(python: Path, model: Path, scratch: Path) -> System:
    """Triton, the request being the same as ours."""
    port = free_port()
    script = Path(__file__).parent / "peers" / "triton_linear.py"
    command = [str(python), str(script), str(port), str(model / "model.onnx")]
    target = Target(f"http://127.0.0.1:{port}/v2/models/linear/infer", OPEN_INFERENCE)
    return System("triton", command, target, None, scratch / "triton.log")


PEERS: dict[str, Callable[[Path, Path, Path], System]] = {
    "mosec": start_mosec,
    "litserve": start_litserve,
    "triton": start_triton,
}


def check_answer(system: System) -> None:
    """One request must be answered, and rightly.

    Raises:
        RuntimeError: it is not.
    """
    value = json.loads(system.answer())["outputs"][0]["data"][0]
    wanted = float(linear.expected(np.float32([FEATURES]))[0, 0])
    if abs(value - wanted) > 1e-3:
        raise RuntimeError(f"{system.name} answers {value}, not {wanted}")


def in_process(model: Path, rows: int, seconds: float) -> float:
    """Rows per second of the engine alone, called in this process with batches of `rows`."""
    from paddlesrv.engines import load_engine
    from paddlesrv.engines.base import EngineOptions
    from paddlesrv.models.tensor import Tensor
    from tests.server.harness import local_spec

    engine = load_engine(local_spec(model, model.name), model, EngineOptions(engine="onnxruntime"))
    inputs = {"x": Tensor(np.tile(np.float32(FEATURES), (rows, 1)))}
    engine.run(inputs)
    runs, started = 0, time.perf_counter()
    while (now := time.perf_counter()) - started < seconds:
        engine.run(inputs)
        runs += 1
    engine.close()
    return runs * rows / (now - started)


def main() -> None:
    """Start everything, measure in turns, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", action="store_true", help="install the peers if they are absent")
    parser.add_argument("--peer-python", default=sys.executable, help="Python that runs them")
    parser.add_argument("--only", nargs="+", help="of these peers only (or 'none')")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="per point")
    parser.add_argument("--tool", choices=["wrk", "own"], default=load.tool())
    parser.add_argument("--export", type=Path, help="write all figures as JSON")
    args = parser.parse_args()

    notes = [f"load by {args.tool}; {args.rounds} rounds of {args.seconds:g} s a point, medians"]
    points: list[Point] = []
    engine: dict[int, list[float]] = {1: [], 64: []}
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as running:
        scratch = Path(directory)
        model = scratch / "linear"
        linear.write_onnx(model)
        systems = [start_ours(model, scratch)]
        running.callback(systems[0].stop)
        for name, start in PEERS.items():
            if args.only and name not in args.only:
                continue
            try:
                python = peer_python(name, make=args.peer_python if args.peers else None)
            except (OSError, subprocess.CalledProcessError) as error:
                notes.append(f"{name} left out: it does not install: {error}")
                continue
            if python is None:
                notes.append(f"{name} left out: --peers installs {PEER_PACKAGES[name][0]}")
                continue
            system = start(python, model, scratch)
            try:
                check_answer(system)
            except (RuntimeError, ValueError, LookupError) as error:
                # One peer that fails takes nothing from what the others show.
                system.stop()
                notes.append(f"{name} left out: {error}")
                continue
            running.callback(system.stop)
            systems.append(system)
        check_answer(systems[0])
        for system in systems:
            load.measure(system.target, max(args.connections), 1, args.tool)  # warm up
        for _ in range(args.rounds):
            for rows, rates in engine.items():
                rates.append(in_process(model, rows, 0.5))
            for connections in args.connections:
                for system in systems:
                    cpu = system.cpu_seconds()
                    report = load.measure(system.target, connections, args.seconds, args.tool)
                    points.append(Point(system.name, report, system.cpu_seconds() - cpu))
    print(table(points, engine, "rows/s in batches of {}", notes))
    if args.export:
        args.export.write_text(as_json(points, engine, notes))


if __name__ == "__main__":
    main()
