"""Token buckets, with a clock of the test's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.server.access.buckets import TokenBucket


def test_a_burst_then_the_rate() -> None:
    bucket = TokenBucket(rate=2, burst=3, now=10.0)
    assert [bucket.take(10.0) for _ in range(3)] == [0, 0, 0]
    assert bucket.take(10.0) == pytest.approx(0.5)
    assert bucket.take(10.25) == pytest.approx(0.25)
    assert bucket.take(10.5) == 0
    assert bucket.take(10.5) == pytest.approx(0.5)


def test_a_slow_rate_lets_one_through_at_once() -> None:
    bucket = TokenBucket(rate=0.1, burst=None, now=0.0)
    assert bucket.take(0.0) == 0
    assert bucket.take(0.0) == pytest.approx(10)


def test_a_lower_burst_takes_away_what_was_saved() -> None:
    bucket = TokenBucket(rate=1, burst=100, now=0.0)
    bucket.change(1, 2)
    assert [bucket.take(0.0) == 0 for _ in range(3)] == [True, True, False]


@given(
    rate=st.floats(0.01, 1000),
    burst=st.floats(1, 100),
    steps=st.lists(st.floats(-1, 5), min_size=1, max_size=200),
)
def test_never_more_than_the_burst_and_the_rate_together(
    rate: float, burst: float, steps: list[float]
) -> None:
    bucket = TokenBucket(rate, burst, 0.0)
    now = latest = 0.0
    taken = 0
    for step in steps:
        now += step
        latest = max(latest, now)
        taken += bucket.take(now) == 0
        assert taken <= burst + rate * latest + 1e-6


@given(rate=st.floats(0.01, 1000), at=st.floats(0, 1000))
def test_whoever_waits_as_long_as_is_said_gets_one(rate: float, at: float) -> None:
    bucket = TokenBucket(rate, 1, 0.0)
    assert bucket.take(at) == 0
    wait = bucket.take(at)
    assert wait > 0
    assert bucket.take(at + wait * (1 + 1e-6) + 1e-6) == 0
