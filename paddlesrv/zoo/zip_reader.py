"""Reading a zip archive (PKWARE APPNOTE 6.3): stored and deflated members, zip64.

The central directory rules, and everything must agree with it: each local header, sizes, places
that do not overlap, and an end of the file that is the end of the archive. Two readers can then
not see two things in it.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from paddlesrv.zoo.bounds import Bounds, damaged, refused
from paddlesrv.zoo.events import NOT_REGULAR, Event, Member

DIRECTORY_BYTES_MAX = 64 << 20
PIECE_BYTES = 1 << 20

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s4B4H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_ENCRYPTED, _SIZES_FOLLOW, _UTF8 = 0x2041, 0x8, 0x800
_STORED, _DEFLATED = 0, 8
_DESCRIPTOR_BYTES_MAX = 24


class _Entry(NamedTuple):
    """What the central directory says of a member; `raw` is its name's bytes."""

    raw: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    mode: int
    place: int

    @property
    def name(self) -> str:
        encoding = "utf-8" if self.flags & _UTF8 else "cp437"
        return self.raw.decode(encoding, "surrogateescape")


def read_zip(descriptor: int, bounds: Bounds, wanted: Callable[[str], bool]) -> Iterator[Event]:
    """Every member, each wanted file's bytes after it.

    Raises:
        IntegrityError: the archive is damaged, or two readers could see two things in it.
    """
    archive = _Archive(descriptor, bounds)
    entries = archive.entries()
    for entry in entries:
        bounds.member(entry.name, entry.size)
    for entry, start in archive.located(entries):
        member = _member(entry)
        yield member
        if member.is_file and wanted(member.name):
            yield from archive.content(entry, start)


def _member(entry: _Entry) -> Member:
    name, kind = entry.name, stat.S_IFMT(entry.mode)
    directory = name.endswith("/")
    refusal = None
    if entry.flags & _ENCRYPTED:
        refusal = "an encrypted member"
    elif kind not in (0, stat.S_IFDIR if directory else stat.S_IFREG):
        refusal = NOT_REGULAR
    elif directory and entry.size:
        refusal = "a directory that has a size"
    elif entry.method not in (_STORED, _DEFLATED):
        refusal = "a compression other than deflate"
    return Member(name, entry.size, directory, refusal)


