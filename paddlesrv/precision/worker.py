"""The process that quantises one model and compares both forms; see `quantisation`.

Reads a `Request` from standard input, leaves each network in `WORK/MODEL/model.onnx`, and writes an
`Answer` to `WORK/report.json`. fp32 is ONNX Runtime as well: what is compared is the precision.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from paddlesrv.engines import onnxruntime
from paddlesrv.engines.base import Engine, EngineOptions
from paddlesrv.engines.hardware import read_cpu
from paddlesrv.engines.quantised import MODEL, REPORT
from paddlesrv.errors import DeviceUnavailable, EngineError, InvalidInput, PaddlesrvError
from paddlesrv.isolated import Failure, die_with
from paddlesrv.models.tensor import Tensor
from paddlesrv.precision.agreement import agreement, raw_cosine
from paddlesrv.precision.calibration import Sample, read_samples
from paddlesrv.precision.quantisation import Answer, Request, Source
from paddlesrv.precision.recording import Recording
from paddlesrv.precision.report import Calibration, Network, Report, Speed
from paddlesrv.precision.static import Way, prepare, quantise_network, ways
from paddlesrv.predict import InProcessRunner, LoadedModel, make_tasks
from paddlesrv.tasks import TASKS
from paddlesrv.tasks.base import Task, TaskInput, TaskOptions

_ROWS = (1, 8)
_COMPARED = 64
_ROUNDS, _SECONDS = 15, 4.0
"""Speed: so many rounds, or as many as fit into the time for one batch."""


def main() -> None:
    """Do what standard input asks."""
    die_with(int(sys.argv[1]))
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    try:
        answer = Answer(report=_Work(request).report())
    except PaddlesrvError as error:
        answer = Answer(failure=Failure.of(error))
    (Path(request.work) / REPORT).write_bytes(msgspec.json.encode(answer))


class _Work:
    """One model's quantisation, step by step."""

    def __init__(self, request: Request) -> None:
        self._sources = {source.spec.name: source for source in request.models}
        self._networks = [s for s in request.models if s.onnx is not None]
        self._asked = request.models[-1]
        self._work = Path(request.work)
        self._directory = Path(request.calibration)
        self._options = EngineOptions(engine="onnxruntime", threads=request.threads)
        self._plain = {s.spec.name: _load(s, self._options) for s in self._networks}
        self._recordings = {
            s.spec.name: Recording(s.spec, self._plain[s.spec.name], self._work / f"{i}.inputs")
            for i, s in enumerate(self._networks)
        }

    def report(self) -> Report:
        """Record, then quantise in one way after the other until one agrees."""
        spec = self._asked.spec
        task = self._task()
        read = read_samples(self._directory, spec, task.accepts if task else None)
        names = [sample.name for sample in read.samples]
        right = self._answers(task, read.samples, self._recordings)
        used = [s for s in self._networks if self._recordings[s.spec.name].count]
        if len(used) < len(self._networks):
            unasked = next(s for s in self._networks if s not in used).spec.name
            raise InvalidInput(
                f"nothing in {self._directory} makes {spec.name} ask {unasked}",
                hints=["add inputs in which there is something to find"],
            )
        for source in used:
            prepare(_program(source), self._work / f"{source.spec.name}.prepared.onnx")
        attempts: list[tuple[Way, Report]] = []
        cpu = read_cpu()
        for way in ways(cpu.features):
            quantised = {s.spec.name: self._quantised(s, way) for s in used}
            found = self._answers(task, read.samples, quantised) if task else []
            cosines = {s.spec.name: self._cosine(s, quantised[s.spec.name]) for s in used}
            agreed = agreement(spec.task, names, right, found, min(cosines.values()))
            report = Report(
                model=spec.name,
                task=spec.task,
                accepted=False,
                agreement=agreed,
                networks=tuple(
                    self._network(s, way, cosines[s.spec.name], quantised[s.spec.name])
                    for s in used
                ),
                calibration=Calibration(
                    directory=str(self._directory), count=len(names), sha256=read.sha256
                ),
                attempts=tuple((w.name, r.agreement.value) for w, r in attempts),
                cpu=cpu.name,
                threads=self._options.threads,
                onnxruntime=_version(),
                when=datetime.now(timezone.utc),
            )
            attempts.append((way, report))
            if agreed.enough:
                break
        way, best = max(attempts, key=lambda attempt: attempt[1].agreement.value)
        for source in used:
            made = self._work / source.spec.name
            made.mkdir()
            self._file(source, way).rename(made / MODEL)
        others = tuple((w.name, r.agreement.value) for w, r in attempts if w != way)
        return msgspec.structs.replace(best, attempts=others)

    def _task(self) -> Task | None:
        if self._asked.spec.task not in TASKS:
            return None
        models = {
            name: LoadedModel(s.spec, Path(s.root), None) for name, s in self._sources.items()
        }
        return make_tasks(models)[self._asked.spec.name]

    def _answers(
        self, task: Task | None, samples: Sequence[Sample], engines: Mapping[str, Any]
    ) -> list[Any]:
        with InProcessRunner(engines) as runner:
            return [asyncio.run(self._answer(task, sample, runner)) for sample in samples]

    async def _answer(self, task: Task | None, sample: Sample, runner: InProcessRunner) -> Any:
        try:
            if task is not None and isinstance(sample.item, TaskInput):
                return await task.answer(sample.item, TaskOptions(), runner)
            assert isinstance(sample.item, dict), "a model without a task is given tensors"
            await runner.infer(self._asked.spec.name, sample.item)
            return None
        except (InvalidInput, EngineError) as error:
            raise type(error)(
                f"{sample.name}: {error.message}",
                context={**error.context, "directory": str(self._directory)},
                hints=[*error.hints, "repair it, or take it out of the directory"],
            ) from error

    def _file(self, source: Source, way: Way) -> Path:
        return self._work / f"{source.spec.name}.{way.spared:d}{len(way.operators)}.onnx"

    def _quantised(self, source: Source, way: Way) -> Engine:
        name = source.spec.name
        target = self._file(source, way)
        prepared = self._work / f"{name}.prepared.onnx"
        quantise_network(prepared, target, self._recordings[name].inputs(), way)
        assert source.onnx is not None
        spec = msgspec.structs.replace(source.onnx, program=target.name, digests={})
        return onnxruntime.load(spec, self._work, self._options)

    def _cosine(self, source: Source, engine: Engine) -> float:
        name = source.spec.name
        return statistics.fmean(
            raw_cosine(self._plain[name].run(inputs), engine.run(inputs))
            for inputs in self._recordings[name].inputs(_COMPARED)
        )

    def _network(self, source: Source, way: Way, cosine: float, engine: Engine) -> Network:
        name = source.spec.name
        speeds = [self._speed(source, engine, rows) for rows in _ROWS]
        return Network(
            model=name,
            recorded=self._recordings[name].count,
            operators=way.operators,
            spared=way.spared,
            reduced_range=way.reduced_range,
            cosine=round(cosine, 6),
            fp32_bytes=_program(source).stat().st_size,
            int8_bytes=self._file(source, way).stat().st_size,
            speed=tuple(speed for speed in speeds if speed is not None),
        )

    def _speed(self, source: Source, quantised: Engine, rows: int) -> Speed | None:
        """Both forms in turns on the first input, so often repeated; None where they refuse it."""
        name = source.spec.name
        first = next(self._recordings[name].inputs(1))
        inputs = {key: _repeated(source, key, tensor, rows) for key, tensor in first.items()}
        taken: dict[str, list[float]] = {"fp32": [], "int8": []}
        forms = {"fp32": self._plain[name], "int8": quantised}
        ends = time.perf_counter() + _SECONDS
        try:
            for engine in forms.values():
                engine.run(inputs)
            for number in range(_ROUNDS):
                for form, engine in forms.items():
                    began = time.perf_counter()
                    engine.run(inputs)
                    taken[form].append(time.perf_counter() - began)
                if number >= 2 and time.perf_counter() > ends:
                    break
        except EngineError:
            return None
        fp32, int8 = (statistics.median(seconds) * 1e3 for seconds in taken.values())
        return Speed(rows=rows, fp32_ms=round(fp32, 4), int8_ms=round(int8, 4))


def _load(source: Source, options: EngineOptions) -> Engine:
    assert source.onnx is not None
    return onnxruntime.load(source.onnx, Path(source.onnx_root), options)


def _program(source: Source) -> Path:
    if source.onnx is None or source.onnx.program is None:
        raise DeviceUnavailable(f"{source.spec.name} has no network")
    return Path(source.onnx_root) / source.onnx.program


def _repeated(source: Source, name: str, tensor: Tensor, rows: int) -> Tensor:
    declared = source.spec.input(name)
    if declared is None or declared.batching != "rows":
        return tensor
    return Tensor(np.ascontiguousarray(np.repeat(tensor.data[:1], rows, axis=0)))


def _version() -> str:
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "unknown"


if __name__ == "__main__":
    main()
