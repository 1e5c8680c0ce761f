"""What a network is calibrated with: the user's own inputs, read from a directory.

Pictures for tasks that take pictures; `.txt` for tasks that take texts, one a line; `.json` and
`.jsonl` for tasks that take features, one object or list each; `.npz` (by input name) and `.npy`
(of the only input) of tensors for models without a task. Subdirectories are looked into, hidden
files and other kinds are left alone. Nothing is taken silently that cannot be read.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np

from paddlesrv.errors import InvalidInput, UsageError
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Array, Tensor
from paddlesrv.server.validation import check_inputs
from paddlesrv.tasks.base import InputKind, TaskInput

T = TypeVar("T")

MAX_SAMPLES = 512
"""More say nothing new, and take long. Of more, as many are taken, evenly spread."""

SUFFIXES: dict[InputKind, tuple[str, ...]] = {
    "image": (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"),
    "text": (".txt",),
    "features": (".json", ".jsonl"),
}
TENSORS = (".npz", ".npy")


class Sample(NamedTuple):
    """One input: where it was read, and what a task or (without a task) the network gets."""

    name: str
    item: TaskInput | dict[str, Tensor]


class Samples(NamedTuple):
    """The inputs in the order of their names, and a digest of all that was read."""

    samples: list[Sample]
    sha256: str


def read_samples(
    directory: Path,
    spec: ModelSpec,
    accepts: Sequence[InputKind] | None,
    most: int = MAX_SAMPLES,
) -> Samples:
    """The inputs in a directory that a model can be calibrated with.

    Args:
        directory: Where they lie.
        spec: The model.
        accepts: What its task takes; None for a model without a task, which takes tensors.
        most: So many are used at most.

    Raises:
        UsageError: nothing of the kind is there, or a file cannot be read.
        InvalidInput: a file is damaged, or its tensors are not those of the model.
    """
    suffixes: tuple[str, ...] = TENSORS
    if accepts is not None:
        suffixes = tuple(suffix for kind in accepts for suffix in SUFFIXES[kind])
    files = _files(directory, suffixes)
    if not accepts or "image" in accepts:  # one file, one input: what is not used is not read
        files = _spread(files, most)
    digest = hashlib.sha256()
    samples: list[Sample] = []
    for path in files:
        name = path.relative_to(directory).as_posix()
        content = _read(path)
        digest.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
        samples += _samples(path, name, content, spec)
    if not samples:
        raise UsageError(
            f"{directory} holds nothing that {spec.name} could be calibrated with",
            context={"wanted": f"files that end in {', '.join(suffixes)}"},
            hints=["some hundred inputs such as the model will get are enough"],
        )
    return Samples(_spread(samples, most), digest.hexdigest())


def _files(directory: Path, suffixes: Sequence[str]) -> list[Path]:
    found = []
    for path in directory.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(directory).parts)
        if not hidden and path.suffix.lower() in suffixes and path.is_file():
            found.append(path)
    return sorted(found)


def _spread(everything: list[T], most: int) -> list[T]:
    if len(everything) <= most:
        return everything
    return [everything[i * len(everything) // most] for i in range(most)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error


def _samples(path: Path, name: str, content: bytes, spec: ModelSpec) -> Iterator[Sample]:
    suffix = path.suffix.lower()
    if suffix in TENSORS:
        yield Sample(name, _tensors(content, name, spec))
    elif suffix in SUFFIXES["image"]:
        yield Sample(name, TaskInput("image", content))
    elif suffix == ".json":
        yield Sample(name, TaskInput("features", _features(content, name)))
    else:
        try:
            lines = content.decode("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{name} is not a text in UTF-8") from error
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield Sample(f"{name}:{number}", _line(suffix, line, f"{name}:{number}"))


def _line(suffix: str, line: str, name: str) -> TaskInput:
    if suffix == ".jsonl":
        return TaskInput("features", _features(line.encode(), name))
    return TaskInput("text", line)


def _features(content: bytes, name: str) -> dict[str, object] | list[object]:
    try:
        return msgspec.json.decode(content, type=dict[str, object] | list[object])
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"{name} holds no features: {error}") from error


def _tensors(content: bytes, name: str, spec: ModelSpec) -> dict[str, Tensor]:
    try:
        # From what was read for the digest: that is what is calibrated with.
        loaded = np.load(io.BytesIO(content), allow_pickle=False)
        arrays = dict(loaded) if name.lower().endswith(".npz") else None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidInput(f"{name} cannot be read as tensors: {error}") from error
    if arrays is None:
        if len(spec.inputs) != 1:
            raise InvalidInput(
                f"{name} holds one tensor, and {spec.name} takes {len(spec.inputs)}",
                context={"wanted": ".npz with " + ", ".join(t.name for t in spec.inputs)},
            )
        arrays = {spec.inputs[0].name: loaded}
    inputs = {key: _fitted(spec.input(key), array) for key, array in arrays.items()}
    try:
        check_inputs(spec, inputs)
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error.message}", context=error.context) from error
    return inputs


def _fitted(declared: TensorSpec | None, array: Array) -> Tensor:
    """With the batch dimension if that is all that is missing, and floats of the declared size."""
    if declared is not None:
        if array.ndim == len(declared.shape) - 1 and declared.shape[0] < 2:
            array = array[np.newaxis]
        if array.dtype.kind == "f" and declared.dtype.startswith("float"):
            array = array.astype(declared.dtype)
    return Tensor(np.ascontiguousarray(array))
