"""What the connections of one listener share, whichever protocol each speaks."""

from __future__ import annotations

import asyncio
from typing import Protocol


class OpenConnection(Protocol):
    """What a listener may ask of a connection."""

    def close_if_idle(self) -> None:
        """Close, unless something is still to be answered: that is answered first."""

    def close_if_late(self, now: float, idle: float, head: float) -> None:
        """Close if it has idled, or been sending the head of a request, for so many seconds."""

    def abort(self) -> None:
        """Cut it."""


class Connections:
    """The connections that are open, and their limits."""

    def __init__(self, *, max_body: int, max_connections: int) -> None:
        self.max_body = max_body
        self.max_connections = max_connections
        self.open: set[OpenConnection] = set()
        self.closing = False
        """Every answer from now on is the last of its connection."""
        self.loop = asyncio.get_running_loop()

    @property
    def full(self) -> bool:
        """Whether there are more than are wanted."""
        return len(self.open) > self.max_connections
