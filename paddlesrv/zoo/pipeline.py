"""Two threads beside the one that writes: one reads ahead, one hashes.

Reading, inflating, hashing and writing of large pieces all leave the interpreter to others, so
that two cores are used. What waits between threads is bounded, and so is memory.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

AHEAD = 4
"""Pieces that may wait; see `inflate.PLAIN_BYTES` for how large one is."""

HASHED_HERE_BYTES = 64 << 10
"""A piece this small is hashed sooner than another thread is told of it."""


@contextmanager
def ahead(blocks: Iterator[bytes]) -> Generator[Iterator[bytes]]:
    """The same blocks, made by another thread a little before they are asked for.

    What the iterator raises is raised where the blocks are asked for. When the context is left
    the thread has ended.
    """
    waiting: queue.Queue[bytes | BaseException | None] = queue.Queue(AHEAD)
    stop = threading.Event()

    def work() -> None:
        try:
            for block in blocks:
                waiting.put(block)
                if stop.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - raised in the other thread
            waiting.put(error)
        else:
            waiting.put(None)

    def taken() -> Iterator[bytes]:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    thread = threading.Thread(target=work, name="paddlesrv-read-ahead")
    thread.start()
    try:
        yield taken()
    finally:
        stop.set()
        while thread.is_alive():
            with suppress(queue.Empty):
                waiting.get(timeout=0.01)


class Hasher:
    """sha256 of one file after the other, made by a thread of its own; a context."""

    def __init__(self) -> None:
        self.digests: dict[str, str] = {}
        self._name = ""
        self._digest = hashlib.sha256()
        self._waiting: queue.Queue[memoryview | None] = queue.Queue(AHEAD)
        self._thread = threading.Thread(target=self._work, name="paddlesrv-hash")

    def __enter__(self) -> Hasher:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._waiting.put(None)
        self._thread.join()

    def update(self, piece: memoryview) -> None:
        """Add a piece to the file that is being hashed; it must not change any more."""
        if len(piece) <= HASHED_HERE_BYTES:
            self._waiting.join()
            self._digest.update(piece)
        else:
            self._waiting.put(piece)

    def finish(self, name: str) -> None:
        """The file is whole: its digest is kept under this name, and the next one begins."""
        self._waiting.join()
        self.digests[name] = self._digest.hexdigest()
        self._digest = hashlib.sha256()

    def _work(self) -> None:
        while (piece := self._waiting.get()) is not None:
            self._digest.update(piece)
            self._waiting.task_done()
