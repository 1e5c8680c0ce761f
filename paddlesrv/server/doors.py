"""All ways into one server: its ports, and what speaks which protocol behind them."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from paddlesrv.server.brpc import BrpcApplication, BrpcConnection
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
        max_body = int(config.max_body_mb * 1e6)
        self._http_application = HttpApplication(service)
        self._brpc_application = BrpcApplication(service, max_body)
        self._connections = Connections(max_body=max_body, max_connections=config.max_connections)
        self._listeners: list[Listener] = []

    async def open(self, ports: Ports, tls: ssl.SSLContext | None) -> None:
        """Accept connections on every port."""
        await self._listen(self._any, ports.main, tls)
        if ports.brpc is not None:
            await self._listen(self._brpc, ports.brpc, tls)

    async def close(self, grace: float) -> bool:
        """Take no new connection, let every one finish; whether all did within `grace` s."""
        done = await asyncio.gather(*(listener.close(grace) for listener in self._listeners))
        return all(done)

    def abort(self) -> None:
        """Cut every connection that is left."""
        for listener in self._listeners:
            listener.abort()

    async def _listen(
        self,
        protocol: Callable[[], asyncio.Protocol],
        bound: socket.socket,
        tls: ssl.SSLContext | None,
    ) -> None:
        listener = Listener(self._connections, protocol)
        self._listeners.append(listener)
        await listener.listen(bound, tls)

    def _any(self) -> asyncio.Protocol:
        return FirstBytes(self._connections, self._http, brpc=self._brpc)

    def _http(self) -> asyncio.Protocol:
        return HttpConnection(self._connections, self._http_application)

    def _brpc(self) -> asyncio.Protocol:
        return BrpcConnection(self._connections, self._brpc_application)
