"""Reading a tar stream: POSIX ustar and pax (IEEE Std 1003.1, pax), GNU long names, old v7.

Stricter than the standard library's reader, which takes a header that is no header for the end.
Here a stream ends with a block of zeros and nothing but zeros behind it; whatever two readers
could take in two ways (two sizes, sparse files, unknown kinds of members) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from paddlesrv.zoo.bounds import Bounds, damaged, refused
from paddlesrv.zoo.events import NOT_REGULAR, Event, Member

BLOCK_BYTES = 512
LONG_NAME_BYTES_MAX = 16 << 10
PAX_BYTES_MAX = 1 << 20
EXTENSIONS_MAX = 4
"""Headers that may stand before one member."""

_REGULAR, _OLD_REGULAR, _DIRECTORY = b"0", b"\0", b"5"
_WITHOUT_DATA = (b"1", b"2", b"3", b"4", b"6")
"""Links, devices, pipes: no data follows, whatever the header says."""

_OCTAL = re.compile(rb"[ ]*([0-7]*)[ \0]*")
_SIZE_IN_OCTAL_MAX = 8**11


class _Header(NamedTuple):
    name: bytes
    kind: bytes
    size: int


class _Extended:
    """What extension headers say of the member that comes next."""

    def __init__(self) -> None:
        self.headers = 0
        self.name: bytes | None = None
        self.size: int | None = None
        self.sparse = False


class Stream:
    """The plain bytes of an archive, in order; those that are used are counted."""

    def __init__(self, blocks: Iterator[bytes], bounds: Bounds) -> None:
        self._blocks = blocks
        self._bounds = bounds
        self._block = memoryview(b"")

    def pieces(self, size: int) -> Iterator[memoryview]:
        """The next bytes, as they come.

        Raises:
            IntegrityError: there are not as many.
        """
        while size:
            if not self._more():
                raise damaged(self._bounds.archive, "it ends in the middle of a member")
            piece, self._block = self._block[:size], self._block[size:]
            self._bounds.came(len(piece))
            size -= len(piece)
            yield piece

    def exactly(self, size: int) -> bytes:
        """The next bytes, in one piece."""
        if len(self._block) >= size:
            return bytes(next(self.pieces(size))) if size else b""
        return b"".join(self.pieces(size))

    def skip(self, size: int) -> None:
        """Go past the next bytes."""
        for _ in self.pieces(size):
            pass

    def rest(self) -> Iterator[memoryview]:
        """All that is left."""
        while self._more():
            yield from self.pieces(len(self._block))

    def _more(self) -> bool:
        while not self._block:
            block = next(self._blocks, None)
            if block is None:
                return False
            self._block = memoryview(block)
        return True


def is_header(block: bytes) -> bool:
    """Whether a block can be the first one of a tar stream."""
    return len(block) == BLOCK_BYTES and any(block) and _checksum_is_right(block)


def read_tar(stream: Stream, bounds: Bounds, wanted: Callable[[str], bool]) -> Iterator[Event]:
    """Every member, each wanted file's bytes after it.

    Raises:
        IntegrityError: the stream is damaged, or holds what is refused whatever is wanted.
    """
    extended = _Extended()
    while any(block := stream.exactly(BLOCK_BYTES)):
        header = _parsed(block, bounds.archive)
        if header.kind in b"xgLK":
            _extend(extended, header, stream, bounds.archive)
            continue
        name = _text(header.name if extended.name is None else extended.name)
        size = _size(header, extended, bounds.archive, name)
        bounds.member(name, size)
        member = _member(header, name, size, extended.sparse, bounds.archive)
        extended = _Extended()
        take = member.is_file and wanted(name)
        yield member
        if take:
            yield from stream.pieces(size)
        else:
            stream.skip(member.size)
        stream.skip(-member.size % BLOCK_BYTES)
    if extended.headers:
        raise damaged(bounds.archive, "an extension header belongs to no member")
    for piece in stream.rest():
        if any(piece):
            raise refused(bounds.archive, "something follows its end")


def _parsed(block: bytes, archive: str) -> _Header:
    if not _checksum_is_right(block):
        raise damaged(archive, "a header's checksum is wrong")
    name = block[:100].split(b"\0", 1)[0]
    if block[257:263] == b"ustar\0" and (prefix := block[345:500].split(b"\0", 1)[0]):
        name = prefix + b"/" + name
    size = _number(block[124:136])
    if size is None:
        raise damaged(archive, "a header's size is no number")
    return _Header(name, block[156:157], size)


def _checksum_is_right(block: bytes) -> bool:
    """The sum of all bytes with the sum itself as spaces; old writers took the bytes as signed."""
    said = _number(block[148:156])
    unsigned = sum(block[:148]) + 8 * 32 + sum(block[156:])
    high = sum(byte > 127 for byte in block[:148]) + sum(byte > 127 for byte in block[156:])
    return said in (unsigned, unsigned - 256 * high)


def _number(field: bytes) -> int | None:
    """Octal digits, or GNU's base 256 if the highest bit is set; None if it is neither."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    found = _OCTAL.fullmatch(field)
    return int(found[1] or b"0", 8) if found else None


