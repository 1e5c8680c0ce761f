"""The same requests at the same times for every server: how long do its users wait?

    python -m benchmarks.equal_load --export equal_load.json --write

A closed loop gives a slow server less to do. Here requests arrive at random (a Poisson process)
at a rate of so many a second, whoever keeps up or not, and the time of each counts from when it
was due. The rates are shares of what paddlesrv answers at most, found at the beginning of the run.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from statistics import median
from urllib.parse import urlsplit

import msgspec

from benchmarks.ceiling import Ceiling
from benchmarks.comparison import OURS, WIRES, machine, unique, write_section
from benchmarks.load import request_of
from benchmarks.networks import NETWORKS, Network
from benchmarks.peers.table import Load
from benchmarks.side_by_side import (
    PAGE,
    asked,
    awake,
    measured,
    options,
    running,
    settle,
    with_peers,
)
from benchmarks.systems import System
from paddlesrv.bench.generator import generate
from paddlesrv.bench.load import Job, poisson
from paddlesrv.bench.report import percentile
from paddlesrv.bench.wires import Sent

KEPT_UP = 0.98
"""The share of the requests that a server must answer for its times to be told."""

BUSY = 0.85
"""The share of a core above which times are those of the load, not of the server."""

GIVEN_UP = 5.0
"""Seconds after which a request counts as an error; a server that falls behind gets there soon."""


class Arrivals(msgspec.Struct, frozen=True, kw_only=True):
    """One system, asked at one rate (requests/s), once; `answered` is the share of good answers."""

    network: str
    wire: str
    system: str
    share: float
    rate: float
    round: int
    answered: float
    p50_ms: float | None
    p99_ms: float | None
    busy: float
    """The share of a core that the load itself took."""


def ask(system: System, wire: str, rate: float, seconds: float, connections: int, seed: int) -> Job:
    """What a generator is to do."""
    target = system.targets[wire]
    parts = urlsplit(target.url)
    assert parts.hostname is not None
    assert parts.port is not None
    return Job(
        host=parts.hostname,
        port=parts.port,
        sent=Sent("http", request_of(target)),
        connections=connections,
        seconds=seconds,
        warm_up=min(1.0, seconds / 4),
        rate=rate,
        timeout=GIVEN_UP,
        seed=seed,
    )


def measure(network: Network, args: argparse.Namespace, absent: dict[str, str]) -> list[Arrivals]:
    """One network on all servers, in turns."""
    found: list[Arrivals] = []
    setting = Load(args.threads, args.workers or network.workers, network.max_batch_size)
    answer = Ceiling(network, setting.threads, setting.workers).answer()
    most = max(args.connections)
    seconds = args.seconds * network.patience
    with running(network, setting, asked(network, args), answer, args, absent) as systems:
        wires = [w for w in args.wires if w in systems[0].targets]
        for system in systems:
            for wire in (w for w in wires if w in system.targets):
                with awake(system):  # warm it up
                    measured(system, network, wire, most, -1, 1, args.tool)
        for wire in wires:
            full = measured(systems[0], network, wire, most, 0, seconds, args.tool).rate
            for turn in range(args.rounds):
                first = turn % len(systems)
                for share in args.shares:
                    for system in [*systems[first:], *systems[:first]]:
                        if wire not in system.targets:
                            continue
                        job = ask(system, wire, share * full, seconds, args.in_flight, turn + 1)
                        with awake(system):
                            result = generate(job)
                            settle(system)
                        arrived = [
                            due
                            for due in poisson(
                                job.rate or 0, job.warm_up + job.seconds, 0, job.seed
                            )
                            if due >= job.warm_up
                        ]
                        times = result.times
                        found.append(
                            Arrivals(
                                network=network.name,
                                wire=wire,
                                system=system.name,
                                share=share,
                                rate=share * full,
                                round=turn,
                                answered=len(times) / max(1, len(arrived)),
                                p50_ms=percentile(times, 0.5) * 1e3 if times else None,
                                p99_ms=percentile(times, 0.99) * 1e3 if times else None,
                                busy=result.busy,
                            )
                        )
    return found


def markdown(found: Sequence[Arrivals], absent: dict[str, str], notes: list[str]) -> str:
    """A table for each network and form."""
    parts = ["\n".join(f"- {note}" for note in notes)]
    for network, wire in unique((a.network, a.wire) for a in found):
        here = [a for a in found if (a.network, a.wire) == (network, wire)]
        shares = sorted({a.share for a in here})
        rates = {s: next(a.rate for a in here if a.share == s) for s in shares}
        lines = [
            "| | " + " | ".join(f"{rates[s]:.4g}/s ({s:.0%})" for s in shares) + " |",
            "|---" * (len(shares) + 1) + "|",
        ]
        for system in unique(a.system for a in here):
            cells = [_cell([a for a in here if (a.system, a.share) == (system, s)]) for s in shares]
            name = f"**{system}**" if system == OURS else system
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        parts += [f"### {network}: {WIRES[wire]}", "\n".join(lines)]
    parts.append("\n".join(f"- {name}: {reason}" for name, reason in absent.items()))
    return "\n\n".join(part for part in parts if part)


def _cell(found: Sequence[Arrivals]) -> str:
    answered = median(a.answered for a in found)
    times = [(a.p50_ms, a.p99_ms) for a in found if a.p50_ms is not None and a.p99_ms is not None]
    if median(a.busy for a in found) > BUSY:
        return "more than the load can send"
    if answered < KEPT_UP or not times:
        return f"falls behind: {answered:.0%} answered within {GIVEN_UP:g} s"
    return f"{median(t[0] for t in times):.3g} / **{median(t[1] for t in times):.3g}**"


def main() -> None:
    """Measure, print, and write what is asked for."""
    parser = with_peers(options(__doc__, connections=[64]))
    add = parser.add_argument
    add("--shares", type=float, nargs="+", default=[0.1, 0.2, 0.4], help="of what paddlesrv can")
    add("--in-flight", type=int, default=256, help="requests on their way at once, at most")
    args = parser.parse_args()
    about = machine()
    absent: dict[str, str] = {}
    found = [a for n in args.networks for a in measure(NETWORKS[n](args.cache), args, absent)]
    notes = [
        f"{about}; {args.rounds} rounds of {args.seconds:g} s a point (longer for slow networks)",
        "columns: requests/s that arrive, and their share of what paddlesrv answers at most with"
        f" {max(args.connections)} connections; in each cell: p50 / **p99** in ms",
    ]
    text = markdown(found, absent, notes)
    print(text)
    if args.export:
        args.export.write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    if args.write:
        write_section(PAGE, "equal-load", text)


if __name__ == "__main__":
    main()
