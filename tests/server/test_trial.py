"""A candidate that is tried is really served: other processes, other batches, real answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

from paddlesrv.engines.base import EngineOptions
from paddlesrv.errors import PaddlesrvError
from paddlesrv.server.config import ModelConfig
from paddlesrv.server.deciding import decide
from paddlesrv.server.local_model import LocalModel
from paddlesrv.tuning.candidates import Candidate
from paddlesrv.tuning.trial import Load, Stand, as_candidate, percentile
from tests.server.harness import local_spec
from tests.standins import linear

ONE = Candidate(engine="onnxruntime", threads=1, max_batch_size=1)
FULL = Candidate(engine="onnxruntime", threads=1, instances=2, max_batch_size=8, max_delay_ms=1.0)


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Four callers of the linear model."""
    linear.write_onnx(tmp_path / "linear")
    model = LocalModel(local_spec(tmp_path / "linear", "linear"), tmp_path / "linear")
    planned = ((ModelConfig(name="linear", engine="onnxruntime"), model),)
    options = decide(planned, tmp_path, limit_seconds=0).options
    return Load(models=planned, options=options, target="linear", concurrency=4)


def on(load: Load, use: Callable[[Stand], Awaitable[None]]) -> None:
    async def main() -> None:
        stand = Stand(load, "linear", {})
        try:
            await use(stand)
        finally:
            await stand.close()

    before = {child.pid for child in psutil.Process().children(recursive=True)}
    asyncio.run(main())
    after = {child.pid for child in psutil.Process().children(recursive=True)}
    assert after <= before


def test_a_candidate_is_measured_as_its_callers_see_it(load: Load) -> None:
    async def use(stand: Stand) -> None:
        found = await stand.measure(FULL, 0.4)
        assert found.requests > 0
        assert found.rate == pytest.approx(found.requests / found.seconds)
        assert 0 < found.p50_ms <= found.p99_ms
        assert 1 <= found.average_batch <= 4  # there are four callers, with one row each

    on(load, use)


def test_batches_are_no_larger_than_the_candidate_says(load: Load) -> None:
    async def use(stand: Stand) -> None:
        assert (await stand.measure(FULL, 0.3)).average_batch > 1
        alone = replace(FULL, max_batch_size=1, max_delay_ms=0.0)
        assert (await stand.measure(alone, 0.3)).average_batch == 1

    on(load, use)


def test_processes_stay_for_another_batch_and_go_for_other_threads(load: Load) -> None:
    def workers() -> set[int]:
        return {child.pid for child in psutil.Process().children(recursive=True)}

    async def use(stand: Stand) -> None:
        await stand.load(FULL)
        first = workers()
        await stand.load(replace(FULL, max_batch_size=4))
        assert workers() == first
        await stand.load(ONE)
        assert not (workers() - first) or len(workers()) < len(first)
        assert workers() != first

    on(load, use)


def test_what_does_not_load_says_so_and_the_next_one_is_tried(load: Load) -> None:
    async def use(stand: Stand) -> None:
        with pytest.raises(PaddlesrvError):
            await stand.load(replace(ONE, engine="paddle"))
        assert (await stand.measure(ONE, 0.2)).requests > 0

    on(load, use)


def test_time_that_is_too_short_for_an_answer_waits_for_one(load: Load) -> None:
    async def use(stand: Stand) -> None:
        assert (await stand.measure(ONE, 0.0)).requests >= 1

    on(load, use)


def test_the_default_is_how_the_configuration_has_it_served(load: Load) -> None:
    ((config, model),) = load.models
    options = EngineOptions(engine="onnxruntime", threads=3)
    assert as_candidate(replace(config, instances=2, max_delay_ms=2.0), model, options) == (
        Candidate(
            engine="onnxruntime",
            threads=3,
            instances=2,
            max_batch_size=model.spec.max_batch_size,
            max_delay_ms=2.0,
        )
    )


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1.0), (50, 2.0), (51, 3.0), (99, 4.0), (100, 4.0)]
)
def test_a_percentile_is_one_of_the_values(percent: float, expected: float) -> None:
    assert percentile([3.0, 1.0, 4.0, 2.0], percent) == expected