def _extend(extended: _Extended, header: _Header, stream: Stream, archive: str) -> None:
    extended.headers += 1
    if extended.headers > EXTENSIONS_MAX:
        raise damaged(archive, f"more than {EXTENSIONS_MAX} extension headers in a row")
    allowed = PAX_BYTES_MAX if header.kind in b"xg" else LONG_NAME_BYTES_MAX
    if header.size > allowed:
        raise damaged(archive, f"a header of more than {allowed} bytes")
    body = stream.exactly(header.size)
    stream.skip(-header.size % BLOCK_BYTES)
    if header.kind == b"L":
        extended.name = body[:-1] if body.endswith(b"\0") else body
    elif header.kind in b"xg":
        _take_records(extended, body, archive, everywhere=header.kind == b"g")


def _take_records(extended: _Extended, body: bytes, archive: str, *, everywhere: bool) -> None:
    """Read pax records: "LENGTH KEY=VALUE\\n", the length being that of the whole record."""
    position = 0
    while position < len(body):
        digits, space, _ = body[position : position + 20].partition(b" ")
        length = int(digits) if digits.isdigit() else 0
        record = body[position : position + length]
        key, equals, value = record[len(digits) + 1 : -1].partition(b"=")
        if not (space and equals and len(record) == length and record.endswith(b"\n")):
            raise damaged(archive, "a pax record's length is wrong")
        position += length
        sparse = key.startswith((b"GNU.sparse.", b"SCHILY.realsize"))
        if everywhere and (sparse or key in (b"path", b"size", b"linkpath")):
            raise refused(archive, "a pax header that changes every member")
        extended.sparse |= sparse
        if key == b"path":
            extended.name = value
        elif key == b"size":
            if not value.isdigit() or len(value) > 20:
                raise damaged(archive, "a pax record's size is no number")
            extended.size = int(value)


def _size(header: _Header, extended: _Extended, archive: str, name: str) -> int:
    """The member's size; pax says it where the header's digits do not suffice."""
    if extended.size is None:
        return header.size
    if header.size not in (0, extended.size) and extended.size < _SIZE_IN_OCTAL_MAX:
        raise refused(archive, "two sizes that differ", name)
    return extended.size


def _member(header: _Header, name: str, size: int, sparse: bool, archive: str) -> Member:
    """The member; its size is that of the data that follows."""
    kind = header.kind
    if sparse:
        return Member(name, size, refusal="a sparse file")
    if kind == _OLD_REGULAR and name.endswith("/"):
        kind = _DIRECTORY
    if kind in (_REGULAR, _OLD_REGULAR):
        return Member(name, size)
    if kind == _DIRECTORY:
        if size:
            raise refused(archive, "a directory that has a size", name)
        return Member(name if name.endswith("/") else name + "/", directory=True)
    if kind in _WITHOUT_DATA:
        return Member(name, refusal=NOT_REGULAR)
    # Where the next header stands depends on the kind, so that nothing can be read past it.
    raise refused(archive, NOT_REGULAR, name)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
