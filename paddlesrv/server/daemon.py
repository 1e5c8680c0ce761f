"""The process of a detached server, from its first line to its last.

Started by `detach` as `python -m paddlesrv.server.daemon FD NAME`, in a session of its own; FD is
a SOCK_SEQPACKET socket. Over it come the `Job`, the claimed name and the listening sockets; back
goes one answer, `Ready` or `Failed`. After that nobody listens, and nothing else is said.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import socket
import sys
import traceback
from typing import TYPE_CHECKING

import msgspec

from paddlesrv.engines.base import EngineOptions
from paddlesrv.errors import PaddlesrvError
from paddlesrv.server.config import ModelConfig, ServerConfig
from paddlesrv.server.ports import Ports
from paddlesrv.server.processes import ProcessIdentity
from paddlesrv.server.records import Claim, ServerRecord, from_json, to_json
from paddlesrv.settings import Settings

if TYPE_CHECKING:
    from paddlesrv.server.run import Started

MAX_MESSAGE = 128 * 1024
"""Bytes; a configuration is a few hundred for each model."""

MAX_DESCRIPTORS = 3
"""Of the name's lock, and of the sockets that can be handed over."""

log = logging.getLogger("paddlesrv.server")


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to serve. Models are named so that they mean the same in any directory."""

    settings: Settings
    config: ServerConfig
    record: ServerRecord
    parts: dict[str, ModelConfig] = {}
    """Components that have configurations of their own."""
    options: dict[str, EngineOptions]
    """How each network runs, by the model's name: as the caller decided."""
    grpc: tuple[str, int] | None = None
    """Where gRPC listens besides; its library binds that itself."""
    verbose: int = 0
    key: bytes | None = None
    """Of encrypted models; it goes over the socket, and into no file."""

    def __repr__(self) -> str:
        return f"Job({self.record.name!r})"


class Ready(msgspec.Struct, frozen=True, tag=True):
    """Every model is loaded and warm; the seconds of each step."""

    load_seconds: float
    warm_up_seconds: float


class Failed(msgspec.Struct, frozen=True, tag=True):
    """It could not start; a `PaddlesrvError` in plain data."""

    code: str
    message: str
    context: dict[str, str] = {}
    hints: tuple[str, ...] = ()


def main(arguments: list[str]) -> int:
    """Take over what the caller prepared, and serve; the exit code."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal may go
    faulthandler.enable()
    control = socket.socket(fileno=int(arguments[0]))
    os.set_inheritable(control.fileno(), False)
    data, descriptors, _, _ = socket.recv_fds(control, MAX_MESSAGE, MAX_DESCRIPTORS)
    if not data:
        return 1  # the caller has gone before it could say what to do
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    job = from_json(data, Job)
    claim = Claim.inherited(job.settings.state_dir, job.record.name, descriptors[0])
    ports = Ports.inherited(descriptors[1:], job.grpc)
    _start_logging(job)
    try:
        return _serve(job, ports, claim, control)
    finally:
        control.close()
        ports.close()


def _serve(job: Job, ports: Ports, claim: Claim, control: socket.socket) -> int:
    # Imported only now: a moment in which nothing is logged yet should be short.
    from paddlesrv.server.launch import plan, setups
    from paddlesrv.server.locate import find_local, locate
    from paddlesrv.server.registration import Registration, content_of
    from paddlesrv.server.run import run_server
    from paddlesrv.server.shelf import StoreShelf
    from paddlesrv.server.unlocking import unlock
    from paddlesrv.zoo.catalogue_choice import load_catalogue
    from paddlesrv.zoo.store import Store

    process = ProcessIdentity.of(os.getpid()) or job.record.process
    record = msgspec.structs.replace(job.record, process=process)
    registration = Registration(claim, record, log.warning)

    served = False

    def announce(started: Started) -> None:
        nonlocal served
        served = True
        registration.enter("ready")
        log.info("ready on %s", started.url)
        _answer(control, Ready(started.load_seconds, started.warm_up_seconds))
        control.close()

    try:
        log.info("starting %s with %s", record.name, ", ".join(record.models))
        catalogue = load_catalogue(job.settings)
        store = Store(job.settings.cache_dir)
        located = locate(job.config.models, catalogue, store)
        unlock(located, job.key)
        planned = plan(
            [model.config for model in located],
            lambda name: find_local(located, catalogue, store, name),
            job.parts,
        )
        # What the caller saw may have been replaced by a newer one since.
        registration.enter("starting", content_of(planned))
        code = run_server(
            job.config,
            setups(planned, job.options),
            ports,
            announce,
            lambda: registration.enter("stopping"),
            StoreShelf(job.config, catalogue, store),
        )
    except PaddlesrvError as error:
        details = "; ".join(f"{name}: {text}" for name, text in error.context.items())
        log.error("%s%s", error.message, f" ({details})" if details else "")
        _answer(control, Failed(error.code, error.message, error.context, error.hints))
        registration.close(error.message if served else None)
        return error.exit_code
    except Exception as error:
        log.exception("the server failed")
        reason = traceback.format_exception_only(type(error), error)[-1].strip()
        _answer(control, Failed(PaddlesrvError.code, f"unexpected {reason}"))
        registration.close(reason if served else None)
        return PaddlesrvError.exit_code
    registration.close()
    log.info("ended")
    return code


def _start_logging(job: Job) -> None:
    from paddlesrv.server.logfile import LogFileHandler

    assert job.record.log is not None, "a detached server has a log"
    logging.basicConfig(level=logging.WARNING, handlers=[LogFileHandler(job.record.log)])
    logging.getLogger("paddlesrv").setLevel(logging.DEBUG if job.verbose else logging.INFO)


def _answer(control: socket.socket, message: Ready | Failed) -> None:
    """Tell the caller; the server does not depend on anybody waiting for it."""
    with contextlib.suppress(OSError):
        control.send(to_json(message))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
