"""Reading the members of an archive, one after the other, with the standard library's readers.

Nothing is judged or written here; memory stays flat whatever the archive claims.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple, cast

from paddlesrv.errors import IntegrityError

_HEADER_BYTES_MAX = 8 << 20
_BLOCK_BYTES = 256 << 10
# What the standard library's readers raise on bytes that are no archive, as fuzzing them shows.
DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    struct.error,
    ValueError,
    IndexError,
    OverflowError,
    RuntimeError,
)


class Member(NamedTuple):
    """One entry: its name as written, whether a directory, why it is refused, its bytes.

    In a stream the bytes of a member that is not wanted must be read all the same.
    """

    name: str
    directory: bool = False
    refusal: str | None = None
    open: Callable[[], AbstractContextManager[IO[bytes]]] | None = None
    streamed: bool = False


def is_archive(path: Path) -> bool:
    """Whether the first bytes are those of an archive that `extract` reads."""
    with path.open("rb") as file:
        head = file.read(512)
    return _kind(head) is not None


def _kind(head: bytes) -> str | None:
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    for magic, kind in ((b"\x1f\x8b", "gz"), (b"BZh", "bz2"), (b"\xfd7zXZ\x00", "xz")):
        if head.startswith(magic):
            return kind
    return "tar" if head[257:262] == b"ustar" or _is_old_tar(head) else None


def _is_old_tar(head: bytes) -> bool:
    """A header without magic, told by its checksum."""
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


def read_members(archive: Path) -> Iterator[Member]:
    """Every member, in the archive's order; its bytes must be read before the next is asked for.

    Raises:
        IntegrityError: it is no archive.
        Exception: one of `DAMAGE`, or an OSError, where it is damaged.
    """
    with archive.open("rb") as raw:
        kind = _kind(raw.read(512))
        raw.seek(0)
        if kind == "zip":
            yield from _zip_members(raw)
        elif kind == "tar":
            yield from _tar_members(raw)
        elif kind == "gz":
            with gzip.open(raw) as plain:
                yield from _tar_members(cast(IO[bytes], plain))
        elif kind == "bz2":
            with bz2.open(raw) as plain:
                yield from _tar_members(cast(IO[bytes], plain))
        elif kind == "xz":
            with lzma.open(raw) as plain:
                yield from _tar_members(cast(IO[bytes], plain))
        else:
            raise IntegrityError(
                f"{archive.name} is no archive",
                context={"expected": "tar, tar.gz, tar.bz2, tar.xz, zip or whl"},
            )


def _zip_members(raw: IO[bytes]) -> Iterator[Member]:
    with zipfile.ZipFile(raw) as archive:
        for info in archive.infolist():
            # `filename` is cut at a NUL; the name as written is judged.
            name, kind = info.orig_filename, stat.S_IFMT(info.external_attr >> 16)
            refusal = None
            if info.flag_bits & 0x1:
                refusal = "an encrypted member"
            elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                refusal = "neither a regular file nor a directory"
            directory = name.endswith("/")
            if refusal or directory:
                yield Member(name, directory, refusal)
            else:
                yield Member(name, open=partial(archive.open, info))


def _tar_members(plain: IO[bytes]) -> Iterator[Member]:
    bounded = _BoundedHeaders(plain)
    with closing(
        tarfile.open(fileobj=cast(IO[bytes], bounded), mode="r|", bufsize=_BLOCK_BYTES)
    ) as archive:
        while (info := archive.next()) is not None:
            bounded.forgive()
            if info.isdir():
                yield Member(info.name + "/", directory=True)
            elif info.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and info.sparse is None:
                content = cast(IO[bytes], archive.extractfile(info))
                forgiving = nullcontext(cast(IO[bytes], _Forgiving(content, bounded)))
                yield Member(info.name, open=partial(_same, forgiving), streamed=True)
            else:
                yield Member(info.name, refusal="neither a regular file nor a directory")
            # tarfile keeps every member that it has seen; the walk needs none of them.
            archive.members.clear()  # type: ignore[attr-defined]


def _same(content: AbstractContextManager[IO[bytes]]) -> AbstractContextManager[IO[bytes]]:
    return content


class _BoundedHeaders:
    """A reader that refuses a header (a long name, pax records) that would fill the memory.

    Members' bytes are always read through `_Forgiving`, so what is read without forgiveness is
    headers alone.
    """

    def __init__(self, plain: IO[bytes]) -> None:
        self._plain = plain
        self._unforgiven = 0

    def read(self, size: int) -> bytes:
        """Read on, within the bound."""
        data = self._plain.read(size)
        self._unforgiven += len(data)
        if self._unforgiven > _HEADER_BYTES_MAX:
            raise tarfile.ReadError(f"a header of more than {_HEADER_BYTES_MAX} bytes")
        return data

    def forgive(self) -> None:
        """What was read until now was no header."""
        self._unforgiven = 0


class _Forgiving:
    """A member's bytes."""

    def __init__(self, content: IO[bytes], bounded: _BoundedHeaders) -> None:
        self._content = content
        self._bounded = bounded

    def read(self, size: int) -> bytes:
        """Read on."""
        self._bounded.forgive()
        return self._content.read(size)
