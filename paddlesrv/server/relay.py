"""A connection passed on, byte by byte, to a server inside this process.

gRPC's own library takes no connection that another has accepted. It listens on a Unix socket, and
what speaks HTTP/2 on the main port is relayed there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from pathlib import Path

from paddlesrv.server.connections import Connections

log = logging.getLogger("paddlesrv.relay")


class PrivateSocket:
    """The address of a Unix socket that nothing else can connect to, or even see.

    A server is told to listen at `path`. Then `hide` takes the path away, and only this process,
    which holds a descriptor of the socket's file, can still connect: nothing is left on the disk,
    however this process ends.
    """

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="paddlesrv-"))
        self.path = str(self._directory / "s")
        self._descriptor: int | None = None

    def hide(self) -> None:
        """Take the path away; somebody listens there."""
        self._descriptor = os.open(self.path, os.O_PATH | os.O_CLOEXEC)
        self._remove()

    def close(self) -> None:
        """Nobody connects any more."""
        if self._descriptor is None:
            self._remove()
        else:
            os.close(self._descriptor)
            self._descriptor = None

    @property
    def address(self) -> str:
        """Where to connect to."""
        return self.path if self._descriptor is None else f"/proc/self/fd/{self._descriptor}"

    def _remove(self) -> None:
        Path(self.path).unlink(missing_ok=True)
        if self._directory.is_dir():
            self._directory.rmdir()


class Relay(asyncio.Protocol):
    """The client's side of a relayed connection."""

    def __init__(self, shared: Connections, target: PrivateSocket) -> None:
        self._shared = shared
        self._target = target
        self._transport: asyncio.Transport
        self._inner: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._early: list[bytes] = []
        self._ended = False

    # -- the client's side -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Connect to the server inside; nothing more is read until that is done."""
        self._transport = transport
        self._shared.open.add(self)
        transport.pause_reading()
        self._connecting = self._shared.loop.create_task(self._connect())

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone: so has its connection inside, and what it asked is cancelled."""
        self._shared.open.discard(self)
        if self._connecting is not None:
            self._connecting.cancel()
        if self._inner is not None:
            self._inner.close()

    def data_received(self, data: bytes) -> None:
        """Pass on."""
        if self._inner is None:
            self._early.append(data)
        else:
            self._inner.write(data)

    def eof_received(self) -> bool:
        """The client says no more, but may still listen."""
        self._ended = True
        if self._inner is not None and self._inner.can_write_eof():
            self._inner.write_eof()
        return True

    def pause_writing(self) -> None:
        """The client does not read: no more is taken from the server inside."""
        if self._inner is not None:
            self._inner.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        if self._inner is not None:
            self._inner.resume_reading()

    # -- for the listener --------------------------------------------------------------------

    def close_if_idle(self) -> None:
        """Nothing: the server inside tells its clients to go when it stops."""

    def close_if_late(self, now: float, idle: float, head: float) -> None:
        """Nothing: the server inside has time limits of its own."""

    def abort(self) -> None:
        """Cut it."""
        self._transport.abort()

    # -- inside ------------------------------------------------------------------------------

    async def _connect(self) -> None:
        try:
            inner, _ = await self._shared.loop.create_unix_connection(
                lambda: _Inner(self._transport), self._target.address
            )
        except OSError as error:
            log.error("the gRPC server inside cannot be reached: %s", error)
            self._transport.abort()
            return
        self._inner = inner
        for data in self._early:
            inner.write(data)
        self._early.clear()
        if self._ended:
            inner.write_eof()
        self._transport.resume_reading()


class _Inner(asyncio.Protocol):
    """The side of the server inside."""

    def __init__(self, client: asyncio.Transport) -> None:
        self._client = client

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.close()

    def data_received(self, data: bytes) -> None:
        self._client.write(data)

    def pause_writing(self) -> None:
        self._client.pause_reading()

    def resume_writing(self) -> None:
        self._client.resume_reading()
