"""Ending servers: asked first, so that they answer what they accepted; killed only when told to.

A signal goes to the very process that wrote the record, or to none.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from paddlesrv.errors import Busy
from paddlesrv.server.processes import Process
from paddlesrv.server.records import Claim, Recorded, ServerRecord

Outcome = Literal["stopped", "killed", "was dead", "still running", "elsewhere"]

CLOSE_SECONDS = 10.0
"""Beyond its grace period, for a server to end its workers and itself."""

KILL_SECONDS = 10.0
"""For the kernel to take a killed process away."""


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one server, and after how many seconds.

    `elsewhere` is one in another container or on another machine, that no signal from here
    reaches.
    """

    record: ServerRecord
    outcome: Outcome
    seconds: float = 0.0


def stop(
    state_dir: Path, entries: Sequence[Recorded], *, seconds: float | None, force: bool
) -> Iterator[Stopped]:
    """End these servers, all at the same time; one answer for each, in their order.

    Args:
        state_dir: `Settings.state_dir`.
        entries: From `recorded`.
        seconds: How long each may take; None: its own grace period and a moment.
        force: Kill those that have not ended by then; without `seconds`, at once.

    Raises:
        PermissionError: a server is another user's.
    """
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        held: list[Process | None] = []
        for entry in entries:
            process = Process.open(entry.record.process) if entry.record.process.here else None
            held.append(stack.enter_context(process) if process is not None else None)
            if process is not None:
                if force and seconds is None:
                    process.send(signal.SIGKILL)
                elif entry.record.state != "stopping":  # a second signal would cut answers off
                    process.send(signal.SIGTERM)
        for entry, process in zip(entries, held, strict=True):
            outcome = _end(entry, process, began, seconds, force)
            if outcome not in ("still running", "elsewhere"):
                _tidy(state_dir, entry.record.name)
            yield Stopped(record=entry.record, outcome=outcome, seconds=time.monotonic() - began)


def _end(
    entry: Recorded, process: Process | None, began: float, seconds: float | None, force: bool
) -> Outcome:
    if process is None:
        elsewhere = entry.alive and not entry.record.process.here
        return "elsewhere" if elsewhere else "was dead"
    if force and seconds is None:
        return "killed" if process.wait(KILL_SECONDS) else "still running"
    limit = entry.record.grace_s + CLOSE_SECONDS if seconds is None else seconds
    if process.wait(began + limit - time.monotonic()):
        return "stopped"
    if not force:
        return "still running"
    # Its workers end with it: the kernel kills whoever is left without its parent.
    process.send(signal.SIGKILL)
    return "killed" if process.wait(KILL_SECONDS) else "still running"


def _tidy(state_dir: Path, name: str) -> None:
    """Remove what the server could not remove itself."""
    with contextlib.suppress(Busy, OSError):  # Busy: another one of this name has started
        Claim.take(state_dir, name).release()
