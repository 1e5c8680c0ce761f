"""What one model has done since it is served, in sums: Triton's statistics extension asks for it.

Histograms for `/metrics` are in `paddlesrv.server.metrics`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Sum:
    """How often, and for how many seconds in all."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.count += 1
        self.seconds += seconds

    @property
    def nanoseconds(self) -> int:
        """All of it, as the protocol counts."""
        return round(self.seconds * 1e9)


@dataclass(slots=True)
class Statistics:
    """Sums over the requests to one model.

    A request that is too large for one batch counts once for each part. `rows` are those that were
    answered; `queue` and `compute` are of requests that were, `batches` of runs, by their rows.
    """

    success: Sum = field(default_factory=Sum)
    failure: Sum = field(default_factory=Sum)
    queue: Sum = field(default_factory=Sum)
    compute: Sum = field(default_factory=Sum)
    batches: dict[int, Sum] = field(default_factory=dict)
    rows: int = 0
    last_ms: int = 0
    """When the last request was answered, in milliseconds since 1970."""

    @property
    def runs(self) -> int:
        """Batches that ran."""
        return sum(batch.count for batch in self.batches.values())

    def answered(self, rows: int, seconds: float, queue: float, compute: float) -> None:
        """Count a request that has its answer."""
        self.success.add(seconds)
        self.queue.add(queue)
        self.compute.add(compute)
        self.rows += rows
        self.last_ms = time.time_ns() // 1_000_000

    def failed(self, seconds: float) -> None:
        """Count a request that has none: refused, failed, too late or left."""
        self.failure.add(seconds)

    def ran(self, rows: int, seconds: float) -> None:
        """Count a batch."""
        batch = self.batches.get(rows)
        if batch is None:
            batch = self.batches[rows] = Sum()
        batch.add(seconds)
