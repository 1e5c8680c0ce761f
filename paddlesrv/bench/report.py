"""What came of a load, summed up."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import median

import msgspec

from paddlesrv.bench.load import Result


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement; times in milliseconds.

    `rate` counts good answers per second. Percentiles are of good answers, None where there is
    none. `batch` is the mean number of rows that the server ran at once, None if it does not say.
    """

    protocol: str
    connections: int
    asked_rate: float | None
    requests: int
    rate: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    batch: float | None
    errors: dict[str, int]
    seconds: float
    late: float
    generator_busy: float

    @property
    def failed(self) -> int:
        """Requests without a good answer."""
        return sum(self.errors.values())


def percentile(ascending: Sequence[float], share: float) -> float:
    """The smallest value that at least that share of all does not exceed (nearest rank).

    Args:
        ascending: At least one value, in ascending order.
        share: Above 0, up to 1.
    """
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)]


def point(
    protocol: str,
    connections: int,
    rate: float | None,
    result: Result,
    batch: float | None,
) -> Point:
    """A generator's result summed up."""
    times = result.times

    def ms(share: float) -> float | None:
        return round(percentile(times, share) * 1e3, 4) if times else None

    return Point(
        protocol=protocol,
        connections=connections,
        asked_rate=rate,
        requests=len(times) + sum(result.errors.values()),
        rate=round(len(times) / result.seconds, 3),
        p50_ms=ms(0.5),
        p95_ms=ms(0.95),
        p99_ms=ms(0.99),
        max_ms=ms(1.0),
        batch=round(batch, 3) if batch is not None else None,
        errors=result.errors,
        seconds=round(result.seconds, 3),
        late=round(result.late, 4),
        generator_busy=round(result.busy, 3),
    )


def middle(points: Sequence[Point]) -> Point:
    """Several measurements of the same: the median of each figure, and all errors."""
    if len(points) == 1:
        return points[0]
    errors: Counter[str] = Counter()
    for each in points:
        errors.update(each.errors)

    def mid(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return median(known) if known else None

    first = points[0]
    return msgspec.structs.replace(
        first,
        requests=sum(p.requests for p in points),
        rate=median(p.rate for p in points),
        p50_ms=mid([p.p50_ms for p in points]),
        p95_ms=mid([p.p95_ms for p in points]),
        p99_ms=mid([p.p99_ms for p in points]),
        max_ms=mid([p.max_ms for p in points]),
        batch=mid([p.batch for p in points]),
        errors=dict(errors),
        seconds=sum(p.seconds for p in points),
        late=median(p.late for p in points),
        generator_busy=median(p.generator_busy for p in points),
    )
