"""File locks between processes, with a visible word while one waits for another.

A lock spares work; nothing may become wrong without it, since network file systems exist where
`flock` does nothing or is refused.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal


def lock_descriptor(descriptor: int, waiting: Callable[[], None]) -> bool:
    """Lock an open file until it is closed; calls `waiting` once if somebody else holds it.

    Returns:
        False if this file system knows no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting()
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:
        return False
    return True


@contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file of that path; it stays behind, empty, since removing it would race.

    Raises:
        OSError: the lock file cannot be opened.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        lock_descriptor(descriptor, waiting)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def locked_now(path: Path) -> Iterator[bool]:
    """Hold the lock file of that path if nobody else does; yields whether it is held.

    Where the file system knows no locks, it counts as held.

    Raises:
        OSError: the lock file cannot be opened.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:
            pass
        yield True
    finally:
        os.close(descriptor)


def locks_work(directory: Path) -> bool:
    """Whether the file system of that directory knows locks; true where there is none yet."""
    return _probe(directory) != "unknown"


def is_locked(path: Path) -> bool:
    """Whether another process, or another part of this one, holds a lock on the file."""
    return _probe(path) == "held"


def _probe(path: Path) -> Literal["free", "held", "absent", "unknown"]:
    """What a lock on a file or directory would meet; `unknown` where there are no locks."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return "absent"
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return "held"
    except OSError:
        return "unknown"
    finally:
        os.close(descriptor)
    return "free"
