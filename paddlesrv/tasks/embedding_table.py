"""Embeddings by id, out of the files of cube, Paddle Serving's key-value server.

Cube's builder leaves, in one directory, little-endian:

- `index.n`: int32 type, uint32 count, uint32 files, and as many uint64: the size of each `index.I`;
- `index.I`: pairs of uint64: a key, and block << 32 | place;
- `data.n`: uint32 blocks, and as many uint32: the size of each `data.I`;
- `data.I`: values: a uint32 length, itself included, and the bytes; here float32 numbers.

Format: PaddlePaddle/Serving, core/cube/cube-server, `dict.cpp` and `slim_hash_map.h`. Values are
read where they lie, by memory map; of the index, the keys are kept in order.
"""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np

from paddlesrv.errors import IntegrityError
from paddlesrv.models.tensor import Array

_INDEX, _DATA = "index.n", "data.n"
_LENGTH_BYTES = 4
MAX_FILES = 4096
MAX_DIMENSIONS = 4096


class EmbeddingTable:
    """A table of vectors of one length, by unsigned ids of 64 bits."""

    def __init__(self, directory: Path) -> None:
        """Map the files.

        Args:
            directory: Where `index.n` lies, or a directory that holds one with it.

        Raises:
            IntegrityError: there is no such table, or a file of it is damaged.
        """
        self.place = _found(directory)
        blocks = self._sizes(_DATA, np.uint32, header=0)
        self._blocks = [self._mapped(f"data.{i}", size) for i, size in enumerate(blocks)]
        pairs = [
            self._mapped(f"index.{i}", size)
            for i, size in enumerate(self._sizes(_INDEX, np.uint64, header=8))
        ]
        if any(each.size % 16 for each in pairs):
            raise self._damaged(_INDEX, "an index is no list of pairs")
        entries = np.concatenate([np.empty(0, "<u8"), *(each.view("<u8") for each in pairs)])
        order = np.argsort(entries[0::2], kind="stable")
        self._keys = entries[0::2][order]
        self._places = entries[1::2][order]
        self.dimensions = self._dimensions()

    def __len__(self) -> int:
        return len(self._keys)

    def vectors(self, ids: list[int]) -> Array:
        """The vectors of ids: ids x dimensions, float32; zeros for an id that is not there.

        Raises:
            IntegrityError: what the index says of an id is not in the data.
        """
        found = np.zeros((len(ids), self.dimensions), np.float32)
        wanted = np.array(ids, np.uint64)
        places = np.searchsorted(self._keys, wanted)
        for row, (key, place) in enumerate(zip(wanted, places, strict=True)):
            if place < len(self._keys) and self._keys[place] == key:
                found[row] = self._vector(int(self._places[place]))
        return found

    def _dimensions(self) -> int:
        if not len(self._keys):
            raise self._damaged(_INDEX, "it knows no key")
        return len(self._value(int(self._places[0])))

    def _vector(self, place: int) -> Array:
        value = self._value(place)
        if len(value) != self.dimensions:
            raise self._damaged("data", f"vectors of {len(value)} and of {self.dimensions} numbers")
        return value

    def _value(self, place: int) -> Array:
        block, start = place >> 32, place & 0xFFFFFFFF
        data = self._blocks[block] if block < len(self._blocks) else np.empty(0, np.uint8)
        first = start + _LENGTH_BYTES
        if first > data.size:
            raise self._damaged(_INDEX, f"a value at {start} of block {block}, which is not there")
        length = int(data[start:first].view("<u4")[0]) - _LENGTH_BYTES
        if length <= 0 or length % 4 or length // 4 > MAX_DIMENSIONS or first + length > data.size:
            raise self._damaged(f"data.{block}", f"a value of {length} bytes at {start}")
        value: Array = data[first : first + length].view("<f4")
        return value

    def _sizes(self, name: str, kind: type[np.generic], header: int) -> list[int]:
        """The sizes that a file lists, after its header and their number."""
        content = (self.place / name).read_bytes()
        first = header + 4
        count = int.from_bytes(content[header:first], "little")
        size = np.dtype(kind).itemsize
        if len(content) != first + count * size or count > MAX_FILES:
            raise self._damaged(name, f"{len(content)} bytes for {count} sizes")
        return [int(each) for each in np.frombuffer(content[first:], np.dtype(kind))]

    def _mapped(self, name: str, size: int) -> Array:
        path = self.place / name
        if not path.is_file() or path.stat().st_size != size:
            raise self._damaged(name, f"it should be {size} bytes long")
        if size == 0:
            return np.empty(0, np.uint8)
        with path.open("rb") as file:
            return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)

    def _damaged(self, name: str, why: str) -> IntegrityError:
        return IntegrityError(f"{self.place / name} is no table of embeddings: {why}")


def _found(directory: Path) -> Path:
    if (directory / _INDEX).is_file():
        return directory
    places = sorted(path.parent for path in directory.rglob(_INDEX))
    if len(places) != 1 or not (places[0] / _DATA).is_file():
        raise IntegrityError(
            f"{directory} holds {len(places) or 'no'} tables of embeddings",
            context={
                "expected": f"one directory with {_INDEX} and {_DATA}, as cube's builder makes"
            },
        )
    return places[0]
