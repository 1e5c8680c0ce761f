"""Tables of a flatbuffer, read where they lie (https://flatbuffers.dev/internals).

A table begins with the distance back to its list of fields; a field is a number, or the distance to
a text, a vector or another table. Every step is checked against the file's length.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from paddlesrv.errors import IntegrityError

VECTOR_MAX = 1_000_000


class Table:
    """One table. Fields are named by their number in the schema, from 0 on."""

    def __init__(self, data: memoryview, place: int) -> None:
        self._data = data
        self._place = place
        self._fields = place - _number(data, "<i", place)
        self._length = _number(data, "<H", self._fields)

    @classmethod
    def root(cls, data: memoryview) -> Table:
        """The table that a file is."""
        return cls(data, _number(data, "<I", 0))

    def number(self, field: int, code: str, default: int = 0) -> int:
        """A number, of a type of `struct` without the order of bytes ("i", "b")."""
        place = self._field(field)
        return default if place is None else _number(self._data, f"<{code}", place)

    def numbers(self, field: int) -> list[int]:
        """A vector of 32-bit numbers."""
        place, count = self._vector(field, 4)
        return list(struct.unpack_from(f"<{count}i", self._data, place)) if count else []

    def bytes(self, field: int) -> memoryview:
        """A vector of bytes, or a text."""
        place, count = self._vector(field, 1)
        return self._data[place : place + count]

    def table(self, field: int) -> Table | None:
        """Another table, if it is there."""
        place = self._field(field)
        return None if place is None else Table(self._data, self._behind(place))

    def tables(self, field: int) -> Sequence[Table]:
        """A vector of tables."""
        place, count = self._vector(field, 4)
        if count > VECTOR_MAX:
            raise _damaged(f"more than {VECTOR_MAX} tables")
        return [Table(self._data, self._behind(place + 4 * each)) for each in range(count)]

    def _field(self, field: int) -> int | None:
        entry = 4 + 2 * field
        if entry + 2 > self._length:
            return None
        offset = _number(self._data, "<H", self._fields + entry)
        return self._place + offset if offset else None

    def _behind(self, place: int) -> int:
        distance: int = _number(self._data, "<I", place)
        return place + distance

    def _vector(self, field: int, size: int) -> tuple[int, int]:
        """Where the elements begin, and how many there are."""
        place = self._field(field)
        if place is None:
            return 0, 0
        start = self._behind(place)
        count = _number(self._data, "<I", start)
        if start + 4 + count * size > len(self._data):
            raise _damaged("a vector is longer than the file")
        return start + 4, count


def _number(data: memoryview, code: str, place: int) -> Any:
    if place < 0 or place + struct.calcsize(code) > len(data):
        raise _damaged("a place outside of it")
    return struct.unpack_from(code, data, place)[0]


def _damaged(reason: str) -> IntegrityError:
    return IntegrityError("the flatbuffer is damaged, or is none", context={"reason": reason})
