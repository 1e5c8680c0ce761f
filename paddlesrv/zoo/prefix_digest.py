"""`PrefixDigest`: the sha256 of a file's beginning, computed beside the writing of it.

A thread of its own reads back what was just written, from the page cache, and hashes it without
Python's lock; so receiving and hashing take one core each, whatever order the bytes came in.
"""

from __future__ import annotations

import hashlib
import os
import threading

BLOCK_BYTES = 1 << 20
_HASHED_AT_ONCE = 4 << 20
"""Bytes between two looks at whether it is still wanted."""


class PrefixDigest:
    """Follows the writer of one open file. Close it before the descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._changed = threading.Condition()
        self._digest = hashlib.sha256()
        self._hashed = 0
        self._frontier = 0
        self._closed = False
        self._error: OSError | None = None
        self._thread: threading.Thread | None = None

    def advance(self, frontier: int) -> None:
        """The file is final up to there."""
        with self._changed:
            if frontier <= self._frontier:
                return
            self._frontier = frontier
            if self._thread is None:
                # Daemonic: an interrupted program does not wait for what nobody needs any more.
                self._thread = threading.Thread(target=self._follow, daemon=True, name="digest")
                self._thread.start()
            self._changed.notify_all()

    def hexdigest(self) -> str:
        """The digest of all up to the frontier; waits until it is there.

        Raises:
            OSError: the file cannot be read back.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._error or self._hashed == self._frontier)
            if self._error:
                raise self._error
            return self._digest.hexdigest()

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _follow(self) -> None:
        block = memoryview(bytearray(BLOCK_BYTES))
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._hashed < self._frontier)
                if self._closed:
                    return
                offset, end = self._hashed, self._frontier
            end = min(end, offset + _HASHED_AT_ONCE)
            try:
                while offset < end:
                    count = os.preadv(self._descriptor, [block[: end - offset]], offset)
                    if not count:
                        raise OSError(5, "the file is shorter than what was written to it")
                    self._digest.update(block[:count])
                    offset += count
            except OSError as error:
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                return
            with self._changed:
                self._hashed = offset
                self._changed.notify_all()
