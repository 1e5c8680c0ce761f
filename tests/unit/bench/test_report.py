"""Percentiles, medians, arrivals, and what metrics say of batches."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.bench import batches, report
from paddlesrv.bench.load import Result, poisson

TIMES = st.lists(st.floats(0, 1e3), min_size=1).map(sorted)


@given(times=TIMES, share=st.floats(0.01, 1))
def test_a_percentile_is_the_least_value_that_the_share_does_not_exceed(times, share):
    found = report.percentile(times, share)
    assert found in times
    assert sum(t <= found for t in times) >= share * len(times) - 1e-9
    assert sum(t < found for t in times) < math.ceil(share * len(times))


def test_percentiles_of_a_hundred_values_are_these_values():
    times = [float(n) for n in range(1, 101)]
    assert [report.percentile(times, s) for s in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]


@given(rate=st.floats(1, 1000), seconds=st.floats(0.1, 5), seed=st.integers(0, 99))
def test_arrivals_rise_within_the_time_and_are_the_same_for_a_seed(rate, seconds, seed):
    due = poisson(rate, seconds, 0, seed)
    assert due == sorted(due)
    assert all(0 <= moment < seconds for moment in due)
    assert due == poisson(rate, seconds, 0, seed)
    assert poisson(rate, seconds, 3, seed) == due[:3]


def test_arrivals_are_as_many_as_the_rate_says_and_irregular():
    due = poisson(100, 100, 0, 7)
    assert len(due) == pytest.approx(10_000, rel=0.05)
    gaps = [b - a for a, b in pairwise(due)]
    mean = sum(gaps) / len(gaps)
    spread = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert spread == pytest.approx(mean, rel=0.1)  # as of exponentially distributed ones


def result(*times: float, **errors: int) -> Result:
    return Result(times=sorted(times), errors=errors, seconds=2.0)


def test_good_answers_alone_make_rate_and_percentiles():
    found = report.point("http", 4, None, result(0.001, 0.002, 0.004, refused=3), 1.5)
    assert (found.requests, found.rate, found.failed) == (6, 1.5, 3)
    assert (found.p50_ms, found.p99_ms, found.max_ms) == (2.0, 4.0, 4.0)


def test_nothing_answered_has_no_percentiles():
    found = report.point("http", 4, None, result(refused=3), None)
    assert (found.rate, found.p50_ms, found.batch) == (0, None, None)


def test_several_measurements_are_told_by_their_medians():
    points = [
        report.point("http", 1, None, result(*[t] * 4, late=1), b)
        for t, b in ((0.001, 1.0), (0.005, None), (0.002, 3.0))
    ]
    found = report.middle(points)
    assert (found.p50_ms, found.batch, found.requests) == (2.0, 2.0, 15)
    assert found.errors == {"late": 3}


OURS = """\
paddlesrv_batch_rows_bucket{model="a",le="1.0"} 3.0
paddlesrv_batch_rows_sum{model="a"} 40.0
paddlesrv_batch_rows_count{model="a"} 10.0
paddlesrv_batch_rows_sum{model="b"} 5.0
paddlesrv_batch_rows_count{model="b"} 5.0
"""
TRITON = """\
nv_inference_count{model="a",version="1"} 90
nv_inference_exec_count{model="a",version="1"} 30
"""


@pytest.mark.parametrize(
    ("text", "model", "found"),
    [(OURS, "a", (40, 10)), (OURS, "whole", (45, 15)), (TRITON, "a", (90, 30)), ("", "a", None)],
)
def test_metrics_tell_rows_and_runs(text, model, found):
    assert batches.parse(text, model) == found


def test_the_mean_batch_is_of_what_ran_between():
    before, after = batches.Batches(10, 10), batches.Batches(50, 20)
    assert batches.mean(before, after) == 4
    assert batches.mean(None, after) == 2.5
    assert batches.mean(after, after) is None
