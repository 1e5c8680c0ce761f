"""The log of a detached server: where it lies, what may stand in it, and how it stays small.

What requests and names bring with them is escaped, so that no line of the log and no terminal that
shows it can be forged by a client (CVE-2020-7694, CVE-2020-7695 are such cases elsewhere).
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from types import TracebackType

from paddlesrv.server.records import private_directory

MAX_BYTES = 10_000_000
"""A log that is longer is put aside as NAME.log.1, in the place of the one before."""

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def log_path(state_dir: Path, name: str) -> Path:
    """Where the log of a detached server of that name lies."""
    return state_dir.absolute() / "logs" / f"{name}.log"


def older(path: Path) -> Path:
    """The part of a log that was put aside."""
    return path.with_name(path.name + ".1")


def begin(path: Path) -> int:
    """Begin a log anew, for its user alone; an open descriptor that appends to it.

    Raises:
        OSError: it cannot be written.
    """
    private_directory(path.parent)
    older(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    return _create(path)


def escaped(text: str) -> str:
    r"""The text without characters that move a cursor, end a line or hide: `\x1b`, `\n`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class EscapingFormatter(logging.Formatter):
    """One record is one line, whatever was put into it; a traceback has lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line."""
        return escaped(super().formatMessage(record))

    def formatException(  # noqa: N802 - logging's name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        """The traceback."""
        return "\n".join(escaped(line) for line in super().formatException(ei).split("\n"))


class LogFileHandler(logging.Handler):
    """Writes to the process's stderr, which is the log file, and puts that aside once it is long.

    stdout and stderr follow, so that what libraries write by themselves goes to the same file.

    Args:
        path: The file that stdout and stderr are already open on.
        max_bytes: Its length when a new one is begun.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        super().__init__()
        self._path = path
        self._max_bytes = max_bytes
        self.setFormatter(EscapingFormatter(FORMAT))

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; a full disk costs the line, not the server."""
        with contextlib.suppress(OSError):
            line = self.format(record) + "\n"
            os.write(2, line.encode("utf-8", "backslashreplace"))
            if os.fstat(2).st_size > self._max_bytes:
                self._begin_anew()

    def _begin_anew(self) -> None:
        try:
            self._path.replace(older(self._path))
            descriptor = _create(self._path)
        except OSError:
            os.ftruncate(2, 0)  # its directory is gone: nobody can read it, but it must not grow
            return
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.close(descriptor)


def _create(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path, flags, 0o600)
