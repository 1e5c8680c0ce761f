"""paddlesrv and its peers in one run: the same network file, engine, threads, batches and load.

All servers of a network are up during its whole run and are loaded in turns, so that whatever
else the machine does meets all of them alike; medians over the rounds are told, as ratios to
paddlesrv. Between them the engine runs alone in this process, in the batches that paddlesrv formed
under the same load: no server on that engine can do more. A peer that does not install or does
not answer here is named with the reason, and takes nothing from the others.

    python -m benchmarks.side_by_side --export side_by_side.json --write
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import logging
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import httpx
import msgspec
import numpy as np

import paddlesrv
from benchmarks import load
from benchmarks.ceiling import Ceiling
from benchmarks.comparison import (
    ENGINE,
    RESTLESS,
    WIRES,
    Document,
    Point,
    Served,
    machine,
    markdown,
    merged,
    write_section,
)
from benchmarks.networks import NETWORKS, Network
from benchmarks.peers.environments import CannotInstall, cache_dir
from benchmarks.peers.table import OURS, PEERS, Load, answer_of, start, start_ours
from benchmarks.peers.table import versions as peer_versions
from benchmarks.systems import System
from paddlesrv.bench import batches

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "benchmarks.md"
PICTURE = DOCS / "images" / "side_by_side.png"
_TOLERANCE = 1e-3
"""Of the largest number of an answer; engines of different versions add in different orders."""

_CLASSES = 5
"""That are named of a picture, by paddlesrv and by PaddleX where nothing else is said."""


def main() -> None:
    """Measure, or read what was measured; print, and write what is asked for."""
    args = _arguments()
    if args.read:
        document = merged(
            [msgspec.json.decode(file.read_bytes(), type=Document) for file in args.read]
        )
    else:
        document = run(args)
    if args.export:
        args.export.write_bytes(msgspec.json.format(msgspec.json.encode(document)))
    print(markdown(document))
    if args.write:
        from benchmarks.plot import draw

        draw(document, PICTURE)
        picture = f"![requests per second over connections]({PICTURE.relative_to(DOCS)})"
        write_section(PAGE, "side-by-side", f"{picture}\n\n{markdown(document)}")


def options(description: str, connections: list[int]) -> argparse.ArgumentParser:
    """The flags that all commands of this kind have."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    add = parser.add_argument
    add("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    add("--connections", type=int, nargs="+", default=connections)
    add("--rounds", type=int, default=3)
    add("--seconds", type=float, default=3, help="a point; more for networks that need longer")
    add("--threads", type=int, default=1, help="of the engine, in one run")
    add("--workers", type=int, help="of each server; default: the network's")
    add("--cache", type=Path, default=cache_dir(), help="where environments and networks are kept")
    add("--tool", choices=["wrk", "own"], default=load.tool())
    add("--export", type=Path, help="write all figures as JSON")
    add("--write", action="store_true", help="write them into docs/benchmarks.md")
    return parser


def with_peers(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the flags that say which peers are asked, and how."""
    parser.add_argument("--only", nargs="*", choices=list(PEERS), help="of these peers only")
    parser.add_argument("--wires", nargs="+", choices=list(WIRES), default=list(WIRES))
    return parser


def _arguments() -> argparse.Namespace:
    parser = with_peers(options(__doc__, connections=[1, 4, 16, 64]))
    add = parser.add_argument
    add(
        "--engines",
        nargs="+",
        choices=["onnxruntime", "paddle"],
        default=["onnxruntime", "paddle"],
        help="with Paddle, beside those peers that run Paddle",
    )
    add(
        "--read",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="measure nothing: read what --export wrote, of one run or of several",
    )
    return parser.parse_args()


def run(args: argparse.Namespace) -> Document:
    """Measure everything that is asked for."""
    served, points = [], []
    about = machine()
    # Paddle, once it is loaded, makes every library's logging talk.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    for name in args.networks:
        for engine in args.engines:
            network = NETWORKS[name](args.cache)
            network = network.on_paddle() if engine == "paddle" else network
            setting = Load(args.threads, args.workers or network.workers, network.max_batch_size)
            here, found = measure(network, setting, args)
            served.append(here)
            points += found
    notes = [
        f"load by {args.tool} on the same machine; {args.rounds} rounds of {args.seconds:g} s a"
        " point (longer for slow networks), in turns; medians",
        "in each cell: **rate as a share of paddlesrv's** · requests/s (p50 / p99 in ms)",
        f"{ENGINE}: no server at all, the network called in a loop in the batches that paddlesrv"
        " formed under that load",
    ]
    versions = {"paddlesrv": paddlesrv.__version__, "onnxruntime": version("onnxruntime")}
    versions |= {"Python": platform.python_version()}
    versions |= peer_versions()
    return Document(
        command="python -m benchmarks.side_by_side " + " ".join(sys.argv[1:]),
        made=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        machine=about,
        notes=notes,
        networks=served,
        points=points,
        versions=versions,
    )


def measure(
    network: Network, setting: Load, args: argparse.Namespace
) -> tuple[Served, list[Point]]:
    """One network on all servers."""
    names = asked(network, args)
    absent: dict[str, str] = {}
    points: list[Point] = []
    ceiling = Ceiling(network, setting.threads, setting.workers)
    with running(network, setting, names, ceiling.answer(), args, absent) as systems:
        for turn, wire, connections, system in _turns(systems, args):
            if system.name in absent:
                continue
            # The first turn warms up and is thrown away.
            seconds = args.seconds * network.patience if turn >= 0 else 1
            try:
                with awake(system):
                    point = measured(system, network, wire, connections, turn, seconds, args.tool)
            except RuntimeError as error:
                absent[system.name] = f"failed under load: {error}"
                continue
            if turn >= 0:
                points.append(point)
            if turn >= 0 and system.name == OURS:
                points.append(_beside(point, ceiling, seconds))
    described = Served(
        name=network.key,
        title=network.title,
        threads=setting.threads,
        workers=setting.workers,
        max_batch_size=setting.max_batch_size,
        absent=absent,
        idle={system.name: system.idle for system in systems},
    )
    return described, points


def asked(network: Network, args: argparse.Namespace) -> list[str]:
    """The peers that run the network on its engine and speak one of the forms that are wanted."""
    forms = {wire for wire in args.wires if wire != "predict" or network.takes_pictures}
    return [
        name
        for name, peer in PEERS.items()
        if peer.engine == network.engine and forms & set(peer.asked)
        if args.only is None or name in args.only
    ]


@contextlib.contextmanager
def running(
    network: Network,
    setting: Load,
    names: Sequence[str],
    answer: np.ndarray,
    args: argparse.Namespace,
    absent: dict[str, str],
) -> Iterator[list[System]]:
    """paddlesrv and those peers that install and answer rightly; why others do not is in `absent`.

    Those that work when nobody asks them are stopped until they are `awake`.
    """
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as started:
        systems = list(_started(network, setting, args.cache, names, directory, started, absent))
        for system in list(systems):
            if problem := _wrong(system, network, answer, args.wires):
                if system.name == OURS:
                    raise RuntimeError(problem)
                absent[system.name] = problem
                system.stop()
                systems.remove(system)
        for system in systems:
            _find_idle(system)
            if system.idle >= RESTLESS:
                system.pause()
        yield systems


@contextlib.contextmanager
def awake(system: System) -> Iterator[None]:
    """Have it run, if it is stopped while others are measured."""
    restless = system.idle >= RESTLESS
    if restless:
        system.resume()
        settle(system)
    yield
    if restless:
        system.pause()


def _started(
    network: Network,
    setting: Load,
    cache: Path,
    names: Sequence[str],
    directory: str,
    running: contextlib.ExitStack,
    absent: dict[str, str],
) -> Iterator[System]:
    """Each answers before the next one starts."""
    scratch = Path(directory)
    ours = start_ours(network, setting, scratch)
    running.callback(ours.stop)
    ours.answer()
    yield ours
    for name in names:
        print(f"{network.key}: {name} ...", file=sys.stderr, flush=True)
        try:
            system = start(PEERS[name], network, setting, cache, scratch)
        except CannotInstall as error:
            absent[name] = f"does not install here: {error}"
            continue
        running.callback(system.stop)
        try:
            system.answer()
        except RuntimeError as error:
            absent[name] = f"does not answer here: {' '.join(str(error).split())[-300:]}"
            system.stop()
            continue
        yield system


def _wrong(system: System, network: Network, wanted: np.ndarray, wires: Sequence[str]) -> str:
    """What is wrong with its answers; empty if they are right."""
    for wire in wires:
        if wire not in system.targets:
            continue
        try:
            found = answer_of(system.answer(wire), wire, network)
        except (RuntimeError, ValueError, LookupError, TypeError) as error:
            return f"does not answer {wire}: {' '.join(str(error).split())[-300:]}"
        right = np.float32([_CLASSES]) if wire == "predict" else wanted
        if found.shape != right.shape:
            return f"answers {found.shape} numbers, not {right.shape}"
        if np.abs(found - right).max() > _TOLERANCE * np.abs(right).max():
            return f"answers {found[:3]}, not {right[:3]}"
    return ""


def measured(
    system: System, network: Network, wire: str, connections: int, turn: int, seconds: float,
    tool: str,
) -> Point:  # fmt: skip
    """One system under one load, once.

    Raises:
        RuntimeError: the load cannot be made.
    """
    before, used = _batches(system, network), system.cpu_seconds()
    report = load.measure(system.targets[wire], connections, seconds, tool)
    after = system.cpu_seconds()
    batch = batches.mean(before, _batches(system, network))
    settle(system)
    return Point(
        network=network.key,
        wire=wire,
        system=system.name,
        connections=connections,
        round=turn,
        rate=report.rate,
        p50_ms=report.p50_ms,
        p99_ms=report.p99_ms,
        cpu_us=(after - used) * 1e6 / max(1, report.requests),
        errors=report.errors,
        batch=batch,
    )


def _beside(point: Point, ceiling: Ceiling, seconds: float) -> Point:
    """The engine alone, in batches such as the server has just formed."""
    rows = max(1, round(point.batch or 1))
    rate = ceiling.rate(rows, max(0.5, seconds / 4))
    return Point(
        network=point.network,
        wire=point.wire,
        system=ENGINE,
        connections=point.connections,
        round=point.round,
        rate=rate,
        batch=rows,
    )


def _batches(system: System, network: Network) -> batches.Batches | None:
    """What a server's metrics say of its batches; None if it has none that are known."""
    root = httpx.URL(system.target.url).join("/metrics")
    with httpx.Client() as client:
        return batches.read(str(root), network.name, client)


def settle(system: System, limit: float = 15.0) -> None:
    """Wait until it has worked off what a generator that stopped has left in its queue.

    It is done when it takes hardly more of a core than the share that it takes when idle.
    """
    deadline = time.monotonic() + limit
    used = system.cpu_seconds()
    while time.monotonic() < deadline:
        time.sleep(0.2)
        now = system.cpu_seconds()
        if now - used < (system.idle + 0.2) * 0.2:
            return
        used = now


def _find_idle(system: System) -> None:
    settle(system)
    used, began = system.cpu_seconds(), time.monotonic()
    time.sleep(1.0)
    system.idle = round((system.cpu_seconds() - used) / (time.monotonic() - began), 3)


def _turns(
    systems: Sequence[System], args: argparse.Namespace
) -> Iterator[tuple[int, str, int, System]]:
    """Round, form, connections and system of each measurement; another one is first each round."""
    for turn in range(-1, args.rounds):
        first = max(turn, 0) % len(systems)
        for wire in args.wires:
            for connections in args.connections if turn >= 0 else [max(args.connections)]:
                for system in [*systems[first:], *systems[:first]]:
                    if wire in system.targets:
                        yield turn, wire, connections, system


if __name__ == "__main__":
    main()
