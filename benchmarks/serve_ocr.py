"""OCR: pictures per second that paddlesrv reads, over HTTP and in one process.

The pipeline `ocr` (find lines of text, turn them, read them) is fetched if it is not installed,
and served as a user serves it; the picture of the README is sent as it is. Points over HTTP and
in process alternate. Networks run with ONNX Runtime, except those that do not convert for it.

    python -m benchmarks.serve_ocr --export ocr.json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import load
from benchmarks.load import Target
from benchmarks.report import OURS, Point, as_json, table
from benchmarks.systems import System, free_port
from paddlesrv.engines import load_engine
from paddlesrv.errors import DeviceUnavailable
from paddlesrv.predict import InProcessRunner, LoadedModel, make_tasks
from paddlesrv.server.config import ModelConfig, ServerConfig, engine_options, render_config
from paddlesrv.settings import from_environment
from paddlesrv.tasks.base import TaskInput, TaskOptions
from paddlesrv.zoo.store import Store

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "hello.png"
PIPELINE = "ocr"
IN_FLIGHT = 4


def load_models(threads: int) -> tuple[dict[str, LoadedModel], list[ModelConfig]]:
    """The pipeline in this process, and the configuration with which a server runs the same."""
    store = Store(from_environment().cache_dir)
    if store.installed(PIPELINE) is None:
        subprocess.run([sys.executable, "-m", "paddlesrv", "get", PIPELINE], check=True)
    pipeline = store.installed(PIPELINE)
    assert pipeline is not None, "it was fetched"
    models = {PIPELINE: LoadedModel(pipeline.spec, pipeline.directory, None)}
    configs = [ModelConfig(name=PIPELINE, threads=threads)]
    for name in pipeline.spec.components.values():
        part = store.installed(name)
        assert part is not None, "a pipeline is installed with its parts"
        config = ModelConfig(name=name, engine="onnxruntime", threads=threads)
        try:
            engine = load_engine(part.spec, part.directory, engine_options(config))
        except DeviceUnavailable:  # it does not convert
            config = ModelConfig(name=name, engine="paddle", threads=threads)
            engine = load_engine(part.spec, part.directory, engine_options(config))
        models[name] = LoadedModel(part.spec, part.directory, engine)
        configs.append(config)
    return models, configs


async def in_process(
    models: dict[str, LoadedModel], picture: bytes, at_once: int, seconds: float
) -> tuple[float, str]:
    """Pictures per second with so many in flight, and the text that was read."""
    task = make_tasks(models)[PIPELINE]
    engines = {name: m.engine for name, m in models.items() if m.engine is not None}
    item, options = TaskInput("image", picture), TaskOptions()
    with InProcessRunner(engines) as runner:
        text: str = (await task.answer(item, options, runner)).text  # type: ignore[attr-defined]
        started = time.perf_counter()
        done = 0

        async def one_after_another() -> None:
            nonlocal done
            while time.perf_counter() - started < seconds:
                await task.answer(item, options, runner)
                done += 1

        await asyncio.gather(*(one_after_another() for _ in range(at_once)))
        return done / (time.perf_counter() - started), text


def main() -> None:
    """Serve, measure in turns, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10, help="per point")
    parser.add_argument("--threads", type=int, default=1, help="of each network")
    parser.add_argument("--tool", choices=["wrk", "own"], default=load.tool())
    parser.add_argument("--export", type=Path, help="write all figures as JSON")
    args = parser.parse_args()

    models, configs = load_models(args.threads)
    picture = PICTURE.read_bytes()
    notes = [f"load by {args.tool}; {args.rounds} rounds of {args.seconds:g} s a point, medians"]
    notes += [f"{c.name}: {c.engine}, {c.threads} thread(s)" for c in configs[1:]]
    points: list[Point] = []
    alone: dict[int, list[float]] = {1: [], IN_FLIGHT: []}
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        file = Path(directory, "paddlesrv.yaml")
        file.write_text(render_config(ServerConfig(models=tuple(configs), port=port)))
        target = Target(f"http://127.0.0.1:{port}/predict/{PIPELINE}", picture, "image/png")
        command = [sys.executable, "-m", "paddlesrv", "serve", "--config", str(file)]
        system = System(OURS, command, target, None, Path(directory, "log"))
        try:
            served = json.loads(system.answer())["results"][0]["text"]
            for _ in range(args.rounds):
                for at_once, rates in alone.items():
                    rate, text = asyncio.run(in_process(models, picture, at_once, args.seconds / 2))
                    if text != served:
                        raise RuntimeError(f"the server reads {served!r}, this process {text!r}")
                    rates.append(rate)
                for connections in args.connections:
                    cpu = system.cpu_seconds()
                    report = load.measure(target, connections, args.seconds, args.tool)
                    points.append(Point(OURS, report, system.cpu_seconds() - cpu))
        finally:
            system.stop()
    print(table(points, alone, "pictures/s with {} in flight", notes))
    if args.export:
        args.export.write_text(as_json(points, alone, notes))


if __name__ == "__main__":
    main()
