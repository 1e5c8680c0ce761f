"""Reading a server's log while it is written, cut off or put aside."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from paddlesrv.server.logfile import escaped, older
from paddlesrv.server.processes import Process

LOOK_SECONDS = 0.2
"""Between two looks for new lines; the end of the server is noticed at once."""

LINE_MAX = 1_000_000
"""Bytes of a line without an end that are kept back."""


class LogReader:
    """The lines of a log, from its beginning, as they come.

    Args:
        path: The log; it may not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def older_lines(self) -> Iterator[str]:
        """The lines of the part that was put aside before this was called."""
        self._open()  # first, so that what is put aside from now on is not missed
        aside = LogReader(older(self._path))
        try:
            if aside._open() and not self._same_file(aside):
                yield from aside._read()
                yield from aside.last()
        finally:
            aside.close()

    def lines(self) -> Iterator[str]:
        """The whole lines that have come since the last call."""
        while self._open():
            assert self._file is not None
            yield from self._read()
            status = os.fstat(self._file.fileno())
            if status.st_size < self._file.tell():  # somebody emptied it
                self._file.seek(0)
                self._rest = b""
            elif self._put_aside(status):
                yield from self._read()  # what was written before that
                yield from self.last()
                self.close()
            else:
                return

    def last(self) -> list[str]:
        """The line that has no end yet, if there is one."""
        rest, self._rest = self._rest, b""
        return [_text(rest)] if rest else []

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> bool:
        if self._file is None:
            try:
                self._file = self._path.open("rb")
            except FileNotFoundError:
                return False
        return True

    def _read(self) -> Iterator[str]:
        assert self._file is not None
        while chunk := self._file.read(1 << 16):
            *whole, self._rest = (self._rest + chunk).split(b"\n")
            yield from map(_text, whole)
            if len(self._rest) > LINE_MAX:
                yield from self.last()

    def _same_file(self, other: LogReader) -> bool:
        if self._file is None or other._file is None:
            return False
        return os.path.sameopenfile(self._file.fileno(), other._file.fileno())

    def _put_aside(self, opened: os.stat_result) -> bool:
        try:
            return not os.path.samestat(self._path.stat(), opened)
        except FileNotFoundError:
            return False


def read(path: Path, tail: int | None = None) -> list[str]:
    """The lines of a log, with the part that was put aside; `tail` of them, the last ones."""
    reader = LogReader(path)
    try:
        return _tail([*reader.older_lines(), *reader.lines(), *reader.last()], tail)
    finally:
        reader.close()


def follow(path: Path, process: Process, tail: int | None = None) -> Iterator[str]:
    """The lines of a log, the last `tail` of those that are there, until the process ends."""
    reader = LogReader(path)
    try:
        yield from _tail([*reader.older_lines(), *reader.lines()], tail)
        while not process.wait(LOOK_SECONDS):
            yield from reader.lines()
        yield from reader.lines()
        yield from reader.last()
    finally:
        reader.close()


def _tail(lines: Iterable[str], count: int | None) -> list[str]:
    return list(lines) if count is None else list(deque(lines, maxlen=count))


def _text(line: bytes) -> str:
    """A line as it may be shown; libraries write to the log what they like."""
    text = line.removesuffix(b"\r").decode(errors="backslashreplace")
    return "\t".join(map(escaped, text.split("\t")))
