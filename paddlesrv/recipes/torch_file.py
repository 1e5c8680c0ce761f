"""PyTorch's checkpoints: the tensors in them by name, without PyTorch, and nothing is run.

Before PyTorch 1.6 a file is five pickles and then each storage with its length; since then it is a
zip with `data.pkl` and a file for each storage.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from paddlesrv.errors import IntegrityError
from paddlesrv.recipes.arrays import (
    BFLOAT16,
    FILE_BYTES_MAX,
    TENSORS_MAX,
    Arrays,
    counts,
    file_bytes,
    is_count,
    item_bytes,
    items,
    ordered,
    some,
    view,
)
from paddlesrv.recipes.opcodes import Builder, Name, interpret
from paddlesrv.zoo.bounds import Limits, shown
from paddlesrv.zoo.events import Member
from paddlesrv.zoo.members import read_members

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_TORCH_PROTOCOL = 1001
_STORAGES: dict[str, str] = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8",
    "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "|i1", "ByteStorage": "|u1",
    "BoolStorage": "|b1", "BFloat16Storage": BFLOAT16,
}  # fmt: skip


def read_torch(path: Path) -> Arrays:
    """The tensors of a PyTorch checkpoint (`.pth`, `.pt`), by name; bfloat16 as float32.

    A dictionary below the key `state_dict` or `model` counts as the checkpoint. What is no tensor
    is left out.

    Raises:
        IntegrityError: it is damaged, is none, or names anything that is run.
        SourceUnreachable: it cannot be read.
    """
    data = file_bytes(path)
    if data[:4] == b"PK\3\4":
        value, storages = _torch_zip(path)
    else:
        value, storages = _torch_legacy(memoryview(data))
    for key in ("state_dict", "model"):
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            value = value[key]
    arrays: Arrays = {}
    for name, tensor in items(value, path):
        if isinstance(tensor, _Tensor):
            arrays[name] = tensor.array(storages)
    return some(arrays, path)


class _Storage(msgspec.Struct, frozen=True):
    """Which block of numbers a tensor lies in, and of what type that is."""

    key: str
    dtype: str
    numbers: int


class _Tensor(msgspec.Struct, frozen=True):
    """A tensor that was described; its numbers may come later in the file."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, storages: Mapping[str, memoryview]) -> NDArray[Any]:
        """Its numbers.

        Raises:
            IntegrityError: they are not there.
        """
        block = storages.get(self.storage.key)
        if block is None:
            raise IntegrityError(f"the storage {shown(self.storage.key)} is missing")
        try:
            return self._placed(view(block, self.storage.dtype, (self.storage.numbers,)))
        except ValueError as error:
            raise IntegrityError(f"a tensor of the checkpoint is damaged: {error}") from error

    def _placed(self, flat: NDArray[Any]) -> NDArray[Any]:
        last = self.offset + sum(
            (side - 1) * step for side, step in zip(self.shape, self.strides, strict=True)
        )
        if prod(self.shape) == 0:
            return np.empty(self.shape, flat.dtype)
        if last >= flat.size or prod(self.shape) > flat.size:
            raise ValueError("it is larger than its storage")
        size = flat.itemsize
        return np.lib.stride_tricks.as_strided(
            flat[self.offset :], self.shape, [step * size for step in self.strides], writeable=False
        )


def _storage(identity: tuple[object, ...]) -> _Storage:
    """A persistent id: ("storage", type, key, device, numbers), and in old files a view."""
    if len(identity) < 5 or identity[0] != "storage":
        raise ValueError("a persistent id that is no storage")
    kind, key, numbers = identity[1], identity[2], identity[4]
    if len(identity) > 5 and identity[5] is not None:
        raise ValueError("a storage that is a view of another, which is not supported")
    if not isinstance(kind, Name) or kind.name not in _STORAGES:
        raise ValueError("a storage of an unknown type")
    if not isinstance(key, str | int) or not is_count(numbers):
        raise ValueError("a storage without a key or a size")
    return _Storage(str(key), _STORAGES[kind.name], numbers)  # type: ignore[arg-type]


