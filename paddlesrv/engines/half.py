"""Networks in 16 bits for ONNX Runtime on a GPU: rewritten once, and kept.

ONNX Runtime computes in the types that a network is written in, so fp16 is another network: its
weights and what is between its operators are 16 bits wide, its inputs and outputs stay as they
are. It is made in a process of its own (`half_worker`), which imports onnx.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

import msgspec

from paddlesrv.engines.files import checked_files, sha256
from paddlesrv.errors import DeviceUnavailable
from paddlesrv.isolated import run_isolated
from paddlesrv.models.spec import ModelSpec
from paddlesrv.settings import from_environment

DIRECTORY = "halved"
"""In the store."""
MODEL = "model.onnx"
WORKER = "paddlesrv.engines.half_worker"
TIMEOUT_SECONDS = 600.0


class Request(msgspec.Struct, frozen=True):
    """What the worker is asked to do; it writes a text to `failure` if it cannot."""

    source: str
    target: str
    failure: str


def halved(
    spec: ModelSpec,
    root: Path,
    cache_dir: Path | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> tuple[ModelSpec, Path]:
    """The fp16 form of an ONNX model, and the directory that it lies in.

    Args:
        spec: The model, in ONNX.
        root: The directory that the spec's paths start from.
        cache_dir: The store's directory; by default the one that the environment says.
        timeout_seconds: Time for rewriting it.

    Raises:
        IntegrityError: a file is missing or damaged.
        DeviceUnavailable: the network cannot be written in 16 bits.
    """
    program = checked_files(spec, root).program
    key = hashlib.sha256(f"onnx fp16 1\n{sha256(program)}\n".encode()).hexdigest()
    place = (cache_dir or from_environment().cache_dir) / DIRECTORY / key
    if not (place / MODEL).is_file():
        _make(spec, program, place, timeout_seconds)
    return msgspec.structs.replace(spec, program=MODEL, params=None, digests={}), place


def _make(spec: ModelSpec, program: Path, place: Path, timeout_seconds: float) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".halving-", dir=place.parent))
    failure = work / "failure.txt"
    try:
        request = Request(str(program.resolve()), str(work / MODEL), str(failure))
        ended = run_isolated(WORKER, request, timeout_seconds)
        if ended.status != 0 or failure.is_file():
            told = failure.read_text() if failure.is_file() else ended.how
            raise DeviceUnavailable(
                f"the network of {spec.name} cannot be written in fp16",
                context={"why": told},
                hints=["run it in fp32: --precision fp32"],
            ) from RuntimeError(ended.tail)
        try:
            work.rename(place)
        except OSError:
            if not (place / MODEL).is_file():  # else another process was faster, equally well
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
