"""A server's own entry among the running ones: written as it starts, kept true, removed at its end.

A server serves whether it can be written down or not; what fails here is told, and is no failure.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path

from msgspec.structs import replace

from paddlesrv.server.config import ModelConfig, ServerConfig
from paddlesrv.server.local_model import LocalModel
from paddlesrv.server.ports import Ports
from paddlesrv.server.processes import ProcessIdentity
from paddlesrv.server.records import Claim, ServerRecord, State


def describe(
    name: str,
    config: ServerConfig,
    planned: Sequence[tuple[ModelConfig, LocalModel]],
    ports: Ports,
    command: str,
    log: Path | None = None,
) -> ServerRecord:
    """The record of a server that is about to start in this process.

    Args:
        name: What it is called.
        config: What it is started with.
        planned: Every model that it will hold.
        ports: Where it will listen.
        command: The command line, fit to be shown.
        log: The log of a detached one.
    """
    process = ProcessIdentity.of(os.getpid())
    assert process is not None, "this process is there"
    return ServerRecord(
        name=name,
        process=process,
        started_at=datetime.now(timezone.utc),
        host=config.host,
        port=ports.main.getsockname()[1],
        url=ports.url(config.tls_cert is not None),
        models=tuple(model.spec.name for _, model in planned),
        asked=tuple(model.name for model in config.models),
        directories=content_of(planned),
        log=log,
        detached=log is not None,
        command=command,
        grace_s=config.grace_s,
    )


def content_of(planned: Sequence[tuple[ModelConfig, LocalModel]]) -> tuple[Path, ...]:
    """The directories and encrypted files that a server reads; links to them may move on."""
    return tuple(model.content for _, model in planned)


class Registration:
    """The entry of the server in this process.

    Args:
        claim: Its name, taken; None where the state directory cannot be written.
        record: What is written down.
        warn: Told of what could not be written.
    """

    def __init__(
        self, claim: Claim | None, record: ServerRecord, warn: Callable[[str], None]
    ) -> None:
        self._claim = claim
        self._record = record
        self._warn = warn

    def enter(self, state: State, directories: tuple[Path, ...] | None = None) -> None:
        """Write down what the server does now, and what it reads if that has become another."""
        kept = self._record.directories if directories is None else directories
        self._record = replace(self._record, state=state, directories=kept)
        self._write()

    def close(self, reason: str | None = None) -> None:
        """Remove the entry, or leave it behind with the reason for which the server failed."""
        if reason is not None:
            self._record = replace(self._record, reason=reason)
            self._write()
        if self._claim is not None:
            self._claim.release(keep_record=reason is not None)
            self._claim = None

    def _write(self) -> None:
        if self._claim is None:
            return
        try:
            self._claim.write(self._record)
        except OSError as error:
            self._warn(f"the record of this server could not be written: {error}")
