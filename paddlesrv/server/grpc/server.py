"""The gRPC server: its ports and limits, its services, its end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc
import grpc.aio

from paddlesrv.errors import Busy
from paddlesrv.server.access.gate import Gate
from paddlesrv.server.access.grpc import GrpcGate
from paddlesrv.server.grpc import health, open_inference, reflection
from paddlesrv.server.grpc.calls import Calls, refuse_call
from paddlesrv.server.grpc.health import Health
from paddlesrv.server.grpc.open_inference import OpenInference
from paddlesrv.server.grpc.paddle import GeneralModel, Pipelines
from paddlesrv.server.grpc.streams import Streams
from paddlesrv.server.grpc.tensorflow import TensorFlowServing
from paddlesrv.server.listener import LINGER
from paddlesrv.server.repository import Repository
from paddlesrv.server.service import Service

MAX_STREAMS = 1024
"""RPCs at the same time on one connection; the client's library lets more of them wait."""

KEEP_ALIVE_MS = 60_000
"""A client that has gone without a word is found out by pings in that time."""

KEEP_ALIVE_TIMEOUT_MS = 20_000

MIN_PING_INTERVAL_MS = 10_000
"""Clients that ping more often are sent away: gRPC's own five minutes are less than what load
balancers let a connection idle."""


class GrpcServer:
    """All gRPC services of one server, on any number of addresses.

    Args:
        service: What is served.
        repository: Its models, to be listed, loaded and unloaded.
        max_message_bytes: The largest message taken; answers have no limit but gRPC's own.
        gate: Keys and limits; None: there are none.
    """

    def __init__(
        self,
        service: Service,
        repository: Repository,
        *,
        max_message_bytes: int,
        gate: Gate | None = None,
    ) -> None:
        self._server = grpc.aio.server(
            interceptors=[GrpcGate(gate, refuse_call)] if gate is not None else [],
            options=[
                ("grpc.max_receive_message_length", max_message_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_concurrent_streams", MAX_STREAMS),
                ("grpc.so_reuseport", 0),  # else a second server would take half the calls
                ("grpc.keepalive_time_ms", KEEP_ALIVE_MS),
                ("grpc.keepalive_timeout_ms", KEEP_ALIVE_TIMEOUT_MS),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.max_pings_without_data", 0),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", MIN_PING_INTERVAL_MS),
            ],
        )
        calls = Calls(service)
        self._streams = Streams()
        services = {
            open_inference.NAME: OpenInference(service, repository).handlers(calls, self._streams),
            **TensorFlowServing(service).handlers(calls),
            **GeneralModel(service).handlers(calls),
            **Pipelines(service).handlers(calls),
        }
        names = [*services, health.NAME, *reflection.NAMES]
        self._health = Health(service, frozenset(names))
        services[health.NAME] = self._health.handlers(calls)
        services |= dict.fromkeys(reflection.NAMES, reflection.handlers(names))
        for name, handlers in services.items():
            handler = grpc.method_handlers_generic_handler(name, handlers)
            self._server.add_generic_rpc_handlers((handler,))

    async def start(
        self, addresses: Sequence[str], credentials: grpc.ServerCredentials | None = None
    ) -> list[int]:
        """Serve on addresses of the forms `unix:PATH` and `HOST:PORT`; the ports taken.

        Args:
            addresses: Where to listen.
            credentials: Speak TLS with these, except on Unix sockets.

        Raises:
            Busy: an address is taken.
        """
        ports = []
        for address in addresses:
            try:
                if credentials is None or address.startswith("unix:"):
                    ports.append(self._server.add_insecure_port(address))
                else:
                    ports.append(self._server.add_secure_port(address, credentials))
            except RuntimeError as error:
                raise Busy(
                    f"gRPC cannot listen on {address}: it is in use",
                    hints=["take any free port: --grpc-port 0"],
                ) from error
        await self._server.start()
        return ports

    async def stop(self, grace: float) -> bool:
        """Say that it does not serve, let calls end, and say whether all did within `grace` s.

        Calls are taken for a moment more: one that was on its way is not lost. Streams take no
        more requests; those that they had are answered.
        """
        self._health.end()
        await asyncio.sleep(min(LINGER, grace))
        self._streams.end()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        await self._server.stop(grace)
        return loop.time() < deadline
