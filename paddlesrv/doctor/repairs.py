"""What `doctor --fix` mends: what is safe, needs no network, and loses nothing anybody wants.

Missing directories are made, what everybody may write is closed, leftovers of killed processes
and records of dead servers are removed. A damaged model is not fetched again: only commands that
are asked to fetch go out. Lock files stay: an unheld one is in nobody's way, and removing it would
race with whoever is about to take it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from paddlesrv.server.records import Claim, directories_in_use, recorded
from paddlesrv.settings import Settings
from paddlesrv.zoo.leftovers import STALE_SECONDS
from paddlesrv.zoo.store import Store


@dataclass(frozen=True)
class Repair:
    """One thing to do, and how; doing it raises OSError or a PaddlesrvError if it cannot be."""

    text: str
    make: Callable[[], object]


def repairs(settings: Settings) -> Iterator[Repair]:
    """What there is to mend now; nothing is changed by looking."""
    for directory, mode in (
        (settings.cache_dir, 0o755),
        # Logs hold what users sent, and the config file decides where models come from.
        (settings.state_dir, 0o700),
        (settings.config_dir, 0o700),
    ):
        if not directory.exists():
            yield Repair(
                f"make the directory {directory}",
                partial(directory.mkdir, mode=mode, parents=True, exist_ok=True),
            )
        else:
            yield from _closed(directory)
    yield from _closed(settings.user_file)
    yield from _leftovers(settings)
    for entry in recorded(settings.state_dir):
        if not entry.alive:
            name = entry.record.name
            text = f"remove the record of the server {name}, which is dead"
            yield Repair(text, partial(_forget, settings.state_dir, name))


def _closed(path: Path) -> Iterator[Repair]:
    try:
        status = path.stat()
    except OSError:
        return
    sticky = status.st_mode & stat.S_ISVTX
    if status.st_mode & stat.S_IWOTH and not sticky and status.st_uid == os.geteuid():
        mode = stat.S_IMODE(status.st_mode) & ~stat.S_IWOTH
        yield Repair(f"take from everybody the right to write {path}", partial(path.chmod, mode))


def _leftovers(settings: Settings) -> Iterator[Repair]:
    store, in_use = Store(settings.cache_dir), directories_in_use(settings.state_dir)
    found = store.leftovers(older_than_seconds=STALE_SECONDS, in_use=in_use)
    if found:
        names = ", ".join(path.name for path in found[:3]) + (", ..." if len(found) > 3 else "")
        yield Repair(
            f"remove {len(found)} leftovers of what was cut off more than a day ago: {names}",
            partial(store.prune, older_than_seconds=STALE_SECONDS, in_use=in_use),
        )


def _forget(state_dir: Path, name: str) -> None:
    # Taking the name removes the record, and fails if a server has taken it meanwhile.
    Claim.take(state_dir, name).release()
