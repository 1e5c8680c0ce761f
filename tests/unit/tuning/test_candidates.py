"""What is worth a try: nothing that only costs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.tuning.candidates import (
    BATCHES,
    Candidate,
    Objective,
    Way,
    candidates,
    delayed,
)

PADDLE, ORT = Way("paddle", "onednn"), Way("onnxruntime")
DEFAULT = Candidate(engine="paddle", threads=4, max_batch_size=32)
OBJECTIVES = st.sampled_from(("latency", "throughput"))


def made(
    objective: Objective = "throughput",
    cores: int = 4,
    max_rows: int = 32,
    concurrency: int = 16,
    ways: tuple[Way, ...] = (PADDLE, ORT),
) -> tuple[Candidate, ...]:
    return candidates(
        ways,
        DEFAULT,
        objective=objective,
        cores=cores,
        max_rows=max_rows,
        concurrency=concurrency,
    )


@given(OBJECTIVES, st.integers(1, 256), st.integers(1, 512), st.integers(1, 512))
def test_nothing_is_tried_that_only_costs(
    objective: Objective, cores: int, max_rows: int, concurrency: int
) -> None:
    first, *others = made(objective, cores, max_rows, concurrency)
    assert first == DEFAULT
    assert others
    assert len(set(others)) == len(others)
    for each in others:
        assert 1 <= each.threads * each.instances <= cores
        assert each.instances <= concurrency
        assert each.max_batch_size == 1 or each.max_batch_size <= min(max_rows, concurrency)
        assert each.max_delay_ms == 0
        if objective == "throughput" and concurrency >= cores:
            assert 2 * each.threads * each.instances >= cores


@given(st.integers(1, 256), st.integers(1, 64))
def test_all_cores_in_one_process_and_a_process_for_each_core_are_tried(
    cores: int, concurrency: int
) -> None:
    pairs = {(c.threads, c.instances) for c in made("latency", cores, 1, concurrency)[1:]}
    assert (cores, 1) in pairs
    assert (1, 1) in pairs
    assert ((1, cores) in pairs) is (cores <= concurrency)


def test_every_way_is_tried_with_every_deployment_and_batch() -> None:
    found = made()
    kinds = {(c.threads, c.instances, c.max_batch_size) for c in found[1:]}
    assert len(found) == 1 + 2 * len(kinds)
    assert {size for *_, size in kinds} == {size for size in BATCHES if size <= 16}


def test_what_is_likely_to_be_good_comes_first() -> None:
    found = made()[1:]
    assert {c.max_batch_size for c in found[:4]} == {8}
    assert found[0].threads * found[0].instances == 4


def test_one_caller_needs_neither_batches_nor_several_processes() -> None:
    assert {(c.max_batch_size, c.instances) for c in made("latency", concurrency=1)[1:]} == {(1, 1)}


@pytest.mark.parametrize(
    ("best", "concurrency", "sure"),
    [
        (Candidate(engine="paddle", threads=1, max_batch_size=1), 16, False),
        (Candidate(engine="paddle", threads=1, instances=4, max_batch_size=8), 4, False),
        (Candidate(engine="paddle", threads=1, instances=2, max_batch_size=8), 4, True),
    ],
)
def test_a_batch_waits_only_where_it_could_grow(
    best: Candidate, concurrency: int, sure: bool
) -> None:
    found = delayed(best, concurrency)
    assert bool(found) is sure
    assert all(c.deployment == best.deployment and c.max_delay_ms > 0 for c in found)


def test_a_candidate_says_itself_in_words() -> None:
    whole = Candidate(
        engine="onnxruntime", precision="int8", threads=1, instances=2, max_batch_size=8,
        max_delay_ms=2.5,
    )  # fmt: skip
    assert str(whole) == "onnxruntime int8, 1 thread, 2 instances, batch 8, delay 2.5 ms"
    assert str(DEFAULT) == "paddle, 4 threads, 1 instance, batch 32"
