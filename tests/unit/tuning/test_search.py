"""The search, on a bench that is told how fast each candidate is, in time that it makes up."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.errors import EngineError, PaddlesrvError
from paddlesrv.tuning.candidates import Candidate
from paddlesrv.tuning.measured import Measured, Wishes
from paddlesrv.tuning.search import Search

LOAD_SECONDS = 0.5


class Time:
    """A clock that only measuring and loading move."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """Candidates with known rates; loading takes a while, measuring as long as it is told."""

    def __init__(self, clock, rates, *, noise=None, p99=None, broken=()) -> None:
        self.clock, self.rates, self.broken = clock, rates, broken
        self.noise = noise or (lambda: 1.0)
        self.p99 = p99 or {}
        self.loaded = None
        self.open = True

    async def load(self, candidate) -> None:
        if candidate in self.broken:
            raise EngineError("it does not load")
        if self.loaded != candidate.deployment:
            self.clock.now += LOAD_SECONDS
            self.loaded = candidate.deployment

    async def measure(self, candidate, seconds) -> Measured:
        await self.load(candidate)
        self.clock.now += seconds
        rate = self.rates[candidate] * self.noise()
        p50 = 1e3 / rate
        return Measured(requests=max(1, int(rate * seconds)), seconds=seconds, rate=rate,
                        p50_ms=p50, p99_ms=self.p99.get(candidate, 2 * p50),
                        average_batch=candidate.max_batch_size)  # fmt: skip

    async def close(self) -> None:
        self.open = False


class Watch:
    def __init__(self) -> None:
        self.shares, self.rows = [], []

    def begin(self, title, share) -> None:
        self.shares.append(share)

    def row(self, row, share) -> None:
        self.shares.append(share)
        self.rows.append(row)


def some(count: int) -> list[Candidate]:
    """So many different candidates, the default first."""
    engines = ("paddle", "onnxruntime", "openvino")
    made = itertools.product((8, 4, 1), (1, 2), (2, 1), engines)
    return [
        Candidate(engine=engine, threads=threads, instances=instances, max_batch_size=size)
        for size, instances, threads, engine in itertools.islice(made, count)
    ]


def search(rates, wishes=Wishes(concurrency=8), budget=60.0, **options):
    """The verdict, the clock's seconds, what was told, and the benches."""
    clock, watch, benches = Time(), Watch(), []

    def make():
        benches.append(Bench(clock, rates, **options))
        return benches[-1]

    began = clock.now
    found = asyncio.run(Search(list(rates), wishes, budget, make, watch, clock).run())
    assert not any(bench.open for bench in benches)
    return found, clock.now - began, watch


@given(st.integers(2, 30), st.integers(0, 29), st.sampled_from(["latency", "throughput"]))
def test_without_noise_the_fastest_wins_in_its_time(count, fastest, objective):
    members = some(count)
    rates = dict.fromkeys(members, 100.0)
    winner = members[fastest % count]
    rates[winner] = 150.0
    found, took, watch = search(rates, Wishes(objective=objective, concurrency=8), budget=300.0)
    assert found.left_out == 0
    assert found.best == winner
    if winner != members[0]:
        assert found.gain == pytest.approx(1.5)
        assert found.table[0].candidate == winner
    assert took <= 300 * 1.1
    assert watch.shares == sorted(watch.shares)
    assert all(0 <= share <= 1 for share in watch.shares)


@pytest.mark.parametrize("seed", range(5))
def test_what_wins_by_noise_alone_does_not_replace_what_is_there(seed):
    dice = random.Random(seed)
    rates = dict.fromkeys(some(12), 100.0)
    found, _, _ = search(rates, noise=lambda: dice.uniform(0.97, 1.03))
    assert found.best == found.default
    assert "nothing is better" in found.why or "no more than noise" in found.why


def test_who_is_too_slow_for_the_limit_is_dropped_however_many_it_serves():
    default, fast, slower = some(3)
    rates = {default: 100.0, fast: 300.0, slower: 150.0}
    wishes = Wishes(limit_ms=50.0, concurrency=8)
    found, _, _ = search(rates, wishes, p99={fast: 80.0, default: 20.0, slower: 30.0})
    assert found.best == slower
    (dropped,) = (row for row in found.table if row.candidate == fast)
    assert dropped.refused == "p99 80.0 ms, above 50"


def test_where_nobody_keeps_the_limit_it_says_so():
    rates = dict.fromkeys(some(4), 100.0)
    found, _, _ = search(rates, Wishes(limit_ms=1.0, concurrency=8))
    assert found.best is None
    assert found.why == "nothing answers within 1 ms at the 99th percentile"


def test_what_does_not_load_is_dropped_and_the_others_go_on():
    default, broken, good = some(3)
    found, _, _ = search({default: 100.0, broken: 900.0, good: 200.0}, broken={broken})
    assert found.best == good
    (dropped,) = (row for row in found.table if row.candidate == broken)
    assert dropped.refused == "it does not load"


def test_a_default_that_does_not_load_is_an_error():
    default, other = some(2)
    with pytest.raises(EngineError):
        search({default: 1.0, other: 2.0}, broken={default})


def test_too_little_time_is_refused_with_how_much_it_takes():
    default, other = some(2)
    with pytest.raises(PaddlesrvError, match=r"1 s are too few: one answer takes") as refused:
        search({default: 0.5, other: 1.0}, budget=1.0)
    assert "--budget" in refused.value.hints[0]


def test_a_delay_is_tried_for_batches_that_are_not_full():
    (default,) = some(1)
    wait = {c: 100.0 for c in some(1)}

    class Growing(dict):
        def __missing__(self, candidate):
            return 140.0 if candidate.max_delay_ms == 2.0 else 90.0

    rates = Growing(wait)
    clock, watch = Time(), Watch()

    class Half(Bench):
        async def measure(self, candidate, seconds):
            found = await super().measure(candidate, seconds)
            return type(found)(**{f: getattr(found, f) for f in found.__struct_fields__}
                               | {"average_batch": 2.0})  # fmt: skip

    wishes = Wishes(concurrency=8)
    make = lambda: Half(clock, rates)  # noqa: E731
    found = asyncio.run(Search([default], wishes, 60.0, make, watch, clock).run())
    assert found.best.max_delay_ms == 2.0
