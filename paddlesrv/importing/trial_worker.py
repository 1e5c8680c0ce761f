"""The process that tries one network; see `trial`.

Reads a `Request` from standard input and writes a `Report` to the file that it names, before each
stage, so that who survives knows how far this process came.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import numpy as np

from paddlesrv.engines import load_engine
from paddlesrv.engines.base import Engine
from paddlesrv.engines.check_input import IMAGE_SIDE, SEQUENCE, check_input
from paddlesrv.errors import EngineError, PaddlesrvError
from paddlesrv.importing.trial import Answered, Report, Request, Trial
from paddlesrv.isolated import Failure, die_with
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Tensor, dtype_name
from paddlesrv.predict import LoadedModel, make_tasks, predict_in_process
from paddlesrv.tasks import TASKS

# What open dimensions become, one try after the other: networks often have sizes that they can
# take, and do not say which.
_SIDES = (IMAGE_SIDE, 224, 320, 640)
_STEPS = (SEQUENCE, 1, 128)


def main() -> None:
    """Do what standard input asks."""
    die_with(int(sys.argv[1]))
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    for report in _stages(request):
        Path(request.report).write_bytes(msgspec.json.encode(report))


def _stages(request: Request) -> Iterator[Report]:
    report = Report("loading")
    yield report
    try:
        spec, root = request.spec, Path(request.root)
        began = time.perf_counter()
        engine = load_engine(spec, root, request.options)
        load_seconds = time.perf_counter() - began
        yield (report := Report("running"))
        inputs, outputs, seconds = _run(spec, engine)
        trial = Trial(
            engine=request.options.engine,
            load_seconds=load_seconds,
            run_seconds=seconds,
            inputs={name: tuple(tensor.data.shape) for name, tensor in inputs.items()},
            outputs=tuple(_answered(name, tensor) for name, tensor in outputs.items()),
            chosen=tuple(tensor.name for tensor in spec.inputs if _open(tensor)),
        )
        if spec.task in TASKS:
            yield (report := Report("interpreting"))
            models = {spec.name: LoadedModel(spec, root, engine)}
            example = make_tasks(models)[spec.name].example()
            predict_in_process(models, spec.name, [example])
            trial = msgspec.structs.replace(trial, result=True)
        yield Report(report.stage, trial=trial)
    except PaddlesrvError as error:
        failure = Failure.of(error)
        yield Report(report.stage, failure=failure)


def _run(spec: ModelSpec, engine: Engine) -> tuple[dict[str, Tensor], Mapping[str, Tensor], float]:
    """The first input that the network takes, its answer, and the seconds that it took."""
    first: EngineError | None = None
    for sizes in _tries(spec):
        inputs = check_input(spec, **sizes)
        began = time.perf_counter()
        try:
            outputs = engine.run(inputs)
        except EngineError as error:
            first = first or error
        else:
            return inputs, outputs, time.perf_counter() - began
    assert first is not None
    context = {
        f"input {name}": str(list(tensor.data.shape)) for name, tensor in check_input(spec).items()
    }
    raise EngineError(first.message, context=first.context | context, hints=first.hints)


def _tries(spec: ModelSpec) -> list[dict[str, int]]:
    pictures = any(_open(tensor) and len(tensor.shape) >= 4 for tensor in spec.inputs)
    others = any(_open(tensor) and len(tensor.shape) < 4 for tensor in spec.inputs)
    return [
        {"side": side, "steps": steps}
        for side in (_SIDES if pictures else _SIDES[:1])
        for steps in (_STEPS if others else _STEPS[:1])
    ]


def _open(tensor: TensorSpec) -> bool:
    """Whether the model leaves a dimension open, besides the batch."""
    return any(size < 0 for size in tensor.shape[1:])


def _answered(name: str, tensor: Tensor) -> Answered:
    data = tensor.data
    floats = data.dtype.kind == "f"
    return Answered(
        name=name,
        dtype=dtype_name(data),
        shape=tuple(data.shape),
        nan=int(np.isnan(data).sum()) if floats else 0,
        infinite=int(np.isinf(data).sum()) if floats else 0,
    )


if __name__ == "__main__":
    main()
