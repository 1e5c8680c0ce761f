"""Connections: what stands between a socket and the HTTP application.

uvicorn's protocol parses HTTP/1.1; added here are limits on headers and time, the news that a
client has gone (so that nothing is computed for nobody), and a shutdown that loses no request.
A connection's first bytes are seen here first: this is where other protocols on the same port
will branch off.
"""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

MAX_HEADER_BYTES = 64 << 10
HEADER_TIMEOUT = 30.0
"""Seconds from the first byte of a request to the end of its headers."""

KEEP_ALIVE = 75.0
"""Seconds that an idle connection is kept."""

LINGER = 0.5
"""Seconds, at shutdown, in which connections that look idle may still bring a request."""

RESPOND = "paddlesrv.respond"
"""ASGI extension of these connections: `respond(status, headers, body)`, without `await`."""

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class _State(ServerState):
    """uvicorn's state of a listener, and whether it is closing."""

    def __init__(self, max_connections: int) -> None:
        super().__init__()
        self.closing = False
        self.max_connections = max_connections


class HttpConnection(HttpToolsProtocol):
    """One HTTP/1.1 connection."""

    server_state: _State
    _header_bytes = 0
    _in_headers = False
    _header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.server_state.max_connections:
            transport.write(_TOO_MANY)
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Parse; then watch the clock if headers are still incomplete."""
        super().data_received(data)
        if self._in_headers and self._header_timer is None and not self.transport.is_closing():
            self._header_timer = self.loop.call_later(HEADER_TIMEOUT, self._refuse, _TOO_SLOW)

    def on_message_begin(self) -> None:
        """A request starts."""
        super().on_message_begin()
        self._in_headers = True
        self._header_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the request line."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        super().on_header(name, value)
        self._count(len(name) + len(value) + 4)

    def on_headers_complete(self) -> None:
        """Headers are whole: start the application, unless they were refused."""
        self._in_headers = False
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None
        if self.transport.is_closing():
            return
        super().on_headers_complete()
        self.scope["extensions"] = {RESPOND: partial(_respond, self.cycle)}  # type: ignore[dict-item]
        if self.server_state.closing:
            self.cycle.keep_alive = False

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone: whoever works for it may stop."""
        if self._header_timer is not None:
            self._header_timer.cancel()
        waiting = [cycle for cycle, _ in self.pipeline]
        if self.cycle is not None:
            waiting.append(self.cycle)
        super().connection_lost(exc)
        for cycle in waiting:
            if not cycle.response_complete:
                cancel = cycle.scope.get("paddlesrv.disconnect")
                if callable(cancel):
                    cancel()

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER_BYTES and not self.transport.is_closing():
            self._refuse(_TOO_LARGE)

    def _refuse(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()


def _respond(
    cycle: RequestResponseCycle, status: int, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    """Send an answer in one write: a system call and a packet less than ASGI's two steps."""
    if cycle.disconnected or cycle.response_started:
        return
    parts = [STATUS_LINE[status]]
    for name, value in headers:
        if name == b"connection":  # only ever "close"; said below
            cycle.keep_alive = False
        else:
            parts += (name, b": ", value, b"\r\n")
    if not cycle.keep_alive:
        parts.append(b"connection: close\r\n\r\n")
    else:
        parts.append(b"\r\n")
    if cycle.scope["method"] != "HEAD":
        parts.append(body)
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(b"".join(parts))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()


class Listener:
    """A listening socket and its connections."""

    def __init__(self, app: Any, *, max_connections: int) -> None:
        self._config = uvicorn.Config(
            app,
            http=HttpConnection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=int(KEEP_ALIVE),
        )
        self._config.load()
        self._state = _State(max_connections)
        self._server: asyncio.base_events.Server | None = None

    async def listen(self, bound: socket.socket) -> None:
        """Accept connections on a bound socket."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, sock=bound, backlog=2048)

    async def close(self, grace: float) -> bool:
        """Stop listening, let every connection finish, and say whether all did within `grace` s.

        Connections are answered for a moment more, each with `connection: close`: a request that
        was on its way when we decided to stop is not lost.
        """
        self._state.closing = True
        for connection in list(self._state.connections):
            cycle = getattr(connection, "cycle", None)
            if cycle is not None:
                cycle.keep_alive = False
        if self._server is not None:
            self._server.close()
        await asyncio.sleep(min(LINGER, grace))
        for connection in list(self._state.connections):
            connection.shutdown()
        deadline = asyncio.get_running_loop().time() + grace
        while self._state.connections:
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(0.02)
        return True

    def abort(self) -> None:
        """Cut every connection that is left."""
        for connection in list(self._state.connections):
            connection.transport.abort()

    def _connection(self) -> HttpConnection:
        return HttpConnection(config=self._config, server_state=self._state, app_state={})
