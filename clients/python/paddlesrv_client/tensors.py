"""Arrays and their bytes: the element types of the Open Inference Protocol.

Source: KServe open-inference-protocol, `inference_rest.md`, "Tensor Data Types". Numbers are row
by row, little endian; an element of BYTES is its length in 4 bytes, then itself.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

LOD = ".lod"
"""The end of a name under which a sequence tensor's offsets travel."""

TO_NUMPY = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
    "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64",
    "FP16": "float16", "FP32": "float32", "FP64": "float64", "BYTES": "object",
}  # fmt: skip
_FROM_NUMPY = {numpy_name: name for name, numpy_name in TO_NUMPY.items()}
_LENGTH = struct.Struct("<I")

Array = np.ndarray[Any, np.dtype[Any]]


class Tensor(NamedTuple):
    """An array and, if its rows are of sequences, where each begins and the last ends."""

    data: Array
    lod: tuple[int, ...] | None = None


def prepare(
    inputs: Mapping[str, Any], lod: Mapping[str, Sequence[int]] | None
) -> dict[str, Tensor]:
    """The inputs of a call: arrays, or what numpy makes one of.

    Raises:
        ValueError: there are none, one has a type that no protocol carries, or offsets belong to
            no input.
    """
    offsets = {name: tuple(int(o) for o in each) for name, each in (lod or {}).items()}
    arrays: dict[str, Array] = {}
    for name, value in inputs.items():
        base = name.removesuffix(LOD)
        if base != name and base in inputs:
            offsets[base] = tuple(int(o) for o in np.asarray(value).ravel())
        else:
            arrays[name] = _array(name, value)
    if not arrays:
        raise ValueError("a request needs at least one input")
    for name in offsets:
        if name not in arrays:
            raise ValueError(f"offsets for {name!r}, which is no input; there are {list(arrays)}")
    return {name: Tensor(array, offsets.get(name)) for name, array in arrays.items()}


def _array(name: str, value: Any) -> Array:
    array = np.asarray(value)
    if array.dtype.kind in "US":
        array = array.astype(object)
    if array.dtype.name not in _FROM_NUMPY:
        raise ValueError(f"input {name!r} is {array.dtype}; wanted: {', '.join(_FROM_NUMPY)}")
    if array.dtype.kind == "O" and not all(isinstance(e, str | bytes) for e in array.flat):
        raise ValueError(f"input {name!r} holds objects that are neither texts nor bytes")
    return array


def flat(tensors: Mapping[str, Tensor]) -> dict[str, Array]:
    """Offsets as tensors of their own."""
    found: dict[str, Array] = {}
    for name, tensor in tensors.items():
        found[name] = tensor.data
        if tensor.lod is not None:
            found[name + LOD] = np.array(tensor.lod, np.int64)
    return found


def joined(arrays: Mapping[str, Array]) -> dict[str, Tensor]:
    """Offsets back at the tensors that they are of."""
    found: dict[str, Tensor] = {}
    for name, array in arrays.items():
        if name.endswith(LOD) and name.removesuffix(LOD) in arrays:
            continue
        offsets = arrays.get(name + LOD)
        found[name] = Tensor(array, None if offsets is None else _offsets(name, offsets))
    return found


def _offsets(name: str, offsets: Array) -> tuple[int, ...]:
    if offsets.dtype != np.int64 or offsets.ndim != 1:
        raise ValueError(f"the offsets of {name!r} are {offsets.dtype} {offsets.shape}")
    return tuple(offsets.tolist())


def datatype(array: Array) -> str:
    """The protocol's name for its elements."""
    return _FROM_NUMPY[array.dtype.name]


def to_bytes(array: Array) -> bytes:
    """A tensor's bytes."""
    if array.dtype.kind == "O":
        parts = []
        for element in array.flat:
            part = element.encode() if isinstance(element, str) else bytes(element)
            parts += [_LENGTH.pack(len(part)), part]
        return b"".join(parts)
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def count(shape: Sequence[Any]) -> int:
    """The number of elements.

    Raises:
        ValueError: that is no shape.
    """
    if any(type(side) is not int or side < 0 for side in shape):
        raise ValueError(f"{list(shape)[:20]} is no shape")
    return math.prod(shape)


def from_bytes(name: str, kind: str, shape: Sequence[int], blob: bytes) -> Array:
    """A tensor from its bytes; it can be written to.

    Raises:
        ValueError: the type is unknown, or the bytes are not as many as the shape says.
    """
    size = count(shape)
    if kind not in TO_NUMPY:
        raise ValueError(f"output {name!r} has the unknown datatype {kind!r}")
    if kind == "BYTES":
        return _texts(name, shape, size, blob)
    dtype = np.dtype(TO_NUMPY[kind])
    if len(blob) != size * dtype.itemsize:
        raise ValueError(f"output {name!r}: {len(blob)} bytes for {kind} {list(shape)}")
    found: Array = np.frombuffer(blob, dtype.newbyteorder("<")).astype(dtype).reshape(shape)
    return found


def _texts(name: str, shape: Sequence[int], size: int, blob: bytes) -> Array:
    if size * _LENGTH.size > len(blob):
        raise ValueError(f"output {name!r}: {len(blob)} bytes for {size} texts")
    found = np.empty(size, dtype=object)
    position = 0
    for place in range(size):
        if position + _LENGTH.size > len(blob):
            raise ValueError(f"output {name!r}: its texts are cut short")
        (length,) = _LENGTH.unpack_from(blob, position)
        position += _LENGTH.size
        if position + length > len(blob):
            raise ValueError(f"output {name!r}: its texts are cut short")
        found[place] = blob[position : position + length]
        position += length
    if position != len(blob):
        raise ValueError(f"output {name!r}: bytes are left behind its last text")
    return found.reshape(shape)


def from_values(name: str, kind: str, shape: Sequence[int], values: Any) -> Array:
    """A tensor from JSON's lists, nested or flat.

    Raises:
        ValueError: the values are not of that type, or not as many as the shape says.
    """
    size = count(shape)
    elements = list(_leaves(values))
    if kind not in TO_NUMPY or len(elements) != size:
        raise ValueError(f"output {name!r}: {len(elements)} values for {kind} {list(shape)}")
    if kind == "BYTES":
        found = np.empty(size, dtype=object)
        found[:] = [_text(name, element) for element in elements]
        return found.reshape(shape)
    dtype = np.dtype(TO_NUMPY[kind])
    taken: tuple[type, ...] = (bool,) if dtype.kind == "b" else (int,)
    if dtype.kind == "f":
        # Numbers that are not finite have no JSON form, and come as null.
        taken = (int, float, type(None))
    if any(type(element) not in taken for element in elements):
        raise ValueError(f"output {name!r}: values that are not {kind}")
    if dtype.kind in "iu" and elements:
        limits = np.iinfo(dtype)
        if min(elements) < limits.min or max(elements) > limits.max:
            raise ValueError(f"output {name!r}: values out of range for {kind}")
    if dtype.kind == "f":
        elements = [math.nan if element is None else element for element in elements]
    return np.array(elements, dtype).reshape(shape)


def _leaves(values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise ValueError("values that are no list")
    level: list[Any] = values
    while level and all(isinstance(each, list) for each in level):
        level = [element for each in level for element in each]
    return level


def _text(name: str, element: Any) -> bytes:
    if not isinstance(element, str):
        raise ValueError(f"output {name!r}: a value that is no text")
    return element.encode()
