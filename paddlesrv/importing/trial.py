"""The trial of a network before it is installed: one input, in a process that may die of it.

A network can crash the process that runs it, hang it, or answer NaN without an error; all three
are errors here. See `trial_worker` for what that process does.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal, get_args

import msgspec

from paddlesrv.engines.base import EngineName, EngineOptions
from paddlesrv.errors import DeviceUnavailable, EngineError, IntegrityError, PaddlesrvError
from paddlesrv.isolated import Ended, Failure, run_isolated
from paddlesrv.models.spec import DType, ModelSpec

TIMEOUT_SECONDS = 120.0

Stage = Literal["starting", "loading", "running", "interpreting"]
_LINES_SHOWN = 3
_NUMPY_TYPES = frozenset(get_args(DType)) - {"bfloat16", "bytes"}
_ADVICE: dict[Stage, str] = {
    "starting": "see what is wrong with this machine: paddlesrv doctor",
    "loading": "see that program and parameters are of one export, and whole; or export it again",
    "running": "if it needs another input than the one made up, do not run it: --no-run",
    "interpreting": "the network is not one for this task; serve its tensors: --task tensors",
}


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """One output as it came; `nan` and `infinite` count such numbers in it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    nan: int = 0
    infinite: int = 0


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A run that went well: shapes that were fed, outputs, and the seconds that it took.

    `chosen` are the inputs some of whose dimensions the model leaves open. `result` says whether
    the task's own example was run and understood as well.
    """

    engine: EngineName
    load_seconds: float
    run_seconds: float
    inputs: dict[str, tuple[int, ...]]
    outputs: tuple[Answered, ...]
    chosen: tuple[str, ...] = ()
    result: bool = False


class Request(msgspec.Struct, frozen=True):
    """What the worker is asked to do."""

    spec: ModelSpec
    root: str
    options: EngineOptions
    report: str


class Report(msgspec.Struct, frozen=True):
    """How far the worker came; written anew at each stage."""

    stage: Stage = "starting"
    trial: Trial | None = None
    failure: Failure | None = None


def run_trial(
    spec: ModelSpec, root: Path, options: EngineOptions, timeout_seconds: float = TIMEOUT_SECONDS
) -> Trial:
    """Run a network once, and its task if it has one.

    Args:
        spec: The model.
        root: The directory that the spec's paths start from.
        options: Engine, device, precision, threads.
        timeout_seconds: Time for all of it, with the engine's start.

    Raises:
        EngineError: it crashed, hung, failed, or answered NaN.
        IntegrityError: a file is missing or damaged.
        DeviceUnavailable: the engine is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="paddlesrv-trial-") as scratch:
        path = Path(scratch) / "report.json"
        request = Request(spec, str(root.resolve()), options, str(path))
        ended = run_isolated("paddlesrv.importing.trial_worker", request, timeout_seconds)
        report = _read(path)
    if report.failure is not None:
        raise _failed(report.failure, report.stage)
    if ended.status != 0 or report.trial is None:
        raise _ended(spec, options, ended, report.stage, timeout_seconds)
    _check_numbers(spec, report.trial)
    return report.trial


def with_true_types(spec: ModelSpec, trial: Trial) -> tuple[ModelSpec, list[str]]:
    """The spec with the outputs' types as they came, where the files declare others.

    Returns:
        The spec, and a line on each type that was corrected.
    """
    told: list[str] = []
    outputs = []
    came = {answer.name: answer.dtype for answer in trial.outputs}
    for tensor in spec.outputs:
        found = came.get(tensor.name)
        # numpy has no bfloat16, and calls texts objects: what it says of those is not their type.
        if found in _NUMPY_TYPES and found != tensor.dtype and tensor.dtype != "bfloat16":
            told.append(f"{tensor.name} is {found}, not {tensor.dtype} as its files say")
            tensor = msgspec.structs.replace(tensor, dtype=msgspec.convert(found, DType))
        outputs.append(tensor)
    return msgspec.structs.replace(spec, outputs=tuple(outputs)), told


def _read(path: Path) -> Report:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.MsgspecError):  # it died before, or while, it wrote
        return Report()


def _check_numbers(spec: ModelSpec, trial: Trial) -> None:
    bad = [answer for answer in trial.outputs if answer.nan]
    if bad:
        first = bad[0]
        raise EngineError(
            f"the network of {spec.name} answers NaN to a plain input",
            context={"output": f"{first.name} {list(first.shape)}: {first.nan} are not a number"}
            | {f"input {name}": str(list(shape)) for name, shape in trial.inputs.items()},
            hints=["if that is right for this input, import it without a run: --no-run"],
        )


def _failed(failure: Failure, stage: Stage) -> PaddlesrvError:
    kinds = {kind.code: kind for kind in (IntegrityError, DeviceUnavailable)}
    context, hints = dict(failure.context), list(failure.hints)
    if failure.code not in kinds:
        context.pop("program", None)  # its place for the trial, which nobody can look at any more
        context["while"] = stage
        hints.append(_ADVICE[stage])
    return kinds.get(failure.code, EngineError)(failure.message, context=context, hints=hints)


def _ended(
    spec: ModelSpec, options: EngineOptions, ended: Ended, stage: Stage, seconds: float
) -> EngineError:
    lines = [line for line in ended.tail.splitlines() if line.strip()]
    context: dict[str, str] = {"while": stage, "engine": options.engine}
    if ended.status is None:
        return EngineError(
            f"the network of {spec.name} gave no answer within {seconds:g} s",
            context=context,
            hints=[f"give it more time: --timeout {max(60, round(seconds * 5))}"],
        )
    if lines:
        context["its last words"] = " | ".join(line.strip()[:200] for line in lines[-_LINES_SHOWN:])
    return EngineError(
        f"the network of {spec.name} ended the process that ran it: {ended.how}",
        context=context,
        hints=["export it again, with the newest version of its framework"],
    )
