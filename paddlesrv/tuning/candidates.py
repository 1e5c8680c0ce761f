"""The ways in which a model could be served on a machine, as far as they are worth a try.

What only costs is left out: more threads than cores, cores that lie idle, batches that so many
callers never fill, a delay where no batch could grow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from paddlesrv.engines.base import EngineName, Precision

Objective = Literal["latency", "throughput"]

BATCHES = (1, 4, 8, 16, 32, 64, 128)
DELAYS_MS = (1.0, 2.0, 5.0)


class Way(msgspec.Struct, frozen=True):
    """An engine that answers as paddle does, and of paddle's variants the one that is meant."""

    engine: EngineName
    variant: str | None = None
    precision: Precision = "fp32"


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One way to serve a model: all that `tune` decides."""

    engine: EngineName
    variant: str | None = None
    precision: Precision = "fp32"
    threads: int
    instances: int = 1
    max_batch_size: int
    max_delay_ms: float = 0.0

    def __str__(self) -> str:
        way = self.engine if self.precision == "fp32" else f"{self.engine} {self.precision}"
        threads = f"{self.threads} thread{'s' if self.threads != 1 else ''}"
        instances = f"{self.instances} instance{'s' if self.instances != 1 else ''}"
        delay = f", delay {self.max_delay_ms:g} ms" if self.max_delay_ms else ""
        return f"{way}, {threads}, {instances}, batch {self.max_batch_size}{delay}"

    @property
    def deployment(self) -> Candidate:
        """What has the same worker processes: they need not be started anew for a difference."""
        return msgspec.structs.replace(self, max_batch_size=1, max_delay_ms=0.0)

    @property
    def weight(self) -> tuple[float, ...]:
        """Simpler ones are less: fewer processes, no waiting, fewer threads, smaller batches."""
        return (self.instances, self.max_delay_ms, self.threads, self.max_batch_size)


def candidates(
    ways: Sequence[Way],
    default: Candidate,
    *,
    objective: Objective,
    cores: int,
    max_rows: int,
    concurrency: int,
) -> tuple[Candidate, ...]:
    """What is worth a try, the default first, then what is likely to be good.

    Args:
        ways: The engines that may be used.
        default: How the model is served where nothing is tuned.
        objective: What it is tuned for.
        cores: Those that the server may use.
        max_rows: The largest batch that the model takes.
        concurrency: Callers at a time.
    """
    found = [default]
    for size in _batches(max_rows, concurrency):
        for threads, instances in _processes(objective, cores, concurrency):
            for way in ways:
                found.append(
                    Candidate(
                        engine=way.engine,
                        variant=way.variant,
                        precision=way.precision,
                        threads=threads,
                        instances=instances,
                        max_batch_size=size,
                    )
                )
    return tuple(dict.fromkeys(found))


def delayed(best: Candidate, concurrency: int) -> tuple[Candidate, ...]:
    """The same with delays, where a batch could grow meanwhile; nothing where none could."""
    if best.max_batch_size == 1 or concurrency <= best.instances:
        return ()
    return tuple(msgspec.structs.replace(best, max_delay_ms=delay) for delay in DELAYS_MS)


def _batches(max_rows: int, concurrency: int) -> list[int]:
    """Sizes up to what so many callers fill, the most promising first."""
    fitting = [size for size in BATCHES if size <= min(max_rows, concurrency)]
    return sorted(fitting or [1], key=lambda size: (abs(size - 8), size))


def _processes(objective: Objective, cores: int, concurrency: int) -> list[tuple[int, int]]:
    """Threads and instances: no more than the cores, and no fewer than half of them.

    For latency, also fewer: small networks are slower with many threads.
    """
    counts = _powers(cores)
    pairs = [
        (threads, instances)
        for instances in counts
        for threads in counts
        if threads * instances <= cores
        and instances <= concurrency
        and (2 * threads * instances >= cores or objective == "latency")
    ]
    return sorted(pairs, key=lambda pair: (pair[0] * pair[1] < cores, pair[1]))


def _powers(cores: int) -> Iterable[int]:
    return sorted({*(2**k for k in range(cores.bit_length()) if 2**k <= cores), cores})