def _rebuilt(arguments: tuple[object, ...]) -> _Tensor:
    """(storage, offset, shape, strides, ...): what follows says nothing of the numbers."""
    if len(arguments) < 4:
        raise ValueError("a tensor with too few arguments")
    storage, offset, shape, strides = arguments[:4]
    if not isinstance(storage, _Storage) or not is_count(offset):
        raise ValueError("a tensor without a storage")
    sides, steps = counts(shape), counts(strides)
    if len(sides) != len(steps):
        raise ValueError("a tensor's shape and strides differ in length")
    return _Tensor(storage, offset, sides, steps)  # type: ignore[arg-type]


def _parameter(arguments: tuple[object, ...]) -> object:
    if not arguments or not isinstance(arguments[0], _Tensor):
        raise ValueError("a parameter without a tensor")
    return arguments[0]


_TORCH_NAMES: dict[tuple[str, str], Builder | None] = {
    ("collections", "OrderedDict"): ordered,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuilt,
    ("torch._utils", "_rebuild_tensor"): _rebuilt,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    **{("torch", name): None for name in _STORAGES},
}


def _torch_legacy(data: memoryview) -> tuple[object, dict[str, memoryview]]:
    """Five pickles (magic number, protocol, system, state, storage keys), then the storages."""
    known: dict[str, _Storage] = {}

    def storage(identity: tuple[object, ...]) -> _Storage:
        found = _storage(identity)
        return known.setdefault(found.key, found)

    file = io.BytesIO(data)
    if interpret(file, {}) != _TORCH_MAGIC or interpret(file, {}) != _TORCH_PROTOCOL:
        raise IntegrityError("it is no PyTorch checkpoint: it does not begin like one")
    system = interpret(file, {})
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise IntegrityError("the checkpoint is from a big-endian machine, which is not supported")
    value = interpret(file, _TORCH_NAMES, storage)
    keys = interpret(file, {})
    if not isinstance(keys, list) or len(keys) > TENSORS_MAX:
        raise IntegrityError("the checkpoint does not list its storages")
    storages = {}
    for key in keys:
        found = known.get(key) if isinstance(key, str) else None
        count = int.from_bytes(file.read(8), "little", signed=True)
        if found is None or count != found.numbers:
            raise IntegrityError("a storage is not as long as the checkpoint says")
        size, at = count * item_bytes(found.dtype), file.tell()
        if at + size > len(data):
            raise IntegrityError("the checkpoint is cut short")
        storages[found.key] = data[at : at + size]
        file.seek(size, io.SEEK_CUR)
    return value, storages


def _torch_zip(path: Path) -> tuple[object, dict[str, memoryview]]:
    """`*/data.pkl`, and beside it `data/KEY` for each storage."""
    files = {
        name: content
        for name, content in _members(path)
        if name.endswith("/data.pkl") or "/data/" in name or name.endswith("/byteorder")
    }
    pickles = [name for name in files if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise IntegrityError("it is no PyTorch checkpoint: it does not hold one data.pkl")
    top = pickles[0].removesuffix("data.pkl")
    if bytes(files.get(top + "byteorder", b"little")) != b"little":
        raise IntegrityError("the checkpoint is from a big-endian machine, which is not supported")
    value = interpret(io.BytesIO(files[pickles[0]]), _TORCH_NAMES, _storage)
    start = top + "data/"
    storages = {
        name.removeprefix(start): memoryview(content)
        for name, content in files.items()
        if name.startswith(start)
    }
    return value, storages


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    name: str | None = None
    content = bytearray()
    limits = Limits(files=TENSORS_MAX, file_bytes=FILE_BYTES_MAX, total_bytes=FILE_BYTES_MAX)
    with read_members(path, lambda _: True, limits) as events:
        for event in events:
            if isinstance(event, Member):
                if name is not None:
                    yield name, bytes(content)
                name, content = (event.name if event.is_file else None), bytearray()
            else:
                content += event
    if name is not None:
        yield name, bytes(content)
