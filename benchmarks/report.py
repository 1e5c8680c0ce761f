"""Figures of a run: medians over the rounds, ratios, a table and JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from benchmarks.load import Report

OURS = "paddlesrv"


@dataclass(frozen=True)
class Point:
    """One system under one load, once; `cpu_seconds` is what all its processes used meanwhile."""

    system: str
    report: Report
    cpu_seconds: float


def table(
    points: Sequence[Point],
    in_process: Mapping[int, Sequence[float]],
    unit: str,
    notes: list[str],
) -> str:
    """What a person wants to see of a run; `unit` says what the rates in process count."""
    summary = summarise(points)
    head = f"{'system':<19}{'conns':>6}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}"
    head += f"{'cpu us/req':>12}{'errors':>8}{'ours/it':>9}"
    lines = [head, "-" * len(head)]
    for row in summary:
        ratio = f"{row['ours_over_it']:.2f}" if row["ours_over_it"] else ""
        lines.append(
            f"{row['system']:<19}{row['connections']:>6}{row['rate']:>9.0f}{row['p50_ms']:>9.2f}"
            f"{row['p99_ms']:>9.2f}{row['cpu_us']:>12.0f}{row['errors']:>8}{ratio:>9}"
        )
    for count, rates in in_process.items():
        lines.append(f"in process: {median(rates):.4g} {unit.format(count)}")
    return "\n".join([*lines, *notes, _machine()])


def as_json(
    points: Sequence[Point], in_process: Mapping[int, Sequence[float]], notes: list[str]
) -> str:
    """Medians and all single measurements."""
    document = {
        "schema": 1,
        "machine": _machine(),
        "notes": notes,
        "summary": summarise(points),
        "in_process": {str(count): median(rates) for count, rates in in_process.items()},
        "points": [asdict(point) for point in points],
    }
    return json.dumps(document, indent=2)


def summarise(points: Sequence[Point]) -> list[dict[str, float | str | None]]:
    """One row for each number of connections and system, in the order measured."""
    rows: list[dict[str, float | str | None]] = []
    for connections in _unique(p.report.connections for p in points):
        here = [p for p in points if p.report.connections == connections]
        ours = _median(p.report.rate for p in here if p.system == OURS)
        for system in _unique(p.system for p in here):
            own = [p for p in here if p.system == system]
            rate = _median(p.report.rate for p in own)
            rows.append(
                {
                    "system": system,
                    "connections": connections,
                    "rate": rate,
                    "p50_ms": _median(p.report.p50_ms for p in own),
                    "p99_ms": _median(p.report.p99_ms for p in own),
                    "cpu_us": _median(p.cpu_seconds * 1e6 / max(1, p.report.requests) for p in own),
                    "errors": sum(p.report.errors for p in own),
                    "ours_over_it": None if system == OURS or not rate else ours / rate,
                }
            )
    return rows


def _unique(values: Iterable[float | str]) -> list[float | str]:
    return list(dict.fromkeys(values))


def _median(values: Iterable[float]) -> float:
    return median(list(values) or [0.0])


def _machine() -> str:
    busy = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{os.cpu_count()} cores, Python {platform.python_version()}{busy}"
