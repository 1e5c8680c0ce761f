"""The plain bytes of a compressed stream: gzip, bzip2, xz, each checked to its very end.

A stream may have several parts (RFC 1952 section 2.2, as pigz and bgzip write it). After the last
one zeros may follow, as tapes are padded; anything else is refused, since another reader may see
something else there.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Iterator
from typing import IO

from paddlesrv.zoo.bounds import damaged, refused

PACKED_BYTES = 256 << 10
PLAIN_BYTES = 1 << 20
XZ_MEMORY_BYTES = 100 << 20
"""`xz -9` needs 65 MiB to unpack."""

_MAGIC = {"gz": b"\x1f\x8b", "bz2": b"BZh", "xz": b"\xfd7zXZ\x00"}


def kind_of(head: bytes) -> str | None:
    """The compression that begins with these bytes."""
    return next((kind for kind, magic in _MAGIC.items() if head.startswith(magic)), None)


def blocks(raw: IO[bytes], kind: str | None, archive: str) -> Iterator[bytes]:
    """What a file holds, in pieces of at most `PLAIN_BYTES`; as it is if `kind` is None.

    Raises:
        IntegrityError: the stream is damaged, cut short, or something follows it.
    """
    if kind is None:
        while block := raw.read(PLAIN_BYTES):
            yield block
        return
    rest = raw.read(PACKED_BYTES)
    while True:
        part = _part(kind)
        while not part.eof:
            if part.hungry:
                rest = rest or raw.read(PACKED_BYTES)
                if not rest:
                    raise damaged(archive, "its compressed data ends too early")
            try:
                block = part.feed(rest)
            except (zlib.error, lzma.LZMAError, ValueError, EOFError, OSError) as error:
                raise damaged(archive, str(error)) from error
            rest = b""
            if block:
                yield block
        rest = part.rest
        if len(rest) < len(_MAGIC[kind]):
            rest += raw.read(PACKED_BYTES)
        if not rest.startswith(_MAGIC[kind]):
            break
    while rest:
        if rest.count(0) != len(rest):
            raise refused(archive, "something follows its compressed data")
        rest = raw.read(PACKED_BYTES)


def _part(kind: str) -> _Gzip | _Other:
    """One part of a stream; it is fed nothing (`b""`) unless it is hungry."""
    return _Gzip() if kind == "gz" else _Other(kind)


class _Gzip:
    def __init__(self) -> None:
        # 16: with gzip's header and its trailer, whose CRC and length zlib compares.
        self._zlib = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._tail = b""
        self.hungry = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def rest(self) -> bytes:
        return self._zlib.unused_data

    def feed(self, packed: bytes) -> bytes:
        block = self._zlib.decompress(self._tail or packed, PLAIN_BYTES)
        self._tail = self._zlib.unconsumed_tail
        # With a full block zlib may keep more of it inside, without any input left over.
        self.hungry = not self._tail and len(block) < PLAIN_BYTES
        return block


class _Other:
    def __init__(self, kind: str) -> None:
        self._packed = (
            bz2.BZ2Decompressor()
            if kind == "bz2"
            else lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES)
        )

    @property
    def eof(self) -> bool:
        return self._packed.eof

    @property
    def hungry(self) -> bool:
        return self._packed.needs_input

    @property
    def rest(self) -> bytes:
        return self._packed.unused_data

    def feed(self, packed: bytes) -> bytes:
        return self._packed.decompress(packed, PLAIN_BYTES)
