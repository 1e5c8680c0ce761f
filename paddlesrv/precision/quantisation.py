"""`quantise`: from a model and a directory of its user's inputs to an int8 form, if that agrees.

The work is done in a process of its own (`worker`), under a clock: it imports onnx, holds two
engines and may need much memory. What it has made is published here, and only if it is accepted.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from paddlesrv.engines.conversion import converted
from paddlesrv.engines.files import checked_files
from paddlesrv.engines.quantised import DIRECTORY, MODEL, REPORT, is_quantised, place_of
from paddlesrv.errors import DeviceUnavailable, EngineError, UsageError, of_code
from paddlesrv.isolated import Failure, run_isolated
from paddlesrv.models.spec import ModelSpec
from paddlesrv.precision.report import Report
from paddlesrv.server.config import default_threads
from paddlesrv.server.local_model import LocalModel
from paddlesrv.settings import from_environment

TIMEOUT_SECONDS = 3600.0
WORKER = "paddlesrv.precision.worker"

Watch = Callable[[str], None]
"""Told what is being done, before it takes long."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A model for the worker: as it is, and its network as ONNX (a pipeline has none)."""

    spec: ModelSpec
    root: str
    onnx: ModelSpec | None = None
    onnx_root: str = ""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker is asked to do: components first, the model itself last."""

    models: tuple[Source, ...]
    calibration: str
    work: str
    threads: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it; the networks lie in the directory `work`, each in `MODEL/model.onnx`."""

    report: Report | None = None
    failure: Failure | None = None


def quantise(
    model: LocalModel,
    parts: Sequence[LocalModel],
    calibration: Path,
    *,
    accept: bool = False,
    threads: int = 0,
    cache_dir: Path | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
    watch: Watch = lambda text: None,
) -> Report:
    """Make the int8 form of a model for ONNX Runtime, and keep it if it agrees with fp32.

    For a pipeline, every network in it gets one. An earlier form of the same model is replaced.

    Args:
        model: The model.
        parts: Its component models, if it has any.
        calibration: A directory of inputs such as the model will get: pictures, `.txt` with one
            text a line, `.json` (`.jsonl`) of features, or `.npz`/`.npy` of tensors for a model
            without a task.
        accept: Keep it even if it agrees less than the task's threshold.
        threads: Threads inside one run, for the speed in the report; 0: all cores.
        cache_dir: The store's directory; by default the one that the environment says.
        timeout_seconds: Time for everything after the conversion to ONNX.
        watch: Told what is being done.

    Returns:
        The report; nothing was kept unless it is `accepted`.

    Raises:
        UsageError: the directory is not there, or holds nothing that the model takes.
        InvalidInput: a file in it is damaged; the error names it.
        DeviceUnavailable: the network does not convert to ONNX, or cannot be quantised.
        EngineError: a network failed, or time was up.
        IntegrityError: a file of the model is missing or damaged.
    """
    if not calibration.is_dir():
        raise UsageError(
            f"{calibration} is not a directory",
            context={"wanted": "a directory of pictures or texts such as the model will get"},
            hints=["name one: --calibrate DIR"],
        )
    store = (cache_dir or from_environment().cache_dir) / DIRECTORY
    sources = []
    for local in (*parts, model):
        if local.spec.format == "pipeline":
            sources.append(Source(spec=local.spec, root=str(local.root.resolve())))
            continue
        watch(f"{local.spec.name}: as ONNX")
        sources.append(_source(local, store.parent))
    try:
        store.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".quantising-", dir=store))
    except OSError as error:
        raise UsageError(
            f"the int8 form of {model.spec.name} cannot be kept: {error.strerror or error}",
            context={"directory": str(store)},
        ) from error
    try:
        watch(f"{model.spec.name}: calibrating with {calibration}")
        request = Request(
            models=tuple(sources),
            calibration=str(calibration.resolve()),
            work=str(work),
            threads=threads or default_threads(1),
        )
        report = _ask(model.spec, request, timeout_seconds)
        if not report.agreement.enough and not accept:
            return report
        report = msgspec.structs.replace(report, accepted=True, forced=not report.agreement.enough)
        for source in sources:
            if source.onnx is not None:
                _publish(source, work, report, store.parent)
        return report
    finally:
        shutil.rmtree(work, ignore_errors=True)


def accepted_report(local: LocalModel, cache_dir: Path | None = None) -> Report | None:
    """The report of a model's int8 form, or None if there is no such form.

    Raises:
        IntegrityError: a file of the model is missing or damaged.
    """
    if local.spec.format == "pipeline":
        return None
    path = place_of(checked_files(local.spec, local.root), cache_dir) / REPORT
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.MsgspecError):
        return None


def _source(local: LocalModel, cache_dir: Path) -> Source:
    spec, root = local.spec, local.root
    files = checked_files(spec, root)
    if is_quantised(files):
        raise DeviceUnavailable(
            f"{spec.name} is quantised as it is",
            hints=[f"serve it so: paddlesrv serve {spec.name} --engine onnxruntime"],
        )
    onnx, place = spec, root
    if spec.format != "onnx":
        onnx, place = converted(spec, root, cache_dir / "converted")
    return Source(spec=spec, root=str(root.resolve()), onnx=onnx, onnx_root=str(place.resolve()))


def _ask(spec: ModelSpec, request: Request, timeout_seconds: float) -> Report:
    ended = run_isolated(WORKER, request, timeout_seconds)
    path = Path(request.work) / REPORT
    if ended.status == 0 and path.is_file():
        answer = msgspec.json.decode(path.read_bytes(), type=Answer)
        if answer.report is not None:
            return answer.report
        if answer.failure is not None:
            failure = answer.failure
            raise of_code(failure.code, EngineError)(
                failure.message, context=failure.context, hints=failure.hints
            )
    hints = []
    if ended.status is None:
        hints = ["take fewer pictures or texts"]
    raise EngineError(
        f"{spec.name} was not quantised: {ended.how}",
        context={"after": f"{timeout_seconds:.0f} s"} if ended.status is None else {},
        hints=hints,
    ) from RuntimeError(ended.tail)


def _publish(source: Source, work: Path, report: Report, cache_dir: Path) -> None:
    """Put a network where it is looked for, in place of an earlier one."""
    made = work / source.spec.name
    (made / REPORT).write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    assert (made / MODEL).is_file(), "the worker leaves a network for each that it reports"
    place = place_of(checked_files(source.spec, Path(source.root)), cache_dir)
    earlier = work / f"{source.spec.name}.earlier"
    for _ in range(3):  # another process may publish at the same time
        if place.exists():
            try:
                place.rename(earlier)
            except OSError:
                continue
        try:
            made.rename(place)
        except OSError:
            shutil.rmtree(earlier, ignore_errors=True)
        else:
            return
    raise EngineError(f"the int8 form of {source.spec.name} cannot be written to {place}")
