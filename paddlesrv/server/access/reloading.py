"""New keys without a restart: on SIGHUP, and when the file is seen to have changed.

Kubernetes replaces a mounted Secret and tells nobody, so the file is looked at as well.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from paddlesrv.server.access.gate import Count, Gate
from paddlesrv.server.config import ServerConfig

LOOK = 5.0
"""Seconds between looks at the file."""


def make_gate(config: ServerConfig, count: Count) -> Gate | None:
    """The gate of a configuration; None where anybody may ask as often as they like.

    Args:
        config: The server's.
        count: Told of each request that is turned away.

    Raises:
        UsageError, IntegrityError: the file of keys cannot be used.
    """
    if config.api_key_file is None and config.rate_limit is None:
        return None
    path = Path(config.api_key_file).absolute() if config.api_key_file is not None else None
    return Gate(path, config.rate_limit, count=count)


class KeyReloading:
    """Looks at a gate's file as long as the loop runs."""

    def __init__(self, gate: Gate, loop: asyncio.AbstractEventLoop) -> None:
        self._gate = gate
        self._loop = loop
        loop.call_later(LOOK, self._look)

    def now(self) -> None:
        """Read the file again."""
        self._gate.reload()

    def _look(self) -> None:
        self._gate.reload_if_changed()
        self._loop.call_later(LOOK, self._look)


@dataclass(frozen=True)
class Terminal:
    """The terminal that this process was started in, if it was."""

    was_there: bool

    @classmethod
    def own(cls) -> Terminal:
        """As it is now."""
        return cls(_terminal())

    @property
    def gone(self) -> bool:
        """Whether there was one, and is none any more."""
        return self.was_there and not _terminal()


def _terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
