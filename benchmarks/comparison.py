"""What a side by side run found, as a document, and what is read from it: ratios and tables."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

OURS = "paddlesrv"
ENGINE = "engine alone"
"""The network in one process, in the batches that paddlesrv formed under the same load."""

WIRES = {
    "json": "JSON both ways",
    "binary": "bytes both ways",
    "predict": "pictures in JSON, names of classes out",
}
"""Forms of requests, and how they are told."""
RESTLESS = 0.05
"""The share of a core that a server may take when nobody asks it; else it is paused meanwhile."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One system under one load, once. Rates count good answers; times are of whole requests.

    `cpu_us` is the CPU time of all its processes for one request; `batch` the mean number of rows
    in a run, where it is known.
    """

    network: str
    wire: str
    system: str
    connections: int
    round: int
    rate: float
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    cpu_us: float = 0.0
    errors: int = 0
    batch: float | None = None


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """How a network was served, by all alike."""

    name: str
    title: str
    threads: int
    workers: int
    max_batch_size: int
    absent: dict[str, str] = {}
    idle: dict[str, float] = {}
    """The share of a core that a server takes when nobody asks it anything."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run."""

    command: str
    made: str
    machine: str
    notes: list[str]
    networks: list[Served]
    points: list[Point]
    versions: dict[str, str] = {}
    schema: int = 1


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Medians of one system under one load; `ratio` is its rate by that of paddlesrv."""

    system: str
    connections: int
    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    errors: int
    batch: float | None
    ratio: float | None


def summarise(points: Sequence[Point], network: str, wire: str) -> list[Row]:
    """One row for each system and number of connections, in the order that they were measured."""
    here = [p for p in points if p.network == network and p.wire in (wire, "")]
    rows = []
    for system in unique(p.system for p in here):
        for connections in sorted({p.connections for p in here if p.system == system}):
            own = [p for p in here if (p.system, p.connections) == (system, connections)]
            ours = [p.rate for p in here if (p.system, p.connections) == (OURS, connections)]
            rate = median(p.rate for p in own)
            known = [p.batch for p in own if p.batch is not None]
            rows.append(
                Row(
                    system=system,
                    connections=connections,
                    rate=rate,
                    p50_ms=median(p.p50_ms for p in own),
                    p99_ms=median(p.p99_ms for p in own),
                    cpu_us=median(p.cpu_us for p in own),
                    errors=sum(p.errors for p in own),
                    batch=median(known) if known else None,
                    ratio=rate / median(ours) if ours and median(ours) else None,
                )
            )
    return rows


def merged(documents: Sequence[Document]) -> Document:
    """Several runs, each of other networks, told as one; what is common is told by the first.

    Raises:
        ValueError: two of them have measured the same network.
    """
    networks = [served for document in documents for served in document.networks]
    if len({served.name for served in networks}) < len(networks):
        raise ValueError("the same network in two runs: figures of different runs do not compare")
    return msgspec.structs.replace(
        documents[0],
        command="`, `".join(unique(document.command for document in documents)),
        machine="; ".join(unique(document.machine for document in documents)),
        notes=unique(note for document in documents for note in document.notes),
        networks=networks,
        points=[point for document in documents for point in document.points],
    )


def wires(points: Sequence[Point], network: str) -> list[str]:
    """In which forms the network was asked."""
    return [w for w in unique(p.wire for p in points if p.network == network) if w]


def markdown(document: Document) -> str:
    """The tables of a run, and all that must be known of it."""
    parts = [
        f"Made by `{document.command}` on {document.made}; {document.machine}.",
        "\n".join(f"- {note}" for note in document.notes),
    ]
    for served in document.networks:
        for wire in wires(document.points, served.name):
            how = f"{served.threads} thread(s) a run, {served.workers} worker(s)"
            how += f", batches of up to {served.max_batch_size}"
            parts += [f"### {served.title}: {WIRES.get(wire, wire)}", f"{how}."]
            parts.append(_table(summarise(document.points, served.name, wire)))
        if lines := _left_out(served):
            parts.append(lines)
    if document.versions:
        told = ", ".join(f"{name} {version}" for name, version in document.versions.items())
        parts.append(f"Versions: {told}.")
    return "\n\n".join(part for part in parts if part)


def _table(rows: Sequence[Row]) -> str:
    """A line for each system: at each number of connections its ratio, its rate and its times."""
    connections = sorted({row.connections for row in rows})
    lines = [
        "| " + " | ".join(["", *(f"{c} connection{'s' * (c > 1)}" for c in connections)]) + " |",
        "|---" * (len(connections) + 1) + "|",
    ]
    for system in unique(row.system for row in rows):
        by = {row.connections: row for row in rows if row.system == system}
        cells = [_cell(by.get(c)) for c in connections]
        name = f"**{system}**" if system == OURS else system
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    if not row.rate:
        return f"nothing answered in time ({row.errors} errors)"
    ratio = f"**{row.ratio:.2f}** · " if row.ratio is not None else ""
    times = f" ({row.p50_ms:.3g} / {row.p99_ms:.3g})" if row.p50_ms else ""
    batch = f", batch {row.batch:.1f}" if row.batch is not None else ""
    errors = f", {row.errors} errors" if row.errors else ""
    return f"{ratio}{row.rate:.4g}/s{times}{batch}{errors}"


def _left_out(served: Served) -> str:
    """Those that could not be measured, with the reason, and those that are never quiet.

    The share is of one core.
    """
    lines = [f"- {name}: {reason}" for name, reason in served.absent.items()]
    busy = {name: share for name, share in served.idle.items() if share >= RESTLESS}
    if busy:
        told = ", ".join(f"{name} {share:.0%}" for name, share in busy.items())
        lines.append(f"- stopped (SIGSTOP) while others ran, for it works when nobody asks: {told}")
    return "\n".join(lines)


def between(text: str, name: str, content: str) -> str:
    """The text with what lies between the markers of a name replaced.

    Markers are the HTML comments `<!-- NAME:begin -->` and `<!-- NAME:end -->`.

    Raises:
        ValueError: the text does not have both, once each and in this order.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"the text needs {begin} and, after it, {end}, once each")
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    return f"{head}{begin}\n\n{content.strip()}\n\n{end}{tail}"


def write_section(page: Path, name: str, content: str) -> None:
    """Put a section's new text into a page."""
    page.write_text(between(page.read_text(), name, content))


def unique(values: Iterable[Any]) -> list[Any]:
    """Each value once, in the order in which they come first."""
    return list(dict.fromkeys(values))


def machine() -> str:
    """What a reader must know of where figures come from."""
    kind = ""
    if (info := Path("/proc/cpuinfo")).is_file():
        found = re.search(r"^model name\s*: (.+)$", info.read_text(), re.MULTILINE)
        kind = f" of {found[1]}" if found else ""
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    return f"{os.cpu_count()} cores{kind}, Python {platform.python_version()}{load}"
