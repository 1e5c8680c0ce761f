"""`Partial`: the unfinished file of a download, kept between runs with what it is a part of.

Beside the bytes lies a JSON identity: the URL, the server's validators and the whole size; and,
once several connections write, how much of each piece is here (see `pieces`). Bytes are continued
only if the server says that they are of the same thing.

Nothing is forced to the disk, since only what is published must last. What a crash of the machine
takes is found missing by the digest, which is computed of the bytes as they are read back; where no
digest is known, nothing from before the crash is continued (`Identity.boot`).
"""

from __future__ import annotations

import errno
import os
import threading
import uuid
from pathlib import Path

import msgspec

from paddlesrv.zoo.locks import lock_descriptor
from paddlesrv.zoo.pieces import Piece, Pieces
from paddlesrv.zoo.prefix_digest import PrefixDigest
from paddlesrv.zoo.progress import Observer

CHUNK_BYTES = 1 << 20


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What the bytes belong to. A weak ETag is no validator for ranges and is not kept."""

    url: str
    etag: str | None = None
    last_modified: str | None = None
    size: int | None = None
    boot: str | None = None
    """During which run of the machine they were written; None where that cannot be told."""
    ranges: bool = False
    """Whether the server has proven that it gives any range that it is asked for."""

    @property
    def validator(self) -> str | None:
        """The value for If-Range, if the server gave one."""
        return self.etag or self.last_modified


class Partial:
    """An open, locked partial file.

    Attributes:
        identity: What the bytes belong to; None if unknown, and then they are worth nothing.
        pieces: What is here, while it comes in any order; None where it comes in order.
    """

    def __init__(self, path: Path, observer: Observer) -> None:
        """Open the file, waiting for another process that is writing it.

        Raises:
            OSError: the file cannot be made.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor, self.path = _open_locked(path, observer)
        self._identity_path = self._beside(".json")
        self._digest = PrefixDigest(self._descriptor)
        self.pieces: Pieces | None = None
        self.identity = self._read_identity()
        if self.identity is None:
            self.restart()
            return
        written = os.fstat(self._descriptor).st_size
        if self._beside(".pieces").exists():
            self.pieces = Pieces.resume(self._beside(".pieces"), self.identity.size, written)
            if self.pieces is None:
                self.restart()
                return
        self._size = self.pieces.frontier if self.pieces else written
        self._digest.advance(self._size)

    @property
    def size(self) -> int:
        """Bytes from the beginning that are here without a gap."""
        return self.pieces.frontier if self.pieces else self._size

    @property
    def here(self) -> int:
        """Bytes that are here, wherever they lie."""
        return self.pieces.here if self.pieces else self._size

    def hexdigest(self) -> str:
        """sha256 of the first `size` bytes.

        Raises:
            OSError: they cannot be read back.
        """
        self._digest.advance(self.size)
        return self._digest.hexdigest()

    def restart(self, identity: Identity | None = None) -> None:
        """Forget the bytes; from now on they belong to `identity`."""
        # In this order a death at any point leaves bytes without an identity, which count nothing.
        self._identity_path.unlink(missing_ok=True)
        self._drop_pieces()
        self._digest.close()
        os.ftruncate(self._descriptor, 0)
        self._digest = PrefixDigest(self._descriptor)
        self._size = 0
        self.identity = identity
        if identity is not None:
            scratch = self._beside(f".json.{uuid.uuid4().hex}")
            scratch.write_bytes(msgspec.json.encode(identity))
            scratch.replace(self._identity_path)

    def append(self, chunk: bytes | memoryview) -> None:
        """Write more bytes at the end.

        Raises:
            OSError: the disk is full, or broken.
        """
        self._size += _write(self._descriptor, chunk, self._size)
        self._digest.advance(self._size)

    def begin_pieces(self, total: int, piece_bytes: int) -> Pieces:
        """From here on bytes come in any order, through writers.

        Pieces that an earlier run has begun keep the size that they had.

        Raises:
            OSError: it cannot be noted which.
        """
        if self.pieces is None:
            # Noted before the first byte lies behind a gap.
            self.pieces = Pieces(self._beside(".pieces"), total, self._size, piece_bytes)
        return self.pieces

    def end_pieces(self) -> None:
        """Keep what lies before the first gap; from here on bytes come in order again."""
        if self.pieces is not None:
            self._size = self.pieces.frontier
            os.ftruncate(self._descriptor, self._size)
            self._drop_pieces()

    def writer(self) -> PieceWriter:
        """A writer of pieces for one thread."""
        assert self.pieces is not None, "pieces have begun"
        return PieceWriter(os.dup(self._descriptor), self.pieces, self._digest)

    def finish(self, destination: Path) -> None:
        """Give the file, which is whole, its final name."""
        self._drop_pieces()
        self.path.replace(destination)
        self._identity_path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the bytes and what was noted of them."""
        self._identity_path.unlink(missing_ok=True)
        self._drop_pieces()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Give the file back; what is not finished stays for the next run."""
        self._digest.close()
        if self.pieces is not None:
            self.pieces.close()
        empty = self.identity is None and self._size == 0
        os.close(self._descriptor)
        if empty:
            # Removed by name after the lock is gone: at worst another run starts at zero too.
            self.path.unlink(missing_ok=True)

    def _beside(self, ending: str) -> Path:
        return self.path.with_name(self.path.name + ending)

    def _drop_pieces(self) -> None:
        if self.pieces is not None:
            self.pieces.close()
            self.pieces = None
        self._beside(".pieces").unlink(missing_ok=True)

    def _read_identity(self) -> Identity | None:
        try:
            return msgspec.json.decode(self._identity_path.read_bytes(), type=Identity)
        except (OSError, msgspec.MsgspecError):
            return None


