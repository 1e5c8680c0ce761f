"""A listening socket: accepting connections, closing those that are late, shutting down.

A shutdown loses no request. What one connection does is its protocol's.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from paddlesrv.server.connections import Connections

HEADER_TIMEOUT = 30.0
"""Seconds from the first byte of a request to the end of its headers."""

KEEP_ALIVE = 75.0
"""Seconds that an idle connection is kept."""

SWEEP = 5.0
"""Seconds between looks for connections that are late: a timer for each request costs more."""

LINGER = 0.5
"""Seconds, at shutdown, in which connections that look idle may still bring a request."""


class Listener:
    """A listening socket and its connections.

    Args:
        connections: What they share.
        protocol: Makes what speaks with one of them.
    """

    def __init__(self, connections: Connections, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._connections = connections
        self._protocol = protocol
        self._server: asyncio.base_events.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def listen(self, bound: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Accept connections on a bound socket."""
        loop = self._connections.loop
        self._server = await loop.create_server(self._protocol, sock=bound, backlog=2048, ssl=tls)
        self._sweeper = loop.call_later(SWEEP, self._sweep)

    async def close(self, grace: float) -> bool:
        """Stop listening, let every connection finish, and say whether all did within `grace` s.

        Connections are answered for a moment more, each with `connection: close`: a request that
        was on its way when we decided to stop is not lost.
        """
        self._connections.closing = True
        if self._server is not None:
            self._server.close()
        await asyncio.sleep(min(LINGER, grace))
        for connection in list(self._connections.open):
            connection.close_if_idle()
        loop = self._connections.loop
        deadline = loop.time() + grace
        while self._connections.open:
            if loop.time() > deadline:
                return False
            await asyncio.sleep(0.02)
        return True

    def abort(self) -> None:
        """Stop listening, if that is not done, and cut every connection that is left."""
        if self._server is not None:
            self._server.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self._connections.open):
            connection.abort()

    def _sweep(self) -> None:
        loop = self._connections.loop
        now = loop.time()
        for connection in list(self._connections.open):
            connection.close_if_late(now, KEEP_ALIVE, HEADER_TIMEOUT)
        self._sweeper = loop.call_later(SWEEP, self._sweep)
