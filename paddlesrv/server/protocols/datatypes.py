"""Names of element types in the Open Inference Protocol, and how JSON values and bytes become
arrays."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from paddlesrv.errors import InvalidInput
from paddlesrv.models.tensor import Array

TO_NUMPY = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
    "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64",
    "FP16": "float16", "FP32": "float32", "FP64": "float64", "BYTES": "bytes",
}  # fmt: skip
"""By the protocol's name: the name of `TensorSpec.dtype`, numpy's for all but texts."""
_DTYPES = {name: np.dtype(dtype) for name, dtype in TO_NUMPY.items() if name != "BYTES"}
_TAKEN_KINDS = {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}
"""For each kind of element, the kinds of JSON values that lose nothing in it."""

Buffer = bytes | memoryview
"""Bytes, or a view of some that belong to something larger."""

FROM_NUMPY = {dtype: name for name, dtype in TO_NUMPY.items()}

_LENGTH = struct.Struct("<I")
"""Before each element of BYTES."""

MAX_DIMENSIONS = 16
"""More than any network has; bounds the work on a malformed shape."""

MAX_SIDES = 1 << 56
"""The product of a shape's dimensions without its zeros: numpy counts its bytes in 63 bits."""

_NUMBERS = frozenset((bool, int, float))


def check_shape(name: str, shape: list[int]) -> int:
    """The number of elements of a shape that came from outside.

    Raises:
        InvalidInput: a dimension is negative, or there are too many, or no array can be so large.
    """
    count = 1
    sides = 1
    possible = len(shape) <= MAX_DIMENSIONS
    for dimension in shape if possible else ():
        possible = possible and dimension >= 0
        count *= dimension
        sides *= dimension or 1
    # An array without elements has sides too. Of any other, the number of its values tells.
    possible = possible and (count > 0 or sides <= MAX_SIDES)
    if not possible:
        raise InvalidInput(
            f"tensor {name!r} has an impossible shape",
            context={
                "found": str(shape[: MAX_DIMENSIONS + 1]),
                "wanted": f"at most {MAX_DIMENSIONS} dimensions, none negative or too large",
            },
        )
    return count


def from_json(name: str, datatype: str, shape: list[int], data: list[Any]) -> Array:
    """An array from the nested or flat lists of a JSON request.

    Nothing is converted that would lose something: no fraction in an integer, no number out of
    range, no text for a number.

    Raises:
        InvalidInput: the values are not of that type, or not as many as the shape says.
    """
    count = check_shape(name, shape)
    if datatype == "BYTES":
        return _texts(name, shape, count, data)
    if datatype not in TO_NUMPY:
        raise InvalidInput(
            f"tensor {name!r} has a datatype that JSON cannot carry",
            context={"found": datatype, "wanted": ", ".join(TO_NUMPY)},
        )
    wanted = _DTYPES[datatype]
    values = _floats(data) if wanted.kind == "f" else None
    if values is None:
        try:
            # Never a text: numpy would give each value as much room as the longest text has.
            values = np.array(data if _types(data) <= _NUMBERS else [None])
            if datatype == "UINT64" and values.dtype.kind == "f":
                values = _large_integers(data)
        except ValueError:
            values = np.array([None])  # lists of different lengths
    if values.dtype.kind not in _TAKEN_KINDS[wanted.kind] and values.size:
        raise InvalidInput(
            f"tensor {name!r} has values that are not {datatype}",
            context={"wanted": f"numbers in a list, nested as {shape} or flat"},
        )
    if values.size != count:
        raise InvalidInput(
            f"tensor {name!r} has as many values as its shape does not say",
            context={"found": f"{values.size} values", "wanted": f"{count} for shape {shape}"},
        )
    if wanted.kind in "iu" and values.size:
        limits = np.iinfo(wanted)
        if int(values.min()) < limits.min or int(values.max()) > limits.max:
            raise InvalidInput(
                f"tensor {name!r} has values out of range for {datatype}",
                context={"wanted": f"{limits.min} to {limits.max}"},
            )
    try:
        with np.errstate(over="raise"):
            return values.astype(wanted).reshape(shape)
    except FloatingPointError:
        raise InvalidInput(
            f"tensor {name!r} has values out of range for {datatype}",
            context={"wanted": f"{np.finfo(wanted).min} to {np.finfo(wanted).max}"},
        ) from None


def _floats(data: list[Any]) -> Array | None:
    """A flat list of floats, as most tensors are sent; None for any other.

    It takes a third of the time of looking at each value's type and leaving the rest to numpy.
    """
    if not data or type(data[0]) is not float:
        return None
    try:
        return np.frombuffer(array("d", data))
    except (TypeError, OverflowError):  # a text, a list, an integer beyond all floats
        return None


