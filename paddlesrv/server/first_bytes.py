"""One port for every protocol: a connection's first bytes say which one it speaks.

`PRPC` begins a bRPC frame (baidu_std), `PRI ` the preface of HTTP/2 (RFC 9113, 3.4), which only
gRPC is spoken over here; anything else is HTTP/1.1, whose own parser refuses what it is not. No
method of HTTP begins with either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from paddlesrv.server.connection import TOO_MANY
from paddlesrv.server.connections import Connections

BRPC = b"PRPC"
HTTP2 = b"PRI "

MakeProtocol = Callable[[], asyncio.Protocol]


class FirstBytes(asyncio.Protocol):
    """A connection that has not said what it speaks; it is handed over as soon as it has.

    Args:
        shared: The listener's connections.
        http: Makes what speaks HTTP/1.1.
        brpc: Makes what speaks bRPC; None where it is not spoken.
        http2: Makes what speaks HTTP/2; None where it is not spoken.
    """

    def __init__(
        self,
        shared: Connections,
        http: MakeProtocol,
        brpc: MakeProtocol | None = None,
        http2: MakeProtocol | None = None,
    ) -> None:
        self._shared = shared
        self._http = http
        self._others = {
            word: make for word, make in ((BRPC, brpc), (HTTP2, http2)) if make is not None
        }
        self._transport: asyncio.Transport
        self._bytes = b""
        self._since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for its first bytes."""
        self._transport = transport
        self._since = self._shared.loop.time()
        self._shared.open.add(self)
        if self._shared.full:
            # It has not said what it speaks: those who read this speak HTTP, as most do.
            transport.write(TOO_MANY)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """It went without a word."""
        self._shared.open.discard(self)

    def data_received(self, data: bytes) -> None:
        """Look; hand over what was read with the connection."""
        if self._transport.is_closing():
            return
        self._bytes += data
        for word, make in self._others.items():
            if self._bytes.startswith(word):
                self._hand_over(make)
                return
            if word.startswith(self._bytes):
                return  # so far: one byte more will tell
        self._hand_over(self._http)

    def close_if_idle(self) -> None:
        """Close: nothing was asked."""
        self._transport.close()

    def close_if_late(self, now: float, idle: float, head: float) -> None:
        """Close if it has said nothing for too long, or began and did not go on."""
        if now - self._since > (head if self._bytes else idle):
            self._transport.close()

    def abort(self) -> None:
        """Cut it."""
        self._transport.abort()

    def _hand_over(self, make: MakeProtocol) -> None:
        self._shared.open.discard(self)
        protocol = make()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(self._bytes)
