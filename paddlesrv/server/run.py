"""The life of a server: bind, load, warm up, ready, drain, close."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import uvloop

from paddlesrv.server.access.reloading import KeyReloading, Terminal, make_gate
from paddlesrv.server.config import ServerConfig
from paddlesrv.server.doors import Doors
from paddlesrv.server.metrics import Metrics
from paddlesrv.server.ports import Ports
from paddlesrv.server.repository import Shelf
from paddlesrv.server.service import ModelSetup, Service
from paddlesrv.server.tls import Tls

log = logging.getLogger("paddlesrv.server")


@dataclass(frozen=True)
class Started:
    """What is told when a server is ready: where it listens, and the seconds of each step."""

    url: str
    load_seconds: float
    warm_up_seconds: float


def run_server(
    config: ServerConfig,
    models: Sequence[ModelSetup],
    ports: Ports,
    announce: Callable[[Started], None],
    stopping: Callable[[], None] = lambda: None,
    shelf: Shelf | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT, or SIGHUP unless that is ignored; the process's exit code.

    With a file of API keys, SIGHUP reads that again, unless it tells that the terminal has gone.

    Args:
        config: Limits of the server; its models are in `models`.
        models: In the order in which they start, components before what needs them.
        ports: Where to listen, from `take_ports`.
        announce: Called once, when every model is loaded and warm.
        stopping: Called once, when it begins to finish.
        shelf: Models that administrators may load besides.

    Raises:
        PaddlesrvError: a model could not be loaded or could not answer its example.
    """
    return uvloop.run(_serve(config, models, ports, announce, stopping, shelf))


async def _serve(
    config: ServerConfig,
    models: Sequence[ModelSetup],
    ports: Ports,
    announce: Callable[[Started], None],
    stopping: Callable[[], None],
    shelf: Shelf | None,
) -> int:
    stop = asyncio.Event()
    force = asyncio.Event()

    def on_signal(name: str) -> None:
        log.info("%s: %s", name, "exit at once" if stop.is_set() else "finish and exit")
        (force if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number.name)
    metrics = Metrics()
    gate = make_gate(config, metrics.refused)
    outlives = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # as nohup and -d leave it
    if config.api_key_file is not None and gate is not None:
        terminal, reloading = Terminal.own(), KeyReloading(gate, loop)

        def on_hangup() -> None:
            # A terminal that goes sends the same signal as those who changed the file.
            if terminal.gone and not outlives:
                stop.set()
            else:
                reloading.now()

        loop.add_signal_handler(signal.SIGHUP, on_hangup)
    elif not outlives:
        loop.add_signal_handler(signal.SIGHUP, stop.set)

    tls = (
        Tls.read(config.tls_cert, config.tls_key, config.tls_client_ca) if config.tls_cert else None
    )
    service = Service(metrics)
    doors = Doors(service, config, shelf, gate)
    try:
        # Live from now on, though not ready: an orchestrator can tell starting from dead.
        await doors.open(ports, tls)
        starting = asyncio.ensure_future(_start(service, config, models))
        asked_to_stop = asyncio.ensure_future(stop.wait())
        await asyncio.wait([starting, asked_to_stop], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            load_seconds, warm_up_seconds = starting.result()
            gc.collect()
            gc.freeze()  # what lives as long as the server need not be searched again and again
            # Requests make many objects and no cycles: the usual 700 costs a few percent.
            gc.set_threshold(10_000, 10, 10)
            announce(Started(ports.url(tls is not None), load_seconds, warm_up_seconds))
            await asked_to_stop
        else:
            starting.cancel()
        stopping()
        await _until(force, _finish(service, doors, config.grace_s))
    finally:
        await doors.abort()
        await service.close()
    return 0


async def _start(
    service: Service, config: ServerConfig, models: Sequence[ModelSetup]
) -> tuple[float, float]:
    started = time.monotonic()
    for setup in models:
        service.add(setup, load_timeout=config.load_timeout_s)
    await service.loaded()
    loaded = time.monotonic()
    await service.warm_up()
    return loaded - started, time.monotonic() - loaded


async def _finish(service: Service, doors: Doors, grace: float) -> None:
    """Not ready; then no new connections; then wait for the answers that are still owed."""
    service.stopping = True
    all_answered = await doors.close(grace)
    all_answered = await service.drain(0.0 if not all_answered else grace) and all_answered
    if not all_answered:
        log.warning("%d requests were not answered within %g s", service.in_flight, grace)


async def _until(event: asyncio.Event, work: object) -> None:
    """Do the work, or leave it when the event comes."""
    doing = asyncio.ensure_future(work)  # type: ignore[call-overload]
    waiting = asyncio.ensure_future(event.wait())
    await asyncio.wait([doing, waiting], return_when=asyncio.FIRST_COMPLETED)
    for task in (doing, waiting):
        task.cancel()
