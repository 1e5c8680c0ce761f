"""The life of a server: bind, load, warm up, ready, drain, close."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import uvloop

from paddlesrv.errors import Busy, UsageError
from paddlesrv.server.config import ServerConfig
from paddlesrv.server.http import HttpApplication
from paddlesrv.server.listener import Listener
from paddlesrv.server.service import ModelSetup, Service

log = logging.getLogger("paddlesrv.server")


@dataclass(frozen=True)
class Started:
    """What is told when a server is ready: where it listens, and the seconds of each step."""

    url: str
    load_seconds: float
    warm_up_seconds: float


def bind(host: str, port: int) -> socket.socket:
    """A listening address, taken before any model is loaded; port 0 takes a free one.

    Raises:
        Busy: another process listens there.
        UsageError: the address is none of this machine's, or not allowed.
    """
    try:
        return _listening(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Busy(
                f"port {port} on {host} is in use",
                context={"wanted": f"--host {host} --port {port}"},
                hints=[f"choose another port: --port {port + 1}, or --port 0 for any free one"],
            ) from None
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            hints=["--host takes an address of this machine, e.g. 127.0.0.1 or 0.0.0.0"],
        ) from None


def url_of(bound: socket.socket) -> str:
    """The address of a server that listens there."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listening(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(2048)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def run_server(
    config: ServerConfig,
    models: Sequence[ModelSetup],
    bound: socket.socket,
    announce: Callable[[Started], None],
    stopping: Callable[[], None] = lambda: None,
) -> int:
    """Serve until SIGTERM or SIGINT, or SIGHUP unless that is ignored; the process's exit code.

    Args:
        config: Limits of the server; its models are in `models`.
        models: In the order in which they start, components before what needs them.
        bound: Where to listen, from `bind`.
        announce: Called once, when every model is loaded and warm.
        stopping: Called once, when it begins to finish.

    Raises:
        PaddlesrvError: a model could not be loaded or could not answer its example.
    """
    return uvloop.run(_serve(config, models, bound, announce, stopping))


async def _serve(
    config: ServerConfig,
    models: Sequence[ModelSetup],
    bound: socket.socket,
    announce: Callable[[Started], None],
    stopping: Callable[[], None],
) -> int:
    stop = asyncio.Event()
    force = asyncio.Event()

    def on_signal(name: str) -> None:
        log.info("%s: %s", name, "exit at once" if stop.is_set() else "finish and exit")
        (force if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number.name)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup and -d leave it
        loop.add_signal_handler(signal.SIGHUP, stop.set)

    service = Service()
    application = HttpApplication(service)
    listener = Listener(
        application,
        max_body=int(config.max_body_mb * 1e6),
        max_connections=config.max_connections,
    )
    # Live from now on, though not ready: an orchestrator can tell starting from dead.
    await listener.listen(bound)
    try:
        starting = asyncio.ensure_future(_start(service, config, models))
        asked_to_stop = asyncio.ensure_future(stop.wait())
        await asyncio.wait([starting, asked_to_stop], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            load_seconds, warm_up_seconds = starting.result()
            gc.collect()
            gc.freeze()  # what lives as long as the server need not be searched again and again
            # Requests make many objects and no cycles: the usual 700 costs a few percent.
            gc.set_threshold(10_000, 10, 10)
            announce(Started(url_of(bound), load_seconds, warm_up_seconds))
            await asked_to_stop
        else:
            starting.cancel()
        stopping()
        await _until(force, _finish(service, listener, config.grace_s))
    finally:
        listener.abort()
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


async def _finish(service: Service, listener: Listener, grace: float) -> None:
    """Not ready; then no new connections; then wait for the answers that are still owed."""
    service.stopping = True
    all_answered = await listener.close(grace)
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
