"""A gRPC server in a thread of its own, over a real service: clients may block beside it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import uvloop

from paddlesrv.server.grpc.server import GrpcServer
from paddlesrv.server.repository import Repository
from paddlesrv.server.service import ModelSetup, Service
from tests.server.harness import serving

T = TypeVar("T")


class GrpcProcess:
    """A running server: its address, its service, and a way to run something on its loop."""

    def __init__(self, service: Service, server: GrpcServer, port: int) -> None:
        self.service = service
        self.server = server
        self.address = f"127.0.0.1:{port}"
        self._loop = asyncio.get_running_loop()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the server's loop, and wait for it here."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def metric(self, name: str, **labels: str) -> float:
        """A sample of `/metrics`; 0 if there is none yet."""
        self.service.observe()
        return self.service.metrics.registry.get_sample_value(name, labels) or 0.0


@contextlib.contextmanager
def grpc_serving(
    *setups: ModelSetup, max_message_bytes: int = 1_000_000, admin: bool = False
) -> Iterator[GrpcProcess]:
    """A server with loaded models; afterwards nothing of it is left."""
    started: list[GrpcProcess] = []
    failed: list[BaseException] = []
    up = threading.Event()
    stop: list[Any] = []

    async def main() -> None:
        end = asyncio.Event()
        stop.append((asyncio.get_running_loop(), end))
        async with serving(*setups) as service:
            repository = Repository(service, admin=admin, load_timeout=60)
            server = GrpcServer(service, repository, max_message_bytes=max_message_bytes)
            (port,) = await server.start(["127.0.0.1:0"])
            started.append(GrpcProcess(service, server, port))
            up.set()
            await end.wait()
            await server.stop(0)

    def run() -> None:
        try:
            uvloop.run(main())
        except BaseException as error:  # noqa: BLE001 - told to whoever waits
            failed.append(error)
        finally:
            up.set()

    thread = threading.Thread(target=run)
    thread.start()
    up.wait()
    try:
        if failed:
            raise failed[0]
        yield started[0]
    finally:
        loop, end = stop[0]
        with contextlib.suppress(RuntimeError):  # it has ended
            loop.call_soon_threadsafe(end.set)
        thread.join()
    if failed:
        raise failed[0]