def _types(data: list[Any]) -> set[type]:
    """The types of the innermost values; `list` among them where not all are equally deep."""
    found = set(map(type, data))
    while found == {list}:
        data = list(chain.from_iterable(data))
        found = set(map(type, data))
    return found


def _large_integers(data: list[Any]) -> Array:
    """Integers beyond 63 bits, which numpy takes for floats where smaller ones are among them.

    Raises:
        ValueError: one is no integer, or out of range.
    """
    values = np.array(data, dtype=object)
    for value in values.flat:
        if type(value) is not int or not 0 <= value < 1 << 64:
            raise ValueError(value)
    return values.astype(np.uint64)


def from_bytes(name: str, datatype: str, shape: list[int], blob: Buffer) -> Array:
    """An array over the bytes of a tensor: row by row, little endian, not copied.

    An element of BYTES is its length in 4 bytes, then itself.

    Raises:
        InvalidInput: the type is unknown, or the bytes are not as many as the shape says.
    """
    count = check_shape(name, shape)
    if datatype not in TO_NUMPY:
        raise InvalidInput(
            f"tensor {name!r} has an unknown datatype",
            context={"found": datatype[:40], "wanted": ", ".join(TO_NUMPY)},
            hints=["send it as FP32 or FP16"] if datatype == "BF16" else [],
        )
    if datatype == "BYTES":
        return _elements(name, shape, count, blob)
    dtype = _DTYPES[datatype].newbyteorder("<")
    if len(blob) != count * dtype.itemsize:
        raise InvalidInput(
            f"the binary data of tensor {name!r} is not as long as its shape",
            context={
                "found": f"{len(blob)} bytes",
                "wanted": f"{count * dtype.itemsize} bytes for {datatype} {shape}",
            },
        )
    return np.frombuffer(blob, dtype=dtype).reshape(shape)


def to_bytes(data: Array) -> bytes:
    """The bytes of an array, as `from_bytes` reads them."""
    if data.dtype.kind == "O":
        return b"".join([_LENGTH.pack(len(item)) + item for item in data.ravel()])
    return data.astype(data.dtype.newbyteorder("<"), copy=False).tobytes()


def bytes_of(data: Array) -> Buffer:
    """What `to_bytes` makes, as a view of the array where it lies so already."""
    if data.dtype.kind == "O" or not data.dtype.isnative or sys.byteorder != "little":
        return to_bytes(data)
    return np.ascontiguousarray(data).reshape(-1).view(np.uint8).data


def size_of(data: Array) -> int:
    """How many bytes `to_bytes` makes of an array."""
    if data.dtype.kind == "O":
        return sum(map(len, data.ravel())) + _LENGTH.size * data.size
    return data.nbytes


def elements_at(blob: memoryview, offset: int, count: int) -> list[bytes]:
    """Elements of BYTES that `to_bytes` has written there."""
    elements = []
    for _ in range(count):
        (length,) = _LENGTH.unpack_from(blob, offset)
        offset += _LENGTH.size
        elements.append(bytes(blob[offset : offset + length]))
        offset += length
    return elements


def of_elements(elements: Sequence[bytes], shape: Sequence[int]) -> Array:
    """An array of BYTES; there are as many elements as the shape says."""
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array.reshape(shape)


_END = object()


def _texts(name: str, shape: list[int], count: int, data: list[Any]) -> Array:
    flat: list[bytes] = []
    stack = [iter(data)]
    while stack:
        item = next(stack[-1], _END)
        if item is _END:
            stack.pop()
        elif isinstance(item, list):
            stack.append(iter(item))
        elif isinstance(item, bytes):
            flat.append(item)
        elif isinstance(item, str):
            flat.append(item.encode())
        else:
            raise InvalidInput(f"tensor {name!r} has values that are not text")
    if len(flat) != count:
        raise InvalidInput(f"tensor {name!r} has {len(flat)} values, its shape says {count}")
    return of_elements(flat, shape)


def _elements(name: str, shape: list[int], count: int, blob: Buffer) -> Array:
    elements: list[bytes] = []
    position = 0
    while position < len(blob) and len(elements) < count:
        if position + 4 > len(blob):
            break
        (length,) = _LENGTH.unpack_from(blob, position)
        position += 4
        if position + length > len(blob):
            break
        elements.append(bytes(blob[position : position + length]))
        position += length
    if len(elements) != count or position != len(blob):
        raise InvalidInput(f"the binary data of tensor {name!r} is not {count} elements of BYTES")
    return of_elements(elements, shape)
