"""Successive halving: never more time than there is, and the best one wins."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.tuning.halving import Halving, Rung, rungs

SCORES = st.lists(st.floats(-1e6, 1e6, allow_nan=False) | st.none(), min_size=1, max_size=60).map(
    lambda scores: dict(enumerate(scores))
)


def halving(count: int, budget: float = 100.0, **more: float) -> Halving[int]:
    """Candidates that are numbers, the smaller the simpler."""
    return Halving(range(count), budget, weight=lambda number: number, **more)


def search(found: Halving[int], scores: dict[int, float | None]) -> list[Rung[int]]:
    """Ask and answer until it is decided; what was asked."""
    asked = []
    while (rung := found.rung()) is not None:
        asked.append(rung)
        found.take({member: scores[member] for member in rung.members})
    return asked


@given(SCORES)
def test_the_best_wins_where_nothing_is_noisy(scores: dict[int, float | None]) -> None:
    found = halving(len(scores))
    search(found, scores)
    valid = {member: score for member, score in scores.items() if score is not None}
    if not valid:
        assert found.best is None
    else:
        assert found.best is not None
        assert scores[found.best] == max(valid.values())


@given(SCORES, st.floats(0.01, 1e4), st.data())
def test_what_is_handed_out_is_never_more_than_what_is_left(
    scores: dict[int, float | None], budget: float, data: st.DataObject
) -> None:
    found = halving(len(scores), budget)
    spent = 0.0
    while (rung := found.rung()) is not None:
        allotted = rung.seconds * len(rung.members)
        assert allotted > 0
        assert spent + allotted <= budget * (1 + 1e-9)
        took = allotted * data.draw(st.floats(0, 1))
        spent += took
        found.take({member: scores[member] for member in rung.members}, spent=took)


@given(SCORES, st.floats(1, 100), st.floats(0.01, 10))
def test_a_measurement_is_never_shorter_than_it_must_be_to_say_anything(
    scores: dict[int, float | None], budget: float, least: float
) -> None:
    found = halving(len(scores), budget, least=least)
    assert found.left_out == tuple(range(len(scores)))[len(scores) - len(found.left_out) :]
    asked = search(found, scores)
    if len(asked[0].members) > 1:
        assert all(rung.seconds >= least * (1 - 1e-9) for rung in asked)


@given(SCORES)
def test_rounds_grow_longer_and_fewer_go_on(scores: dict[int, float | None]) -> None:
    asked = search(halving(len(scores)), scores)
    for before, after in pairwise(asked):
        assert set(after.members) < set(before.members)
        assert len(after.members) <= math.ceil(len(before.members) / 3)
        assert after.seconds >= before.seconds * (1 - 1e-9)
    assert len(asked) <= rungs(len(scores))


def test_of_equals_the_simpler_one_wins() -> None:
    found = halving(3, tie=0.02)
    search(found, {0: 0.985, 1: 0.99, 2: 1.0})
    assert found.best == 0
    found = halving(3, tie=0.02)
    search(found, {0: 0.97, 1: 0.99, 2: 1.0})
    assert found.best == 1


def test_who_has_no_score_is_dropped() -> None:
    found = halving(2)
    rung = found.rung()
    assert rung is not None
    found.take({0: None})
    assert (found.best, found.rung()) == (None, None)
    found = halving(3)
    search(found, {0: math.nan, 1: math.inf, 2: -5.0})
    assert found.best == 2


def test_time_that_was_not_used_is_for_the_next_ones_and_none_left_ends_it() -> None:
    thrifty, wasteful = halving(9), halving(9)
    scores = {number: float(number) for number in range(9)}
    for found, spent in ((thrifty, 10.0), (wasteful, 101.0)):
        first = found.rung()
        assert first is not None
        found.take(scores, spent=spent)
    second = thrifty.rung()
    assert second is not None
    assert second.seconds * len(second.members) == pytest.approx(90.0)
    assert wasteful.rung() is None
    assert wasteful.best == 8


@pytest.mark.parametrize(("count", "budget"), [(0, 1.0), (1, 0.0), (1, -1.0)])
def test_nothing_to_search_is_refused(count: int, budget: float) -> None:
    with pytest.raises(ValueError, match="candidates and a budget"):
        halving(count, budget)
