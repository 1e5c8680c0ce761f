"""What `doctor` looks at: whether this machine can fetch and serve models, and what would help.

Each check looks and changes nothing, and opens no connection to the outside. What can be mended
without one is in `paddlesrv.doctor.repairs`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from paddlesrv.doctor import holdings, machine, room
from paddlesrv.doctor.finding import Finding
from paddlesrv.settings import Settings

__all__ = ["GROUPS", "Finding", "examine"]

GROUPS: dict[str, Callable[[Settings], Iterator[Finding]]] = {
    "python": machine.check_python,
    "engines": machine.check_engines,
    "gpu": machine.check_gpu,
    "precision": machine.check_precision,
    "limits": room.check_limits,
    "disk": room.check_disk,
    "ports": room.check_ports,
    "config": holdings.check_config,
    "store": holdings.check_store,
    "servers": holdings.check_servers,
    "sources": holdings.check_sources,
}
"""The groups of checks, in the order in which they are made."""


def examine(settings: Settings, groups: tuple[str, ...] = ()) -> Iterator[Finding]:
    """The findings of some groups of checks, or of all of them, as they are made."""
    for group in groups or tuple(GROUPS):
        yield from GROUPS[group](settings)
