"""All of a server's doors in a thread of their own, with no model behind them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

import uvloop

from paddlesrv.server.access.gate import Gate
from paddlesrv.server.access.reloading import make_gate
from paddlesrv.server.config import ModelConfig, ServerConfig
from paddlesrv.server.doors import Doors
from paddlesrv.server.ports import take_ports
from paddlesrv.server.service import Service
from paddlesrv.server.tls import Tls


class OpenDoors:
    """Where they are, and what a test looks at or changes."""

    def __init__(self, url: str, service: Service, gate: Gate | None) -> None:
        self.url = url
        self.address = url.partition("://")[2]
        self.service = service
        self.gate = gate
        self._loop = asyncio.get_running_loop()

    def reload(self) -> None:
        """As on SIGHUP, on the server's loop."""
        assert self.gate is not None
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (self.gate and self.gate.reload(), done.set()))
        assert done.wait(30)


@contextlib.contextmanager
def doors(**fields: object) -> Iterator[OpenDoors]:
    """The doors of a configuration with these fields; afterwards nothing of them is left."""
    config = ServerConfig(models=(ModelConfig(name="m"),), port=0, **fields)  # type: ignore[arg-type]
    ports = take_ports(config)
    up = threading.Event()
    found: list[OpenDoors] = []
    failed: list[BaseException] = []
    stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        end = asyncio.Event()
        stop.append((asyncio.get_running_loop(), end))
        tls = None
        if config.tls_cert is not None:
            tls = Tls.read(config.tls_cert, config.tls_key, config.tls_client_ca)
        service = Service()
        gate = make_gate(config, service.metrics.refused)
        opened = Doors(service, config, None, gate)
        try:
            await opened.open(ports, tls)
            found.append(OpenDoors(ports.url(tls is not None), service, gate))
            up.set()
            await end.wait()
        finally:
            await opened.abort()
            await service.close()

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
        yield found[0]
    finally:
        loop, end = stop[0]
        with contextlib.suppress(RuntimeError):  # it has ended
            loop.call_soon_threadsafe(end.set)
        thread.join()
        ports.close()
    if failed:
        raise failed[0]
