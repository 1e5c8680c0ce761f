"""A bench without a machine: time passes as it is told, and every candidate is as fast as it is."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from paddlesrv.errors import EngineError
from paddlesrv.tuning.candidates import Candidate
from paddlesrv.tuning.measured import Measured, Row

LOAD_SECONDS = 0.5


@dataclass
class World:
    """A machine in virtual time.

    Args:
        rate: Requests a second of each candidate.
        p99_ms: Its slow answers; by default twice the others.
        broken: Which do not load.
        dies: Which load, and then fail.
        noise: Share by which each measurement is off, at most.
        drift: Share by which the whole machine slows down each second.
    """

    rate: Callable[[Candidate], float]
    p99_ms: Callable[[Candidate], float] | None = None
    broken: Callable[[Candidate], bool] = lambda each: False
    dies: Callable[[Candidate], bool] = lambda each: False
    noise: float = 0.0
    drift: float = 0.0
    now: float = 0.0
    open: int = 0
    random: random.Random = field(default_factory=lambda: random.Random(7))

    def clock(self) -> float:
        return self.now

    def bench(self) -> FakeBench:
        self.open += 1
        return FakeBench(self)


class FakeBench:
    """Serves nothing, and knows how fast it would be."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._loaded: Candidate | None = None

    async def load(self, candidate: Candidate) -> None:
        if self._world.broken(candidate):
            raise EngineError("it does not load")
        if self._loaded is None or self._loaded.deployment != candidate.deployment:
            self._world.now += LOAD_SECONDS
        self._loaded = candidate

    async def measure(self, candidate: Candidate, seconds: float) -> Measured:
        world = self._world
        await self.load(candidate)
        world.now += seconds
        if world.dies(candidate):
            raise EngineError("it died")
        off = 1 + world.random.uniform(-world.noise, world.noise)
        rate = world.rate(candidate) * off / (1 + world.drift * world.now)
        p50 = 1e3 / rate
        return Measured(
            requests=max(1, int(rate * seconds)),
            seconds=seconds,
            rate=rate,
            p50_ms=p50,
            p99_ms=world.p99_ms(candidate) if world.p99_ms else 2 * p50,
            average_batch=candidate.max_batch_size / 2,
        )

    async def close(self) -> None:
        self._world.open -= 1


@dataclass
class Seen:
    """Who is told, and remembers."""

    steps: list[tuple[str, float]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def begin(self, title: str, share: float) -> None:
        self.steps.append((title, share))

    def row(self, row: Row, share: float) -> None:
        self.rows.append(row)

    @property
    def shares(self) -> Sequence[float]:
        return [share for _, share in self.steps]
