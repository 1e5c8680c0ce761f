"""A worker process: holds one engine instance and runs the batches that it is told of."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

from paddlesrv.engines import load_engine
from paddlesrv.engines.base import Engine
from paddlesrv.errors import EngineError, PaddlesrvError
from paddlesrv.sealing.opening import unsealed
from paddlesrv.server.arena import Slot
from paddlesrv.server.messages import (
    Done,
    Failed,
    Load,
    Loaded,
    Run,
    decode_to_worker,
    frame,
    receive,
)


def ignore_termination() -> None:
    """Ctrl-C and SIGTERM may reach the whole process group; the gateway process alone decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def serve(connection: socket.socket, slots: list[Slot]) -> None:
    """Work until the gateway process closes the connection (or dies, which closes it)."""
    engine: Engine | None = None
    stream = connection.makefile("rb")
    while (body := receive(stream)) is not None:
        message = decode_to_worker(body)
        try:
            if isinstance(message, Load):
                started = time.perf_counter()
                if message.cores:  # before the engine starts threads, which inherit them
                    os.sched_setaffinity(0, message.cores)
                engine = _load(message)
                ignore_termination()  # libraries set handlers of their own
                answer: Loaded | Done = Loaded(time.perf_counter() - started)
            else:
                assert engine is not None, "Run before Load"
                answer = _run(engine, slots[message.slot], message)
        except Exception as error:  # noqa: BLE001 - whatever it is, the gateway must be told
            slot = -1 if isinstance(message, Load) else message.slot
            connection.sendall(frame(_failure(slot, error)))
        else:
            connection.sendall(frame(answer))
    if engine is not None:
        engine.close()


def _load(message: Load) -> Engine:
    if message.sealed is None:
        return load_engine(message.spec, Path(message.root), message.options)
    with unsealed(message.sealed) as root:
        return load_engine(message.spec, root, message.options)


def _run(engine: Engine, slot: Slot, message: Run) -> Done:
    inputs = slot.request.read(message.inputs)
    started = time.perf_counter()
    outputs = engine.run(inputs)
    seconds = time.perf_counter() - started
    return Done(message.slot, slot.response.write(outputs), seconds)


def _failure(slot: int, error: Exception) -> Failed:
    if isinstance(error, PaddlesrvError):
        return Failed(slot, error.code, error.message, error.context, error.hints)
    return Failed(slot, EngineError.code, f"{type(error).__name__}: {error}"[:2000])
