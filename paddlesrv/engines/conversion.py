"""Paddle models for ONNX Runtime: converted once, compared with paddle, and kept.

The conversion runs in a process of its own (`convert_worker`): paddle2onnx can crash, and leaves
paddle in memory. What is kept is keyed by the digests of program and parameters, so that another
model of the same name is converted anew.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import tempfile
from pathlib import Path

import msgspec

from paddlesrv.engines.files import ModelFiles, checked_files, sha256
from paddlesrv.errors import DeviceUnavailable, EngineError
from paddlesrv.isolated import run_isolated
from paddlesrv.models.spec import ModelSpec
from paddlesrv.settings import from_environment

OPSET = 17
TIMEOUT_SECONDS = 600.0
DIFFERENCE_MAX = 1e-3
"""Largest difference to paddle's answers, relative to the largest number of an output."""

MODEL = "model.onnx"
_REPORT = "conversion.json"


class Request(msgspec.Struct, frozen=True):
    """What the worker is asked to do."""

    spec: ModelSpec
    root: str
    target: str
    report: str
    opset: int = OPSET


class Report(msgspec.Struct, frozen=True):
    """What became of it: an error, or the largest relative difference to paddle's answers."""

    error: str | None = None
    difference: float | None = None


def converted(
    spec: ModelSpec,
    root: Path,
    cache_dir: Path | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> tuple[ModelSpec, Path]:
    """The ONNX form of a Paddle model, and the directory that it lies in.

    Tensors keep their names, roles and rules.

    Args:
        spec: The model, in a Paddle format.
        root: The directory that the spec's paths start from.
        cache_dir: Where converted models are kept; by default `converted` in the store.
        timeout_seconds: Time for the conversion and the comparison.

    Raises:
        IntegrityError: a file is missing or damaged.
        DeviceUnavailable: paddle2onnx is not installed, or does not convert this network.
        EngineError: the converted network does not answer as the original does.
    """
    files = checked_files(spec, root)
    tensors = (*spec.inputs, *spec.outputs, *files.signature.inputs, *files.signature.outputs)
    if any(tensor.lod_level for tensor in tensors):
        raise _not_convertible(
            spec, "it works on sequences of rows (LoD), which ONNX does not know"
        )
    cache = cache_dir or from_environment().cache_dir / "converted"
    place = cache / _key(files)
    if not (place / _REPORT).is_file():
        _require_converter(spec)
        _convert(spec, root, place, timeout_seconds)
    onnx = msgspec.structs.replace(
        spec,
        format="onnx",
        program=MODEL,
        params=None,
        outputs=spec.outputs or files.signature.outputs,
        digests={},
    )
    return onnx, place


def _convert(spec: ModelSpec, root: Path, place: Path, timeout_seconds: float) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".converting-", dir=place.parent))
    try:
        request = Request(spec, str(root.resolve()), str(work / MODEL), str(work / _REPORT))
        report = _ask(spec, request, timeout_seconds)
        if report.error is not None:
            raise _not_convertible(spec, report.error)
        if report.difference is None or not report.difference <= DIFFERENCE_MAX:
            raise EngineError(
                f"{spec.name} answers differently once converted to ONNX",
                context={"difference": f"{report.difference} of the largest number"},
                hints=[f"run it with paddle: paddlesrv serve {spec.name} --engine paddle"],
            )
        try:
            work.rename(place)
        except OSError:
            if not (place / _REPORT).is_file():  # else another process was faster, equally well
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _ask(spec: ModelSpec, request: Request, timeout_seconds: float) -> Report:
    ended = run_isolated("paddlesrv.engines.convert_worker", request, timeout_seconds)
    if ended.status is None:
        raise _not_convertible(spec, f"it takes longer than {timeout_seconds:.0f} s")
    report = Path(request.report)
    if ended.status == 0 and report.is_file():
        return msgspec.json.decode(report.read_bytes(), type=Report)
    raise _not_convertible(spec, f"paddle2onnx {ended.how}") from RuntimeError(ended.tail)


def _not_convertible(spec: ModelSpec, reason: str) -> DeviceUnavailable:
    return DeviceUnavailable(
        f"the network of {spec.name} does not convert for ONNX Runtime",
        context={"why": reason},
        hints=[f"run it with paddle: paddlesrv serve {spec.name} --engine paddle"],
    )


def _require_converter(spec: ModelSpec) -> None:
    if importlib.util.find_spec("paddle2onnx") is None:
        raise DeviceUnavailable(
            f"{spec.name} must be converted for ONNX Runtime, and paddle2onnx is not installed",
            hints=[
                'install it: pip install "paddle2onnx==1.3.1" (it is for Python before 3.13)',
                f"or run it with paddle: paddlesrv serve {spec.name} --engine paddle",
            ],
        )


def _key(files: ModelFiles) -> str:
    root = files.program.parent
    for _ in Path(files.signature.program).parts[1:]:
        root = root.parent
    digest = hashlib.sha256(f"opset {OPSET}\n".encode())
    for name in files.signature.files:
        digest.update(f"{name} {sha256(root / name)}\n".encode())
    return digest.hexdigest()