class _Archive:
    """The parts of one open file."""

    def __init__(self, descriptor: int, bounds: Bounds) -> None:
        self._descriptor = descriptor
        self._bounds = bounds
        self._length = os.fstat(descriptor).st_size
        self._directory_at = 0

    def entries(self) -> list[_Entry]:
        """The central directory, in its order."""
        count, size, place = self._end()
        if size > DIRECTORY_BYTES_MAX:
            raise self._damaged(f"a directory of more than {DIRECTORY_BYTES_MAX} bytes")
        self._bounds.members(count)
        self._directory_at = place
        body, position, found = self._read(place, size), 0, []
        for _ in range(count):
            if len(body) - position < _CENTRAL.size:
                raise self._damaged("its directory is shorter than it says")
            entry, position = self._central(body, position)
            found.append(entry)
        if position != len(body):
            raise self._damaged("its directory is longer than it says")
        return found

    def located(self, entries: list[_Entry]) -> Iterator[tuple[_Entry, int]]:
        """Each entry with the place of its data, all of them checked before the first is told."""
        starts = [self._data_start(entry) for entry in entries]
        end, spare = 0, 0
        for entry, start in sorted(zip(entries, starts, strict=True), key=lambda e: e[0].place):
            self._check_next(entry.place, end, spare, entry.name)
            end = start + entry.packed
            spare = _DESCRIPTOR_BYTES_MAX if entry.flags & _SIZES_FOLLOW else 0
        self._check_next(self._directory_at, end, spare, "its directory")
        return zip(entries, starts, strict=True)

    def _check_next(self, place: int, end: int, spare: int, name: str) -> None:
        """What comes next must be where the last member ended, but for its data descriptor."""
        if place < end:
            raise refused(self._bounds.archive, "members that overlap", name)
        if place > end + spare:
            raise refused(self._bounds.archive, "something that is no member", name)

    def content(self, entry: _Entry, start: int) -> Iterator[memoryview]:
        """A file's bytes; its length and its CRC are checked."""
        crc = size = 0
        for piece in self._plain(entry, start):
            crc, size = zlib.crc32(piece, crc), size + len(piece)
            if size > entry.size:
                raise self._damaged(f"{entry.name} is longer than its directory says")
            self._bounds.came(len(piece))
            yield memoryview(piece)
        if size != entry.size:
            raise self._damaged(f"{entry.name} is shorter than its directory says")
        if crc != entry.crc:
            raise self._damaged(f"{entry.name} has another CRC than its directory says")

    def _plain(self, entry: _Entry, start: int) -> Iterator[bytes]:
        end = start + entry.packed
        pieces = (
            self._read(place, min(PIECE_BYTES, end - place))
            for place in range(start, end, PIECE_BYTES)
        )
        if entry.method == _STORED:
            yield from pieces
            return
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            for piece in pieces:
                while piece and not inflater.eof:
                    yield inflater.decompress(piece, PIECE_BYTES)
                    piece = inflater.unconsumed_tail
                if inflater.eof and (piece or inflater.unused_data):
                    break
            while not inflater.eof and (more := inflater.decompress(b"", PIECE_BYTES)):
                yield more
        except zlib.error as error:
            raise self._damaged(f"{entry.name}: {error}") from error
        if not inflater.eof or inflater.unused_data:
            raise self._damaged(f"{entry.name}: its compressed data has another length")

    def _end(self) -> tuple[int, int, int]:
        """Number of entries, size and place of the central directory."""
        tail = self._read(max(0, self._length - _END.size - _FULL16), None)
        at = tail.rfind(b"PK\5\6")
        if at < 0 or len(tail) - at < _END.size:
            raise self._damaged("its end is missing")
        _, disk, start_disk, here, count, size, place, comment = _END.unpack_from(tail, at)
        if at + _END.size + comment != len(tail):
            raise refused(self._bounds.archive, "something follows its end")
        end = self._length - len(tail) + at
        if _FULL16 in (here, count) or _FULL32 in (size, place):
            end, disks, numbers = self._end64(end)
            told = ((here, _FULL16), (count, _FULL16), (size, _FULL32), (place, _FULL32))
            for (short, full), long in zip(told, numbers, strict=True):
                if short not in (full, long):
                    raise self._damaged("its two ends do not agree")
            here, count, size, place = numbers
            disk, start_disk = disks
        if disk or start_disk or here != count:
            raise self._damaged("it is one of several parts")
        if place + size != end:
            raise self._damaged("its directory is not where its end says")
        return count, size, place

    def _end64(self, end: int) -> tuple[int, tuple[int, int], tuple[int, int, int, int]]:
        """The same for zip64: its place, the disks, and the four numbers."""
        at = end - _LOCATOR.size
        magic, disk, place, disks = _LOCATOR.unpack(self._read(at, _LOCATOR.size))
        if magic != b"PK\6\7" or disk or disks > 1 or place + _END64.size != at:
            raise self._damaged("its zip64 end is not where it must be")
        found = _END64.unpack(self._read(place, _END64.size))
        if found[0] != b"PK\6\6" or found[1] != _END64.size - 12:
            raise self._damaged("its zip64 end is none")
        return place, (found[4], found[5]), (found[6], found[7], found[8], found[9])

    def _central(self, body: bytes, position: int) -> tuple[_Entry, int]:
        (
            magic, _, _, _, _, flags, method, _, _, crc, packed, size,
            name_length, extra_length, comment_length, disk, _, attributes, place,
        ) = _CENTRAL.unpack_from(body, position)  # fmt: skip
        name_at = position + _CENTRAL.size
        extra_at = name_at + name_length
        after = extra_at + extra_length + comment_length
        if magic != b"PK\1\2" or after > len(body) or disk not in (0, _FULL16):
            raise self._damaged("its directory is none")
        size, packed, place = self._long(
            body[extra_at : extra_at + extra_length], size, packed, place
        )
        # The mode counts whatever system it is said to be from: a link must not pass as a file.
        name = body[name_at:extra_at]
        return _Entry(name, flags, method, crc, packed, size, attributes >> 16, place), after

    def _data_start(self, entry: _Entry) -> int:
        """Where the data begin, behind a local header that agrees with the central directory."""
        head = self._read(entry.place, _LOCAL.size)
        magic, _, flags, method, _, _, crc, packed, size, names, extras = _LOCAL.unpack(head)
        if magic != b"PK\3\4":
            raise self._damaged(f"{entry.name} is not where its directory says")
        after = self._read(entry.place + _LOCAL.size, names + extras)
        size, packed = self._long(after[names:], size, packed)
        later = bool(flags & _SIZES_FOLLOW)
        agrees = (
            after[:names] == entry.raw
            and method == entry.method
            and flags & (_ENCRYPTED | _SIZES_FOLLOW | _UTF8)
            == entry.flags & (_ENCRYPTED | _SIZES_FOLLOW | _UTF8)
            and all(
                local == central or (later and local == 0)
                for local, central in (
                    (crc, entry.crc), (packed, entry.packed), (size, entry.size)
                )
            )
        )  # fmt: skip
        if not agrees:
            raise refused(
                self._bounds.archive, "a local header that is not as its directory", entry.name
            )
        start: int = entry.place + _LOCAL.size + names + extras
        return start

    def _long(self, extra: bytes, *numbers: int) -> list[int]:
        """The numbers, those that are full taken from the zip64 field."""
        position, field, seen = 0, b"", False
        while position + 4 <= len(extra):
            tag, length = struct.unpack_from("<2H", extra, position)
            if tag == 1:
                if seen:
                    raise self._damaged("two zip64 fields for one member")
                field, seen = extra[position + 4 : position + 4 + length], True
            position += 4 + length
        found = []
        for number in numbers:
            if number == _FULL32 and seen:
                if len(field) < 8:
                    raise self._damaged("a zip64 field is too short")
                number = int.from_bytes(field[:8], "little")
                field = field[8:]
            found.append(number)
        return found

    def _read(self, place: int, size: int | None) -> bytes:
        """Bytes of the file; all up to its end if `size` is None."""
        size = self._length - place if size is None else size
        if place < 0 or place + size > self._length:
            raise self._damaged("it says more than there is")
        parts: list[bytes] = []
        while size:
            part = os.pread(self._descriptor, size, place)
            if not part:
                raise self._damaged("it became shorter while it was read")
            parts.append(part)
            size, place = size - len(part), place + len(part)
        return b"".join(parts)

    def _damaged(self, reason: str) -> Exception:
        return damaged(self._bounds.archive, reason)
