"""Successive halving: never beyond its budget, and without noise the best is left."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.tuning.halving import KEPT, Halving, rungs

SCORES = st.lists(st.floats(0.1, 100), min_size=1, max_size=60)


def searched(scores: list[float], budget: float, **options: float) -> tuple[Halving[int], float]:
    """A search in which every candidate takes exactly what it is allotted: it, and the seconds."""
    halving = Halving(range(len(scores)), budget, weight=lambda member: member, **options)
    spent = 0.0
    while (rung := halving.rung()) is not None:
        spent += rung.seconds * len(rung.members)
        halving.take({member: scores[member] for member in rung.members})
    return halving, spent


@given(SCORES, st.floats(0.5, 1000))
def test_without_noise_the_best_is_left_within_the_budget(scores, budget):
    halving, spent = searched(scores, budget)
    assert halving.best == scores.index(max(scores))
    assert spent <= budget * (1 + 1e-9)
    assert halving.left_out == ()


@given(SCORES, st.floats(0.5, 20), st.floats(0.05, 5))
def test_nobody_is_measured_for_less_than_says_anything(scores, budget, least):
    halving = Halving(range(len(scores)), budget, weight=lambda member: member, least=least)
    first = halving.rung()
    assert first is not None
    assert len(first.members) + len(halving.left_out) == len(scores)
    assert first.members == tuple(range(len(first.members)))  # the last ones are left out
    assert len(first.members) == 1 or first.seconds >= least * (1 - 1e-9)


@given(SCORES, st.data())
def test_who_fails_is_never_left(scores, data):
    failed = data.draw(st.sets(st.sampled_from(range(len(scores)))))
    halving = Halving(range(len(scores)), 10, weight=lambda member: member)
    while (rung := halving.rung()) is not None:
        told = {m: None if m in failed else scores[m] for m in rung.members}
        halving.take(told)
    alive = [member for member in range(len(scores)) if member not in failed]
    if alive:
        assert halving.best not in failed
    else:
        assert halving.best is None


def test_between_equals_the_simpler_is_taken():
    halving = Halving("abc", 10, weight={"a": 3, "b": 1, "c": 2}.get, tie=0.05)
    assert halving.rung() is not None
    halving.take({"a": 1.04, "b": 1.0, "c": 0.5})
    assert halving.best == "b"


def test_what_is_not_used_is_for_those_that_are_left():
    halving = Halving(range(9), 90, weight=lambda member: member)
    first = halving.rung()
    halving.take(dict.fromkeys(first.members, 1.0), spent=0.0)
    second = halving.rung()
    assert len(second.members) == 9 // KEPT
    assert second.seconds * len(second.members) == pytest.approx(90)


def test_a_third_goes_on():
    assert [rungs(count) for count in (1, 3, 4, 9, 10, 27, 28)] == [1, 1, 2, 2, 3, 3, 4]


@pytest.mark.parametrize(("members", "budget"), [((), 10), ((1,), 0), ((1,), -1)])
def test_nothing_to_search_or_no_time_is_refused(members, budget):
    with pytest.raises(ValueError, match="candidates and a budget"):
        Halving(members, budget, weight=lambda member: member)


def test_a_score_that_is_no_number_is_a_failure():
    halving = Halving("ab", 10, weight=str)
    halving.rung()
    halving.take({"a": math.nan, "b": 0.1})
    assert halving.best == "b"
