"""The search, on a machine in virtual time: the winner is found, and noise is no winner."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddlesrv.errors import EngineError, PaddlesrvError
from paddlesrv.tuning.candidates import Candidate, Way, candidates
from paddlesrv.tuning.measured import Wishes
from paddlesrv.tuning.search import LEAST_SECONDS, Found, Search
from tests.unit.tuning.bench import LOAD_SECONDS, Seen, World

DEFAULT = Candidate(engine="paddle", threads=4, max_batch_size=32)
MANY = candidates(
    (Way("paddle"), Way("onnxruntime")),
    DEFAULT,
    objective="throughput",
    cores=4,
    max_rows=32,
    concurrency=16,
)
BEST = Candidate(engine="onnxruntime", threads=1, instances=4, max_batch_size=16)


def rate(each: Candidate) -> float:
    """One candidate is the best by far; the default is as good as most."""
    return 250.0 if each.deployment == BEST.deployment and each.max_batch_size == 16 else 100.0


def search(
    world: World,
    budget: float = 120.0,
    *,
    tried: tuple[Candidate, ...] = MANY,
    seen: Seen | None = None,
    **wishes: Any,
) -> Found:
    wanted = Wishes(concurrency=16, **wishes)
    whole = Search(tried, wanted, budget, world.bench, seen or Seen(), world.clock)
    found = asyncio.run(whole.run())
    assert world.open == 0
    return found


@pytest.mark.parametrize("objective", ["throughput", "latency"])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_the_best_is_found(objective: str, noise: float) -> None:
    found = search(World(rate, noise=noise), objective=objective)
    assert found.best is not None
    assert (found.best.deployment, found.best.max_batch_size) == (BEST.deployment, 16)
    assert found.gain == pytest.approx(2.5, rel=0.15)
    assert found.table[0].candidate == found.best
    assert f"{found.gain:.2f} times" in found.why


@given(st.integers(0, len(MANY) - 1), st.sampled_from(["latency", "throughput"]))
@settings(deadline=None)
def test_whoever_is_the_fastest_wins_where_nothing_is_noisy(winner: int, objective: str) -> None:
    found = search(
        World(lambda each: 150.0 if each == MANY[winner] else 100.0),
        budget=300.0,
        objective=objective,
    )
    assert found.left_out == 0
    assert found.best == MANY[winner]
    if winner:
        assert found.gain == pytest.approx(1.5)


def test_a_machine_that_grows_slower_meanwhile_deceives_nobody() -> None:
    found = search(World(rate, drift=0.02))
    assert found.best is not None
    assert found.best.deployment == BEST.deployment
    assert found.gain == pytest.approx(2.5, rel=0.1)


@pytest.mark.parametrize("seed", range(12))
def test_noise_is_no_winner(seed: int) -> None:
    world = World(lambda each: 100.0, noise=0.03)
    world.random.seed(seed)
    found = search(world)
    assert (found.best, found.gain) == (DEFAULT, 1.0)
    assert found.default == DEFAULT


def test_who_is_better_by_less_than_the_least_gain_is_not_taken() -> None:
    found = search(World(lambda each: 100.0 if each == DEFAULT else 104.0))
    assert found.best == DEFAULT
    assert "no more than noise (5%)" in found.why


@given(st.floats(15, 600), st.floats(1, 400))
@settings(max_examples=40, deadline=None)
def test_the_budget_is_kept(budget: float, speed: float) -> None:
    world = World(lambda each: speed * (2 if each.engine == "onnxruntime" else 1))
    seen = Seen()
    found = search(world, budget, seen=seen)
    # Who is being measured when time is up is measured to the end, for no less than says anything,
    # and a duel has two rounds.
    assert world.now <= budget * 1.15 + 5 + 6 * max(LEAST_SECONDS, 3 / speed)
    assert found.seconds == pytest.approx(world.now - LOAD_SECONDS)
    assert list(seen.shares) == sorted(seen.shares)
    assert all(0 <= share <= 1 for share in seen.shares)


def test_with_little_time_the_most_promising_are_tried_and_the_others_counted() -> None:
    found = search(World(rate), budget=15)
    assert found.left_out > 0
    assert len(found.table) + found.left_out >= len(MANY)


def test_too_little_time_for_anything_is_refused_with_what_would_do() -> None:
    slow = World(lambda each: 0.5)
    with pytest.raises(PaddlesrvError, match="2 s are too few: one answer takes 2 s") as caught:
        search(slow, budget=2)
    enough = int(caught.value.hints[0].removeprefix("give it more: --budget "))
    assert search(World(lambda each: 0.5), budget=enough).best == DEFAULT


def test_time_that_is_too_short_for_several_networks_is_told_for_all_of_them() -> None:
    world = World(lambda each: 0.5)
    whole = Search(MANY, Wishes(), 2.0, world.bench, Seen(), world.clock, networks=3)
    with pytest.raises(PaddlesrvError, match="2 s for each of its networks") as caught:
        asyncio.run(whole.run())
    assert int(caught.value.hints[0].removeprefix("give it more: --budget ")) > 3 * 20 * 3


def test_candidates_that_do_not_load_or_die_are_dropped_and_told() -> None:
    world = World(
        rate,
        broken=lambda each: each.engine == "onnxruntime" and each.instances == 4,
        dies=lambda each: each.engine == "onnxruntime" and each.instances == 2,
    )
    found = search(world)
    assert found.best == DEFAULT
    refused = {row.candidate: row.refused for row in found.table if row.refused}
    assert {why for why in refused.values()} == {"it does not load", "it died"}
    assert all(each.engine == "onnxruntime" for each in refused)


def test_who_wins_and_fails_in_the_end_is_not_taken() -> None:
    world = World(rate)
    world.dies = lambda each: each.deployment == BEST.deployment and world.now > 60
    found = search(world)
    assert found.best is not None
    assert found.best.deployment != BEST.deployment


def test_where_all_others_fail_the_default_stays() -> None:
    found = search(World(lambda each: 200.0, dies=lambda each: each != DEFAULT))
    assert found.best == DEFAULT


def test_a_default_that_does_not_answer_is_an_error() -> None:
    world = World(rate, broken=lambda each: each == DEFAULT)
    with pytest.raises(EngineError, match="does not load"):
        search(world)
    assert world.open == 0


def test_what_is_faster_but_answers_too_late_does_not_win() -> None:
    def late(each: Candidate) -> float:
        return 90.0 if each.max_batch_size > 8 else 20.0

    def faster(each: Candidate) -> float:
        return 100.0 + 10 * each.max_batch_size + (each != DEFAULT)

    tried = (Candidate(engine="paddle", threads=4, max_batch_size=1), *MANY[1:])
    found = search(World(faster, p99_ms=late), tried=tried, limit_ms=50)
    assert found.best is not None
    assert found.best.max_batch_size == 8
    assert {row.refused for row in found.table if row.refused} == {"p99 90.0 ms, above 50"}


def test_a_default_that_answers_too_late_is_replaced_by_whoever_does_not() -> None:
    found = search(
        World(lambda each: each.max_batch_size, p99_ms=lambda each: 4.0 * each.max_batch_size),
        limit_ms=40,
        budget=300,
    )
    assert found.best is not None
    assert found.best.max_batch_size == 8
    assert found.gain < 1
    assert "which what is served now does not" in found.why


def test_where_everything_answers_too_late_there_is_no_winner() -> None:
    found = search(World(rate, p99_ms=lambda each: 90.0), limit_ms=50)
    assert found.best is None
    assert found.why == "nothing answers within 50 ms at the 99th percentile"


def test_a_delay_is_taken_where_it_gains() -> None:
    world = World(lambda each: rate(each) * (1.5 if each.max_delay_ms == 2 else 1))
    found = search(world, budget=300)
    assert found.best is not None
    assert (found.best.deployment, found.best.max_delay_ms) == (BEST.deployment, 2.0)
    for_latency = search(world, budget=300, objective="latency")
    assert for_latency.best is not None
    assert for_latency.best.max_delay_ms == 0


def test_every_row_is_told_and_stands_in_the_table_once() -> None:
    seen = Seen()
    found = search(World(rate), seen=seen)
    told = [row.candidate for row in found.table]
    assert len(set(told)) == len(told)
    assert set(told) == {row.candidate for row in seen.rows}
    assert seen.steps[0] == ("what is served now", 0.0)
    assert seen.steps[-1][0].endswith("against what is served now")
