"""All ways into one server: its ports, and what speaks which protocol behind them."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from paddlesrv.server.access.exposure import is_loopback
from paddlesrv.server.access.gate import Gate
from paddlesrv.server.access.hosts import Hosts
from paddlesrv.server.access.http import HttpGate
from paddlesrv.server.access.origins import Origins
from paddlesrv.server.brpc import BrpcApplication, BrpcConnection
from paddlesrv.server.config import ServerConfig
from paddlesrv.server.connection import HttpConnection
from paddlesrv.server.connections import Connections
from paddlesrv.server.first_bytes import FirstBytes
from paddlesrv.server.http import HttpApplication
from paddlesrv.server.listener import Listener
from paddlesrv.server.ports import Ports
from paddlesrv.server.relay import PrivateSocket, Relay
from paddlesrv.server.repository import Repository, Shelf
from paddlesrv.server.service import Service
from paddlesrv.server.tls import Tls

if TYPE_CHECKING:
    from paddlesrv.server.grpc.server import GrpcServer


class Doors:
    """The listeners of one server; they share one limit on connections, and one gate."""

    def __init__(
        self,
        service: Service,
        config: ServerConfig,
        shelf: Shelf | None,
        gate: Gate | None = None,
    ) -> None:
        max_body = int(config.max_body_mb * 1e6)
        self._gate = gate
        self._brpc_application = BrpcApplication(service, max_body, gate)
        self._connections = Connections(max_body=max_body, max_connections=config.max_connections)
        self._listeners: list[Listener] = []
        self._repository = Repository(
            service, admin=config.admin, load_timeout=config.load_timeout_s, shelf=shelf
        )
        self._http_application = HttpGate(
            HttpApplication(service, self._repository),
            gate,
            Hosts.of(config.allow_host, loopback=is_loopback(config.host)),
            Origins.of(config.cors_origin),
        )
        self._max_body = max_body
        self._service = service
        self._grpc: GrpcServer | None = None
        self._inside = PrivateSocket()

    async def open(self, ports: Ports, tls: Tls | None) -> None:
        """Accept connections on every port.

        Raises:
            Busy: the port for gRPC has been taken since it was looked at.
        """
        # Made here: its library wants a running loop, and its import takes a while.
        from paddlesrv.server.grpc.server import GrpcServer

        self._grpc = GrpcServer(
            self._service, self._repository, max_message_bytes=self._max_body, gate=self._gate
        )
        addresses = [f"unix:{self._inside.path}"]
        if ports.grpc is not None:
            addresses.append(_address(*ports.grpc))
        await self._grpc.start(addresses, tls.credentials if tls is not None else None)
        self._inside.hide()
        context = tls.context if tls is not None else None
        await self._listen(self._any, ports.main, context)
        if ports.brpc is not None:
            await self._listen(self._brpc, ports.brpc, context)

    async def close(self, grace: float) -> bool:
        """Take no new connection, let every one finish; whether all did within `grace` s."""
        ending = [listener.close(grace) for listener in self._listeners]
        if self._grpc is not None:
            ending.append(self._grpc.stop(grace))
        return all(await asyncio.gather(*ending))

    async def abort(self) -> None:
        """Cut every connection that is left."""
        for listener in self._listeners:
            listener.abort()
        if self._grpc is not None:
            await self._grpc.stop(0)
        self._inside.close()

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
        return FirstBytes(self._connections, self._http, brpc=self._brpc, http2=self._relay)

    def _http(self) -> asyncio.Protocol:
        return HttpConnection(self._connections, self._http_application)

    def _brpc(self) -> asyncio.Protocol:
        return BrpcConnection(self._connections, self._brpc_application)

    def _relay(self) -> asyncio.Protocol:
        return Relay(self._connections, self._inside)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
