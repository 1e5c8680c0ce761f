"""`Partial`: the unfinished file of a download, kept between runs with what it is a part of.

Beside the bytes lies a JSON identity: the URL, the server's validators and the whole size. Bytes
are continued only if the server says that they are of the same thing.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path

import msgspec

from paddlesrv.zoo.locks import lock_descriptor
from paddlesrv.zoo.progress import Observer

CHUNK_BYTES = 1 << 20


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What the bytes belong to. A weak ETag is no validator for ranges and is not kept."""

    url: str
    etag: str | None = None
    last_modified: str | None = None
    size: int | None = None

    @property
    def validator(self) -> str | None:
        """The value for If-Range, if the server gave one."""
        return self.etag or self.last_modified


class Partial:
    """An open, locked partial file; the position is always its end.

    Attributes:
        size: Bytes that are here.
        identity: What they belong to; None if unknown, and then they are worth nothing.
        digest: sha256 of the bytes that are here.
    """

    def __init__(self, path: Path, observer: Observer) -> None:
        """Open the file, waiting for another process that is writing it.

        Raises:
            OSError: the file cannot be made.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor, self.path = _open_locked(path, observer)
        self._identity_path = self.path.with_name(self.path.name + ".json")
        self.identity = self._read_identity()
        self.size = 0
        self.digest = hashlib.sha256()
        if self.identity is None:
            self.restart()
        else:
            self._hash_prefix()

    def restart(self, identity: Identity | None = None) -> None:
        """Forget the bytes; from now on they belong to `identity`."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self.size = 0
        self.digest = hashlib.sha256()
        self.identity = identity
        if identity is None:
            self._identity_path.unlink(missing_ok=True)
            return
        scratch = self._identity_path.with_name(f"{self._identity_path.name}.{uuid.uuid4().hex}")
        scratch.write_bytes(msgspec.json.encode(identity))
        scratch.replace(self._identity_path)

    def append(self, chunk: bytes) -> None:
        """Write and hash more bytes.

        Raises:
            OSError: the disk is full, or broken.
        """
        view = memoryview(chunk)
        while view:
            written = os.write(self._descriptor, view)
            self.digest.update(view[:written])
            self.size += written
            view = view[written:]

    def finish(self, destination: Path) -> None:
        """Make the bytes durable and give the file its final name."""
        os.fsync(self._descriptor)
        self.path.replace(destination)
        self._identity_path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the bytes and their identity."""
        self.path.unlink(missing_ok=True)
        self._identity_path.unlink(missing_ok=True)

    def close(self) -> None:
        """Give the file back; what is not finished stays for the next run."""
        os.close(self._descriptor)
        if self.identity is None and self.size == 0:
            # Removed by name after the lock is gone: at worst another run starts at zero too.
            self.path.unlink(missing_ok=True)

    def _read_identity(self) -> Identity | None:
        try:
            return msgspec.json.decode(self._identity_path.read_bytes(), type=Identity)
        except (OSError, msgspec.MsgspecError):
            return None

    def _hash_prefix(self) -> None:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        while chunk := os.read(self._descriptor, CHUNK_BYTES):
            self.digest.update(chunk)
            self.size += len(chunk)


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