class PieceWriter:
    """One thread's way into a partial file; it may outlive the file's owner, harmlessly.

    Closed by whoever comes to it first: when a program is interrupted, nobody can tell whether a
    thread has only just begun.
    """

    def __init__(self, descriptor: int, pieces: Pieces, digest: PrefixDigest) -> None:
        self._descriptor: int | None = descriptor
        self._lock = threading.Lock()
        self._pieces = pieces
        self._digest = digest

    def write(self, piece: Piece, offset: int, chunk: bytes) -> None:
        """Write bytes of a claimed piece, each after the one before.

        Raises:
            OSError: the disk is full, or broken.
            ValueError: it, or the file's owner, has closed it.
        """
        with self._lock:
            if self._descriptor is None:
                raise ValueError("the writer is closed")
            _write(self._descriptor, chunk, offset)
        self._pieces.note(piece.number, len(chunk))
        self._digest.advance(self._pieces.frontier)

    def close(self) -> None:
        """Give the file back; once more does nothing."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None:
                os.close(descriptor)


def this_boot() -> str | None:
    """Identifies this run of the machine (proc(5), random/boot_id); None where that is not told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None


def main_file(path: Path) -> Path:
    """The unfinished file that a file in its directory is, or lies beside."""
    stem, mark, _ = path.name.partition(".part.")
    return path.with_name(stem + ".part") if mark else path


def _write(descriptor: int, chunk: bytes | memoryview, offset: int) -> int:
    """Write all of it at that offset; the number of bytes."""
    view = memoryview(chunk)
    done = 0
    while done < len(view):
        written = os.pwrite(descriptor, view[done:], offset + done)
        if not written:
            raise OSError(errno.ENOSPC, "nothing more can be written")
        done += written
    return done


def _open_locked(path: Path, observer: Observer) -> tuple[int, Path]:
    """The file open and locked; a private one where the file system knows no locks."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC

    def waiting() -> None:
        observer.note("waiting for another paddlesrv that is downloading the same file")

    while True:
        descriptor = os.open(path, flags, 0o600)
        if not lock_descriptor(descriptor, waiting):
            os.close(descriptor)
            path = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
            return os.open(path, flags | os.O_EXCL, 0o600), path
        if _is_same_file(descriptor, path):
            return descriptor, path
        # Its owner finished and renamed it while we waited.
        os.close(descriptor)


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False
