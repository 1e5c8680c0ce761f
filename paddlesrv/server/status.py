"""What a running server does right now: its state, its memory, and what it says of its requests."""

from __future__ import annotations

import http.client
import re
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import msgspec

from paddlesrv.server.logreader import read
from paddlesrv.server.processes import memory_bytes
from paddlesrv.server.records import Recorded, ServerRecord

ANSWER_SECONDS = 0.3
"""A server on this machine that says nothing for so long is shown as giving no answer."""

Shown = Literal["starting", "ready", "not ready", "no answer", "stopping", "dead"]

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to ask one that listens so
_SAMPLE = re.compile(r"^(\w+)(?:\{.*\})? (\S+)$", re.MULTILINE)
_NOT_TOLD: dict[str, list[float]] = {}


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """One server now; None is what is not known.

    `requests` are answers sent since it started. `average_batch` is rows in a run of a network,
    over all that ran: 1 under load means that nothing was merged.
    """

    record: ServerRecord
    state: Shown
    memory_bytes: int | None = None
    requests: int | None = None
    average_batch: float | None = None
    reason: str | None = None


def statuses(entries: Sequence[Recorded], *, ask: bool) -> list[Status]:
    """How these servers are.

    Args:
        entries: From `recorded`.
        ask: Whether the servers may be asked over the loopback; without, their records tell.
    """
    here = [e.record.pid for e in entries if e.alive and e.record.process.here]
    memory = memory_bytes(here) if here else {}
    asked = [e.record for e in entries if ask and e.alive and e.record.state == "ready"]
    answers: dict[str, dict[str, list[float]] | None] = {}
    if asked:
        with ThreadPoolExecutor(min(16, len(asked))) as pool:
            names = [record.name for record in asked]
            answers = dict(zip(names, pool.map(_metrics, asked), strict=True))
    return [_status(entry, memory, answers) for entry in entries]


def why_dead(record: ServerRecord) -> str:
    """Why a server ended that was not asked to, as far as that can be told."""
    if record.reason is not None:
        return record.reason
    if record.process.earlier_boot:
        return "the machine was started anew"
    return "its process ended without a word: killed, or out of memory"


def last_line(record: ServerRecord) -> str | None:
    """The last line of a server's log, if it has one."""
    try:
        lines = read(record.log, 1) if record.log is not None else []
    except OSError:
        return None
    return lines[0] if lines else None


def _status(
    entry: Recorded, memory: dict[int, int], answers: dict[str, dict[str, list[float]] | None]
) -> Status:
    record = entry.record
    if not entry.alive:
        return Status(record=record, state="dead", reason=why_dead(record))
    known = memory.get(record.pid) if record.process.here else None
    if record.name not in answers:
        return Status(record=record, state=record.state, memory_bytes=known)
    metrics = answers[record.name]
    if metrics is None:
        return Status(record=record, state="no answer", memory_bytes=known)
    if metrics is _NOT_TOLD:
        return Status(record=record, state=record.state, memory_bytes=known)
    batches = sum(metrics.get("paddlesrv_batch_rows_count", []))
    rows = sum(metrics.get("paddlesrv_batch_rows_sum", []))
    return Status(
        record=record,
        state="ready" if all(metrics.get("paddlesrv_model_ready", [])) else "not ready",
        memory_bytes=known,
        requests=round(sum(metrics.get("paddlesrv_requests_total", []))),
        average_batch=rows / batches if batches else None,
    )


def _metrics(record: ServerRecord) -> dict[str, list[float]] | None:
    """A server's metrics, over all models; None if it does not answer in time.

    One that wants a certificate of its clients tells nobody without: `_NOT_TOLD`.
    """
    host = EVERYWHERE.get(record.host, record.host)
    connection = http.client.HTTPConnection(host, record.port, timeout=ANSWER_SECONDS)
    if record.url.startswith("https:"):
        # Its certificate is hardly one for the loopback; what it says is shown, and no more.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            host, record.port, timeout=ANSWER_SECONDS, context=context
        )
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        text = answer.read().decode()
    except ssl.SSLError:
        return _NOT_TOLD
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    if answer.status != 200:
        return None
    found: dict[str, list[float]] = {}
    for name, value in _SAMPLE.findall(text):
        found.setdefault(name, []).append(float(value))
    return found
