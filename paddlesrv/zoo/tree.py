"""`Tree`: a private directory that files are written into, never through a link, never over one.

Every step is taken from the directory before it (openat(2) with O_NOFOLLOW), so that no path is
looked up twice; modes are ours, whatever anybody says of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
WRITEBACK_BYTES = 32 << 20
SYNC_THREADS = 4


class Tree:
    """A context. Errors are those of the operating system: what is there is never replaced."""

    def __init__(self, root: Path) -> None:
        """Open the directory, making it and what is above it where it is not there."""
        root.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._root = os.open(root, _DIRECTORY)
        self._here: tuple[str, ...] = ()
        self._descriptor = self._root

    def __enter__(self) -> Tree:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()
        os.close(self._root)

    def make_directory(self, parts: tuple[str, ...]) -> None:
        """Make a directory and those above it; those that are there are kept."""
        if parts == self._here:
            return
        self._leave()
        for part in parts:
            with suppress(FileExistsError):  # opening it tells whether it is a directory
                os.mkdir(part, 0o755, dir_fd=self._descriptor)
            deeper = os.open(part, _DIRECTORY, dir_fd=self._descriptor)
            self._close_here()
            self._descriptor = deeper
        self._here = parts

    def create(self, parts: tuple[str, ...]) -> File:
        """A new file, and the directories above it."""
        self.make_directory(parts[:-1])
        return File(os.open(parts[-1], _NEW_FILE, 0o644, dir_fd=self._descriptor))

    def _leave(self) -> None:
        self._close_here()
        self._descriptor, self._here = self._root, ()

    def _close_here(self) -> None:
        if self._descriptor != self._root:
            os.close(self._descriptor)


class File:
    """A new file that is written once, from its beginning to its end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = 0
        self._sent = 0
        os.fchmod(descriptor, 0o644)

    def write(self, piece: memoryview | bytes) -> None:
        """Write all of a piece."""
        left = memoryview(piece)
        while left:
            written = os.write(self._descriptor, left)
            self._size += written
            left = left[written:]
        if self._size - self._sent >= WRITEBACK_BYTES:
            self._begin_writeback()

    def close(self) -> None:
        """Done, whole or not."""
        os.close(self._descriptor)

    def _begin_writeback(self) -> None:
        """Let the disk work while more comes, so that `make_durable` has little to wait for.

        On Linux this advice makes the kernel write what is dirty, without waiting for it.
        """
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(
                self._descriptor, self._sent, self._size - self._sent, os.POSIX_FADV_DONTNEED
            )
        self._sent = self._size


def make_durable(root: Path, names: Iterable[str]) -> None:
    """Wait until these files are on the disk, contents and all.

    It is done once, when all are written: fsync(2) after each file would make the disk stand
    still while the next is unpacked. From several threads, since file systems write what several
    callers wait for in one transaction. Not syncfs(2): it would wait for everybody else's files
    too. Directories are `Store.publish`'s to sync, once all are whole.
    """

    def sync(name: str) -> None:
        descriptor = os.open(root / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    with ThreadPoolExecutor(SYNC_THREADS) as threads:
        list(threads.map(sync, names))
