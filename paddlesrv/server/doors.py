"""All ways into one server: its ports, and what speaks which protocol behind them."""

from __future__ import annotations

import asyncio
import ssl

from paddlesrv.server.config import ServerConfig
from paddlesrv.server.connection import HttpConnection
from paddlesrv.server.connections import Connections
from paddlesrv.server.first_bytes import FirstBytes
from paddlesrv.server.http import HttpApplication
from paddlesrv.server.listener import Listener
from paddlesrv.server.ports import Ports
from paddlesrv.server.service import Service


class Doors:
    """The listeners of one server; they share one limit on connections."""

    def __init__(self, service: Service, config: ServerConfig) -> None:
        self._application = HttpApplication(service)
        self._connections = Connections(
            max_body=int(config.max_body_mb * 1e6), max_connections=config.max_connections
        )
        self._listeners: list[Listener] = []

    async def open(self, ports: Ports, tls: ssl.SSLContext | None) -> None:
        """Accept connections on every port."""
        await self._listen(Listener(self._connections, self._any), ports, tls)

    async def close(self, grace: float) -> bool:
        """Take no new connection, let every one finish; whether all did within `grace` s."""
        done = await asyncio.gather(*(listener.close(grace) for listener in self._listeners))
        return all(done)

    def abort(self) -> None:
        """Cut every connection that is left."""
        for listener in self._listeners:
            listener.abort()

    async def _listen(self, listener: Listener, ports: Ports, tls: ssl.SSLContext | None) -> None:
        self._listeners.append(listener)
        await listener.listen(ports.main, tls)

    def _any(self) -> asyncio.Protocol:
        return FirstBytes(self._connections, self._http)

    def _http(self) -> asyncio.Protocol:
        return HttpConnection(self._connections, self._application)
