"""`Pieces`: which bytes of a file are here while several connections bring them in any order.

A small file beside the unfinished one, mapped into memory: how much of each piece has been
written, counted after the write. The counts survive a killed process; a machine that loses power
may keep counts and lose bytes, which the digest of the whole file finds.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
from dataclasses import dataclass
from pathlib import Path

PIECE_BYTES = 8 << 20
_MAGIC = b"pieces1\n"
_HEADER = struct.Struct("<8sQQ")
_COUNT = struct.Struct("<I")


@dataclass(frozen=True)
class Piece:
    """One piece as it is handed out: the bytes from `start` up to `end`, exclusive, are missing."""

    number: int
    start: int
    end: int


class Pieces:
    """The pieces of one file. Any thread may call any method.

    Attributes:
        total: Bytes of the whole file.
    """

    def __init__(self, path: Path, total: int, here: int, piece_bytes: int) -> None:
        """Begin with only the first `here` bytes.

        Raises:
            OSError: the file cannot be written.
        """
        starts = range(0, total, piece_bytes)
        counts = [min(max(0, here - start), piece_bytes, total - start) for start in starts]
        body = _HEADER.pack(_MAGIC, total, piece_bytes) + b"".join(map(_COUNT.pack, counts))
        scratch = path.with_name(path.name + ".new")
        scratch.write_bytes(body)
        scratch.replace(path)
        self._open(path)

    @classmethod
    def resume(cls, path: Path, total: int | None, size: int) -> Pieces | None:
        """What an earlier run noted; None if there is nothing, or nothing that can be believed.

        Args:
            path: The file with the counts.
            total: Bytes that the whole file must have.
            size: Bytes that the unfinished file has; counts past its end are not believed.
        """
        pieces = cls.__new__(cls)
        try:
            pieces._open(path)
        except (OSError, ValueError, struct.error):
            return None
        if pieces.total != total or pieces._last_byte() > size:
            pieces.close()
            return None
        return pieces

    total: int
    _piece_bytes: int

    def _open(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self._map = mmap.mmap(descriptor, 0)
        finally:
            os.close(descriptor)
        magic: bytes
        magic, self.total, self._piece_bytes = _HEADER.unpack_from(self._map, 0)
        if magic != _MAGIC or not self.total or not self._piece_bytes:
            raise ValueError("no counts of pieces")
        self._pieces = -(-self.total // self._piece_bytes)
        if len(self._map) != _HEADER.size + _COUNT.size * self._pieces:
            raise ValueError("not as many counts as there are pieces")
        here = [self._read(number) for number in range(self._pieces)]
        if any(count > self._length(number) for number, count in enumerate(here)):
            raise ValueError("more bytes in a piece than it has")
        self._lock = threading.Lock()
        self._claimed: set[int] = set()
        self._here = sum(here)
        self._leading = 0
        """Pieces at the beginning that are complete."""
        self._advance_leading()

    @property
    def here(self) -> int:
        """Bytes that are here, wherever they lie."""
        return self._here

    @property
    def frontier(self) -> int:
        """Bytes from the beginning that are here without a gap."""
        with self._lock:
            if self._leading == self._pieces:
                return self.total
            return self._leading * self._piece_bytes + self._read(self._leading)

    def claim(self) -> Piece | None:
        """The first piece that is not complete and that nobody else brings; None if there is none.

        Whoever claims a piece must `release` it.
        """
        with self._lock:
            for number in range(self._leading, self._pieces):
                here = self._read(number)
                if number not in self._claimed and here < self._length(number):
                    self._claimed.add(number)
                    first = number * self._piece_bytes
                    return Piece(number, first + here, first + self._length(number))
        return None

    def release(self, piece: Piece) -> None:
        """Nobody brings this piece any more."""
        with self._lock:
            self._claimed.discard(piece.number)

    def note(self, number: int, count: int) -> None:
        """So many more bytes of the piece have been written."""
        with self._lock:
            offset = _HEADER.size + _COUNT.size * number
            _COUNT.pack_into(self._map, offset, self._read(number) + count)
            self._here += count
            self._advance_leading()

    def close(self) -> None:
        """Give the memory back; the file stays."""
        self._map.close()

    def _read(self, number: int) -> int:
        count: int = _COUNT.unpack_from(self._map, _HEADER.size + _COUNT.size * number)[0]
        return count

    def _length(self, number: int) -> int:
        return min(self._piece_bytes, self.total - number * self._piece_bytes)

    def _last_byte(self) -> int:
        counts = ((number, self._read(number)) for number in range(self._pieces))
        return max((n * self._piece_bytes + count for n, count in counts if count), default=0)

    def _advance_leading(self) -> None:
        while self._leading < self._pieces and self._read(self._leading) == self._length(
            self._leading
        ):
            self._leading += 1
