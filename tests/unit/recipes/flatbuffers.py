"""A flatbuffer written by hand: a TensorFlow Lite network of one convolution."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

Value = Any
"""A number as (code, value); bytes; a list of ints (32 bits); a list of tables; or a table."""


class Builder:
    """Writes tables one behind the other; what a table refers to comes after it."""

    def __init__(self) -> None:
        self.data = bytearray(b"\0\0\0\0TFL3")

    def table(self, fields: dict[int, Value]) -> int:
        """Write a table; returns where it lies."""
        count = max(fields, default=-1) + 1
        self._align()
        vtable = len(self.data)
        self.data += struct.pack("<HH", 4 + 2 * count, 4 + 8 * count) + b"\0\0" * count
        self._align()
        place = len(self.data)
        self.data += struct.pack("<i", place - vtable) + b"\0" * (8 * count)
        for field, value in fields.items():
            at = place + 4 + 8 * field
            struct.pack_into("<H", self.data, vtable + 4 + 2 * field, at - place)
            if isinstance(value, tuple):
                struct.pack_into("<" + value[0], self.data, at, value[1])
            else:
                self._refer(at, self._value(value))
        return place

    def _value(self, value: Value) -> int:
        if isinstance(value, dict):
            return self.table(value)
        self._align()
        place = len(self.data)
        if isinstance(value, bytes):
            self.data += struct.pack("<I", len(value)) + value
        elif value and isinstance(value[0], dict):
            self.data += struct.pack("<I", len(value)) + b"\0\0\0\0" * len(value)
            for number, each in enumerate(value):
                self._refer(place + 4 + 4 * number, self.table(each))
        else:
            self.data += struct.pack(f"<I{len(value)}i", len(value), *value)
        return place

    def _refer(self, at: int, place: int) -> None:
        struct.pack_into("<I", self.data, at, place - at)

    def _align(self) -> None:
        self.data += b"\0" * (-len(self.data) % 8)


def tflite(kernel: Any, code: int = 3) -> bytes:
    """A network with one step of the given kind, whose kernel is of 16-bit numbers."""

    def tensor(shape: Sequence[int], kind: int, buffer: int) -> dict[int, Value]:
        return {0: list(shape), 1: ("b", kind), 2: ("I", buffer)}

    builder = Builder()
    bias = struct.pack("<2f", 1.0, 2.0)
    root = builder.table(
        {
            1: [{0: ("b", min(code, 127)), 3: ("i", code)}, {0: ("b", 6), 3: ("i", 6)}],
            2: [
                {
                    0: [
                        tensor((1, 8, 8, 3), 0, 0),
                        tensor(kernel.shape, 1, 1),
                        tensor(kernel.shape, 0, 0),
                        tensor((2,), 0, 2),
                        tensor((1, 4, 4, 2), 0, 0),
                    ],
                    1: [0],
                    2: [4],
                    3: [
                        {0: ("I", 1), 1: [1], 2: [2]},
                        {
                            0: ("I", 0),
                            1: [0, 2, 3],
                            2: [4],
                            4: {0: ("b", 0), 1: ("i", 2), 2: ("i", 2), 3: ("b", 1)},
                        },
                    ],
                }
            ],
            4: [{}, {0: kernel.tobytes()}, {0: bias}],
        }
    )
    struct.pack_into("<I", builder.data, 0, root)
    return bytes(builder.data)
