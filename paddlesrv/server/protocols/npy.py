"""One array in numpy's own file format, as `np.save` writes it.

Format: numpy/lib/format.py (NEP 1). Its header is a Python literal, and an array of objects is a
pickle, which runs code when it is loaded: here the header is matched, never evaluated, and only
numbers are taken. Nothing is allocated that the bytes themselves do not hold.
"""

from __future__ import annotations

import re

import numpy as np

from paddlesrv.errors import InvalidInput
from paddlesrv.models.tensor import Array
from paddlesrv.server.protocols.datatypes import check_shape

_MAGIC = b"\x93NUMPY"
_LENGTHS = {1: 2, 2: 4, 3: 4}
"""Bytes that say how long the header is, by the format's version."""

_HEADER = re.compile(
    rb"\{'descr': '([<>|][biufc]\d{1,2})', 'fortran_order': (True|False), "
    rb"'shape': \((|\d{1,18},|\d{1,18}(?:, \d{1,18})+)\), \} *\n"
)
_MAX_HEADER = 4096


def read_npy(name: str, content: bytes) -> Array:
    """The array in these bytes.

    Args:
        name: The tensor's, for errors.
        content: What `np.save` wrote.

    Raises:
        InvalidInput: they are none of `np.save`, hold a pickle, or are cut off.
    """
    header, data = _parted(name, content)
    if b"'|O'" in header or b"[(" in header:
        raise InvalidInput(
            f"tensor {name!r} is a pickle, which is never loaded",
            context={"found": "an array of objects", "wanted": "an array of numbers"},
        )
    found = _HEADER.fullmatch(header)
    if found is None:
        raise InvalidInput(
            f"the byte_data of tensor {name!r} has a header that np.save never wrote"
        )
    try:
        dtype = np.dtype(found[1].decode())
    except TypeError:
        raise InvalidInput(f"tensor {name!r} has no type of numpy's: {found[1].decode()}") from None
    shape = [int(side) for side in found[3].replace(b" ", b"").split(b",") if side]
    count = check_shape(name, shape)
    if len(data) != count * dtype.itemsize:
        raise InvalidInput(
            f"the byte_data of tensor {name!r} is not as long as its header says",
            context={
                "found": f"{len(data)} bytes",
                "wanted": f"{count * dtype.itemsize} for {dtype.name} {shape}",
            },
        )
    flat = np.frombuffer(data, dtype).astype(dtype.newbyteorder("="), copy=False)
    return flat.reshape(shape, order="F" if found[2] == b"True" else "C")


def _parted(name: str, content: bytes) -> tuple[bytes, bytes]:
    start = len(_MAGIC) + 2
    if content[: len(_MAGIC)] != _MAGIC or len(content) < start:
        raise InvalidInput(
            f"the byte_data of tensor {name!r} is not what np.save writes",
            context={"found": repr(content[:8]), "wanted": repr(_MAGIC)},
        )
    width = _LENGTHS.get(content[len(_MAGIC)], 0)
    length = int.from_bytes(content[start : start + width], "little")
    end = start + width + length
    if not width or not 0 < length <= _MAX_HEADER or end > len(content):
        raise InvalidInput(f"the byte_data of tensor {name!r} has no header of np.save's")
    return content[start + width : end], content[end:]
