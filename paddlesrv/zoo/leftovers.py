"""What processes that were killed left in a store, and content that newer content has replaced.

Nothing that is in use is a leftover. What is being downloaded or put together is locked by whoever
does so; content that is being published has its model's lock; what a running server reads is named
by the caller. Where the file system knows no locks, only age tells, and a day is waited.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from paddlesrv.zoo.locks import is_locked, locked_now, locks_work
from paddlesrv.zoo.partial import main_file

if TYPE_CHECKING:
    from paddlesrv.zoo.store import Store

STALE_SECONDS = 24 * 3600.0
"""What has no lock and was not touched for this long was left behind by a killed process."""
_UNLOCKED_SECONDS = 3600.0
"""The same for files that live for moments, or (a conversion) ten minutes at most."""

Kind = Literal["download", "staging", "replaced"]

_CONTENT = re.compile(r"(?P<name>.+)-[0-9a-f]{12}(-[0-9a-f]{6})?")
_SCRATCH_LINK = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{32}")


class Leftover(msgspec.Struct, frozen=True, kw_only=True):
    """Something that nobody needs.

    `age_seconds` is how long nothing in it was written. `download`: the unfinished bytes of a
    file, which the next `get` would go on with. `staging`: what a killed process was putting
    together. `replaced`: content that no model's name stands for any more.
    """

    kind: Kind
    path: Path
    size_bytes: int
    age_seconds: float


def find_leftovers(store: Store, *, in_use: Collection[Path] = ()) -> list[Leftover]:
    """All leftovers of a store; it is only read.

    Args:
        store: Where to look.
        in_use: Directories that running servers read.
    """
    used = {path.resolve() for path in in_use}
    found: list[Leftover] = []
    for path in _entries(store.partial_dir):
        if not is_locked(main_file(path)):
            found.append(_leftover("download", path))
    for path in _entries(store.staging_dir):
        if path.name.startswith("."):
            found += _if_older([_leftover("staging", path)], _UNLOCKED_SECONDS)
        elif not is_locked(path):
            found.append(_leftover("staging", path))
    # Files that live between two system calls, and have no lock.
    short_lived = [p for p in _entries(store.models_dir) if _SCRATCH_LINK.fullmatch(p.name)]
    short_lived += store.root.glob("pins.json.*")
    short_lived += (store.root / "converted").glob(".converting-*")
    found += _if_older((_leftover("staging", path) for path in short_lived), _UNLOCKED_SECONDS)
    current = {(store.models_dir / name).resolve() for name in store.names()}
    for path in _entries(store.objects_dir):
        if path.resolve() not in current | used and not _is_held(store, path):
            found.append(_leftover("replaced", path))
    if not locks_work(store.root / "locks"):
        found = list(_if_older(found, STALE_SECONDS))
    return sorted(found, key=lambda each: each.path)


def remove_leftover(store: Store, leftover: Leftover) -> bool:
    """Remove one, unless somebody has begun to use it meanwhile; whether it is gone."""
    path = leftover.path
    if path.parent == store.partial_dir:
        return _remove_part(path)
    if path.parent == store.objects_dir:
        return _under_lock(
            store, _CONTENT.fullmatch(path.name), lambda: _remove_content(store, path)
        )
    if path.parent == store.models_dir:
        found = _SCRATCH_LINK.fullmatch(path.name)
        return _under_lock(store, found, lambda: _remove(path))
    if path.parent == store.staging_dir and is_locked(path):
        return False
    return _remove(path)


def stale_staging(directory: Path) -> None:
    """Remove what killed processes were putting together."""
    least = 0.0 if locks_work(directory) else STALE_SECONDS
    for path in _entries(directory):
        unborn = path.name.startswith(".")
        if is_locked(path) or _touched(path)[1] < (
            max(least, _UNLOCKED_SECONDS) if unborn else least
        ):
            continue
        shutil.rmtree(path, ignore_errors=True)


def measured(path: Path) -> int:
    """Bytes of a file, or of all files below a directory; links are not followed."""
    return _touched(path)[0]


def _leftover(kind: Kind, path: Path) -> Leftover:
    size_bytes, age_seconds = _touched(path)
    return Leftover(kind=kind, path=path, size_bytes=size_bytes, age_seconds=age_seconds)


def _if_older(found: Iterable[Leftover], seconds: float) -> Iterator[Leftover]:
    return (each for each in found if each.age_seconds >= seconds)


def _touched(path: Path) -> tuple[int, float]:
    """Bytes below a path, and seconds since anything in it was written last."""
    size_bytes, newest = 0, 0.0
    for place in _walk(path):
        try:
            status = place.lstat()
        except OSError:
            continue  # gone since
        newest = max(newest, status.st_mtime)
        size_bytes += 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    return size_bytes, max(0.0, time.time() - newest) if newest else 0.0


def _walk(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir() and not path.is_symlink():
        for directory, names, files in os.walk(path):
            yield from (Path(directory, name) for name in (*names, *files))


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_held(store: Store, content: Path) -> bool:
    """Whether the content is being published, or its model installed or removed."""
    found = _CONTENT.fullmatch(content.name)
    return is_locked(content) or (
        found is not None and is_locked(store.root / "locks" / f"{found['name']}.lock")
    )


def _under_lock(store: Store, found: re.Match[str] | None, remove: Callable[[], bool]) -> bool:
    if found is None:
        return remove()
    with locked_now(store.root / "locks" / f"{found['name']}.lock") as mine:
        return mine and remove()


def _remove_content(store: Store, path: Path) -> bool:
    current = {(store.models_dir / name).resolve() for name in store.names()}
    if path.resolve() in current or is_locked(path):
        return False
    # The ready mark goes first, so that what a crash leaves is no model.
    (path / "install.json").unlink(missing_ok=True)
    return _remove(path)


def _remove_part(path: Path) -> bool:
    """Under the lock that a download takes first: whoever waits for it then starts afresh."""
    part = main_file(path)
    existed = part.exists()
    try:
        with locked_now(part) as mine:
            if mine:
                path.unlink(missing_ok=True)
                if not existed:
                    part.unlink(missing_ok=True)
            return mine
    except OSError:
        return _remove(path)


def _remove(path: Path) -> bool:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    return not os.path.lexists(path)
