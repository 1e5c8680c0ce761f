"""What batching gives: paddlesrv with it against paddlesrv without it, the same load in turns.

    python -m benchmarks.batching --export batching.json --write

Both servers have the same engine, threads and workers; one merges waiting requests into batches of
up to the network's number, the other runs each by itself (`--max-batch-size 1`).
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from pathlib import Path

import msgspec

from benchmarks.comparison import OURS, Point, machine, summarise, unique, write_section
from benchmarks.networks import NETWORKS, Network
from benchmarks.peers.table import Load, start_ours
from benchmarks.side_by_side import PAGE, measured, options

WITHOUT = "without batching"


def measure(network: Network, args: argparse.Namespace) -> list[Point]:
    """Both servers, in turns."""
    points = []
    workers = args.workers or network.workers
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as running:
        systems = []
        for label, rows in ((OURS, network.max_batch_size), (WITHOUT, 1)):
            scratch = Path(directory, label.replace(" ", "-"))
            scratch.mkdir()
            system = start_ours(network, Load(args.threads, workers, rows), scratch, label)
            running.callback(system.stop)
            system.answer()
            systems.append(system)
        seconds = args.seconds * network.patience
        for turn in range(-1, args.rounds):
            for connections in args.connections if turn >= 0 else [max(args.connections)]:
                for system in systems if turn % 2 else systems[::-1]:
                    length = seconds if turn >= 0 else 1
                    point = measured(
                        system, network, "binary", connections, turn, length, args.tool
                    )
                    points += [point] if turn >= 0 else []
    return points


def factors(points: list[Point], network: str) -> dict[int, tuple[float, float, float | None]]:
    """By connections: requests/s with batching and without, and rows in a batch with it."""
    rows = {(r.system, r.connections): r for r in summarise(points, network, "binary")}
    return {
        c: (rows[OURS, c].rate, rows[WITHOUT, c].rate, rows[OURS, c].batch)
        for c in sorted({c for _, c in rows})
    }


def markdown(points: list[Point], notes: list[str]) -> str:
    """How many times as many requests are answered with batching as without."""
    counts = sorted({p.connections for p in points})
    lines = ["\n".join(f"- {note}" for note in notes), ""]
    lines.append("| | " + " | ".join(f"{c} connection{'s' * (c > 1)}" for c in counts) + " |")
    lines.append("|---" * (len(counts) + 1) + "|")
    for network in unique(p.network for p in points):
        cells = [
            f"**{on / off:.2f}** · {on:.4g} : {off:.4g}" + (f", batch {rows:.1f}" if rows else "")
            for on, off, rows in factors(points, network).values()
        ]
        lines.append(f"| {network} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write what is asked for."""
    parser = options(__doc__, connections=[1, 16, 64])
    args = parser.parse_args()
    about = machine()
    points = [p for name in args.networks for p in measure(NETWORKS[name](args.cache), args)]
    text = markdown(
        points,
        [
            f"{about}; load by {args.tool}; {args.rounds} rounds of {args.seconds:g} s a point",
            "in each cell: **factor** · requests/s with : without",
        ],
    )
    print(text)
    if args.export:
        args.export.write_bytes(msgspec.json.format(msgspec.json.encode(points)))
    if args.write:
        write_section(PAGE, "batching", text)


if __name__ == "__main__":
    main()
