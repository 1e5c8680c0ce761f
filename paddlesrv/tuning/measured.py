"""What is measured of a candidate, and what is wanted of it."""

from __future__ import annotations

import msgspec

from paddlesrv.tuning.candidates import Candidate, Objective


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What callers saw: requests a second, and milliseconds until the answer.

    `average_batch` is in rows of the network that is tuned.
    """

    requests: int
    seconds: float
    rate: float
    p50_ms: float
    p99_ms: float
    average_batch: float


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted: `limit_ms` is the most that the 99th percentile may be."""

    objective: Objective = "throughput"
    limit_ms: float | None = None
    concurrency: int = 1

    def value(self, measured: Measured) -> float:
        """What is to be as large as possible."""
        return measured.rate if self.objective == "throughput" else 1e3 / measured.p50_ms

    def within(self, measured: Measured) -> bool:
        """Whether answers come in time."""
        return self.limit_ms is None or measured.p99_ms <= self.limit_ms


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out about one candidate.

    `ratio` is to the default measured beside it, above 1 is better; `refused` is why it was
    dropped. The figures are means (percentiles: medians) over `rounds`.
    """

    candidate: Candidate
    rounds: int = 0
    rate: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    average_batch: float | None = None
    ratio: float | None = None
    refused: str | None = None
