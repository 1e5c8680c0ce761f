"""What serving costs: paddlesrv at saturation against the engine alone, and its overhead at rest.

    python -m benchmarks.efficiency --export efficiency.json --write

`share` is the server's requests/s with many connections by the rows/s of the engine in a loop in
this process, in batches as large as the server formed under that load, with as many threads and
workers. `overhead` is the median time of a request at one connection (HTTP, tensors as bytes) less
the median time of a run of one row in this process. The load takes its part of the same machine.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.ceiling import Ceiling
from benchmarks.comparison import machine, write_section
from benchmarks.networks import NETWORKS, Network
from benchmarks.peers.table import Load, start_ours
from benchmarks.side_by_side import PAGE, measured, options


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One round of one network; times in milliseconds."""

    network: str
    connections: int
    rate: float
    batch: int
    alone: float
    p50_ms: float
    run_ms: float


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Medians over the rounds; `share` is of each round's own two rates."""

    network: str
    share: float
    batch: float
    rate: float
    alone: float
    overhead_ms: float
    p50_ms: float
    run_ms: float


def measure(network: Network, args: argparse.Namespace) -> list[Round]:
    """The server under load, the engine, the server at rest, the engine, and so on."""
    workers = args.workers or network.workers
    rounds = []
    ceiling = Ceiling(network, args.threads, workers)
    saturated = max(args.connections)
    seconds = args.seconds * network.patience
    with tempfile.TemporaryDirectory() as directory:
        load = Load(args.threads, workers, network.max_batch_size)
        system = start_ours(network, load, Path(directory))
        try:
            system.answer()
            for turn in range(-1, args.rounds):
                length = seconds if turn >= 0 else 1
                full = measured(system, network, "binary", saturated, turn, length, args.tool)
                batch = max(1, round(full.batch or 1))
                alone = ceiling.rate(batch, length)
                rest = measured(system, network, "binary", 1, turn, length, args.tool)
                run_ms = ceiling.milliseconds(length / 2)
                if turn >= 0:
                    rounds.append(
                        Round(
                            network=network.name,
                            connections=saturated,
                            rate=full.rate,
                            batch=batch,
                            alone=alone,
                            p50_ms=rest.p50_ms,
                            run_ms=run_ms,
                        )
                    )
        finally:
            system.stop()
    return rounds


def cost(rounds: list[Round]) -> Cost:
    """What the rounds of one network say together."""
    return Cost(
        network=rounds[0].network,
        share=median(r.rate / r.alone for r in rounds),
        batch=median(r.batch for r in rounds),
        rate=median(r.rate for r in rounds),
        alone=median(r.alone for r in rounds),
        overhead_ms=median(r.p50_ms - r.run_ms for r in rounds),
        p50_ms=median(r.p50_ms for r in rounds),
        run_ms=median(r.run_ms for r in rounds),
    )


def markdown(costs: list[Cost], notes: list[str]) -> str:
    """A line for each network."""
    lines = ["\n".join(f"- {note}" for note in notes), ""]
    lines.append(
        "| | share of the engine alone | requests/s | engine alone, rows/s | batch"
        " | overhead at 1 connection, ms | p50, ms | run of one row, ms |"
    )
    lines.append("|---" * 8 + "|")
    lines += [
        f"| {c.network} | **{c.share:.1%}** | {c.rate:.4g} | {c.alone:.4g} | {c.batch:g}"
        f" | **{c.overhead_ms:.2f}** | {c.p50_ms:.3g} | {c.run_ms:.3g} |"
        for c in costs
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write what is asked for."""
    args = options(__doc__, connections=[64]).parse_args()
    about = machine()
    rounds = {name: measure(NETWORKS[name](args.cache), args) for name in args.networks}
    notes = [
        f"{about}; load by {args.tool}; {args.rounds} rounds of {args.seconds:g} s a point",
        f"saturated by {max(args.connections)} connections; HTTP, tensors as bytes",
    ]
    text = markdown([cost(found) for found in rounds.values()], notes)
    print(text)
    if args.export:
        args.export.write_bytes(msgspec.json.format(msgspec.json.encode(rounds)))
    if args.write:
        write_section(PAGE, "efficiency", text)


if __name__ == "__main__":
    main()
