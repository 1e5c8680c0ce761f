"""What the service promises of batches, failures, limits and dying workers."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from paddlesrv.errors import (
    DeadlineExceeded,
    EngineError,
    IntegrityError,
    InvalidInput,
    NotFound,
    Overloaded,
    PayloadTooLarge,
    Unavailable,
)
from paddlesrv.models.tensor import Tensor
from paddlesrv.server.config import own_cores
from paddlesrv.server.request import InferRequest, Timing
from paddlesrv.server.scheduler import Limits
from paddlesrv.server.service import Service
from tests.server.harness import LIMITS, local_spec, serving, setup
from tests.standins import linear, nets


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("nets")
    linear.write_onnx(root / "linear")
    nets.write_lookup(root / "lookup")
    nets.write_slow(root / "slow")
    nets.write_summary(root / "summary")
    return root


def rows(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 13)).astype(np.float32)


async def infer(service: Service, model: str, timeout: float | None = None, **arrays: object):
    tensors = {name: Tensor(np.asarray(array)) for name, array in arrays.items()}
    response = await service.infer(InferRequest(model=model, inputs=tensors, timeout=timeout))
    return {name: tensor.data for name, tensor in response.outputs.items()}


def test_answers_what_the_network_answers(directory: Path) -> None:
    async def main() -> None:
        root = directory / "linear"
        async with serving(setup(local_spec(root, "linear"), root)) as service:
            x = rows(3)
            outputs = await infer(service, "linear", x=x)
            np.testing.assert_allclose(outputs["y"], linear.expected(x), rtol=1e-5)

    asyncio.run(main())


def test_everyone_gets_their_own_answer_whatever_they_were_batched_with(directory: Path) -> None:
    async def main() -> None:
        root = directory / "linear"
        async with serving(setup(local_spec(root, "linear"), root, instances=2)) as service:
            inputs = [rows(1 + i % 3, seed=i) for i in range(150)]
            answers = await asyncio.gather(*(infer(service, "linear", x=x) for x in inputs))
            for x, answer in zip(inputs, answers, strict=True):
                np.testing.assert_allclose(answer["y"], linear.expected(x), rtol=1e-4, atol=1e-5)
            batches = service.metrics.batch_rows.labels("linear")
            assert batches.sum == sum(len(x) for x in inputs)
            count = sum(batches.counts)
            assert count < len(inputs), "nothing was merged"

    asyncio.run(main())


@pytest.mark.parametrize("pin", [False, True])
def test_pinned_instances_keep_to_their_cores_and_others_to_none(directory: Path, pin) -> None:
    mine = os.sched_getaffinity(0)

    async def main() -> None:
        root = directory / "linear"
        how = setup(local_spec(root, "linear"), root, instances=2, pin=pin)
        async with serving(how) as service:
            scheduler = service.models["linear"].scheduler
            found = [os.sched_getaffinity(worker.pid) for worker in scheduler.workers]
            assert len(found) == 2
            if pin:
                assert found == [set(own_cores(0, 2)), set(own_cores(1, 2))]
            else:
                assert found == [mine, mine]
            x = rows(3)
            answer = await infer(service, "linear", x=x)
            np.testing.assert_allclose(answer["y"], linear.expected(x), rtol=1e-5)

    asyncio.run(main())


def test_requests_of_different_shapes_are_never_merged(directory: Path) -> None:
    async def main() -> None:
        root = directory / "lookup"
        async with serving(setup(local_spec(root, "lookup"), root)) as service:
            inputs = [np.full((1, 1 + i % 4), i % 10) for i in range(60)]
            answers = await asyncio.gather(*(infer(service, "lookup", ids=x) for x in inputs))
            for x, answer in zip(inputs, answers, strict=True):
                np.testing.assert_array_equal(answer["y"], nets.TABLE[x])

    asyncio.run(main())


def test_a_request_larger_than_a_batch_is_cut_and_rejoined(directory: Path) -> None:
    async def main() -> None:
        root = directory / "linear"
        async with serving(setup(local_spec(root, "linear"), root)) as service:
            x = rows(8 * 5 + 3)
            outputs = await infer(service, "linear", x=x)
            np.testing.assert_allclose(outputs["y"], linear.expected(x), rtol=1e-4, atol=1e-5)

    asyncio.run(main())


def test_a_request_larger_than_the_queue_is_too_large_and_not_too_early(directory: Path) -> None:
    async def main() -> None:
        root = directory / "linear"
        async with serving(setup(local_spec(root, "linear"), root)) as service:
            with pytest.raises(PayloadTooLarge, match=r"1025 rows in one request.* holds 1024"):
                await infer(service, "linear", x=rows(LIMITS.max_queue + 1))

    asyncio.run(main())


def test_a_bad_request_in_a_batch_hurts_only_itself(directory: Path) -> None:
    async def main() -> None:
        root = directory / "lookup"
        async with serving(setup(local_spec(root, "lookup"), root)) as service:
            good = [np.array([[i]]) for i in range(7)]
            bad = np.array([[nets.VOCABULARY + 1]])
            calls = [infer(service, "lookup", ids=x) for x in [*good[:3], bad, *good[3:]]]
            answers = await asyncio.gather(*calls, return_exceptions=True)
            failure = answers.pop(3)
            assert isinstance(failure, EngineError)
            for x, answer in zip(good, answers, strict=True):
                np.testing.assert_array_equal(answer["y"], nets.TABLE[x])
            assert service.ready

    asyncio.run(main())


def test_a_network_whose_outputs_do_not_divide_is_run_one_request_at_a_time(
    directory: Path,
) -> None:
    async def main() -> None:
        root = directory / "summary"
        async with serving(setup(local_spec(root, "summary"), root)) as service:
            inputs = [np.full((2, 4), i, np.float32) for i in range(12)]
            answers = await asyncio.gather(*(infer(service, "summary", x=x) for x in inputs))
            for x, answer in zip(inputs, answers, strict=True):
                np.testing.assert_array_equal(answer["y"], x[:1])

    asyncio.run(main())


def test_a_full_queue_refuses_at_once_and_recovers(directory: Path) -> None:
    async def main() -> None:
        root = directory / "slow"
        limits = Limits(max_batch_size=1, max_delay=0.0, max_queue=3, timeout=20.0)
        spec = local_spec(root, "slow")
        async with serving(setup(spec, root, limits=limits)) as service:
            x = np.ones((1, 4), np.float32)
            calls = [asyncio.ensure_future(infer(service, "slow", x=x)) for _ in range(20)]
            answers = await asyncio.gather(*calls, return_exceptions=True)
            refused = [a for a in answers if isinstance(a, Overloaded)]
            assert refused, "20 requests fitted a queue of 3"
            assert all(r.retry_after for r in refused)
            assert len(refused) + sum(isinstance(a, dict) for a in answers) == 20
            np.testing.assert_array_equal((await infer(service, "slow", x=x))["y"], x)

    asyncio.run(main())


def test_a_deadline_ends_a_request_and_what_still_queued_is_not_computed(directory: Path) -> None:
    async def main() -> None:
        root = directory / "slow"
        limits = Limits(max_batch_size=1, max_delay=0.0, max_queue=99, timeout=20.0)
        async with serving(setup(local_spec(root, "slow"), root, limits=limits)) as service:
            x = np.ones((1, 4), np.float32)
            patient = asyncio.ensure_future(infer(service, "slow", x=x))
            hasty = [
                asyncio.ensure_future(infer(service, "slow", timeout=1e-4, x=x)) for _ in range(10)
            ]
            answers = await asyncio.gather(*hasty, return_exceptions=True)
            assert all(isinstance(a, DeadlineExceeded) for a in answers)
            await patient
            await infer(service, "slow", x=x)
            scheduler = service.models["slow"].scheduler
            assert scheduler is not None
            assert scheduler.queue.rows == 0
            assert scheduler.in_flight == 0
            assert service.metrics.batch_rows.labels("slow").sum <= 4

    asyncio.run(main())


def test_a_cancelled_request_leaves_the_queue(directory: Path) -> None:
    async def main() -> None:
        root = directory / "slow"
        limits = Limits(max_batch_size=1, max_delay=0.0, max_queue=99, timeout=20.0)
        async with serving(setup(local_spec(root, "slow"), root, limits=limits)) as service:
            x = np.ones((1, 4), np.float32)
            calls = [asyncio.ensure_future(infer(service, "slow", x=x)) for _ in range(10)]
            await asyncio.sleep(0)
            for call in calls[1:]:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            scheduler = service.models["slow"].scheduler
            assert scheduler is not None
            assert scheduler.queue.rows == 0
            assert scheduler.in_flight == 0
            await infer(service, "slow", x=x)
            assert service.metrics.batch_rows.labels("slow").sum <= 4

    asyncio.run(main())


def test_max_delay_waits_for_company_but_never_longer(directory: Path) -> None:
    async def main() -> None:
        root = directory / "linear"
        limits = Limits(max_batch_size=4, max_delay=0.2, max_queue=99, timeout=20.0)
        async with serving(setup(local_spec(root, "linear"), root, limits=limits)) as service:
            started = time.monotonic()
            full = [infer(service, "linear", x=rows(1, i)) for i in range(4)]
            await asyncio.gather(*full)
            assert service.metrics.batch_rows.labels("linear").sum == 4
            between = time.monotonic()
            await infer(service, "linear", x=rows(1))
            alone = time.monotonic() - between
            assert alone >= 0.2, "a lone request did not wait for company"
            assert between - started < alone + 5, "a full batch waited"

    asyncio.run(main())


def test_a_killed_worker_loses_no_request(directory: Path) -> None:
    async def main() -> None:
        root = directory / "linear"
        async with serving(setup(local_spec(root, "linear"), root)) as service:
            scheduler = service.models["linear"].scheduler
            assert scheduler is not None
            worker = scheduler.workers[0]

            async def client(number: int) -> int:
                answered = 0
                for i in range(40):
                    x = rows(1, seed=number * 100 + i)
                    try:
                        answer = await infer(service, "linear", x=x)
                    except Unavailable:
                        await _until(lambda: service.ready)
                        continue
                    np.testing.assert_allclose(
                        answer["y"], linear.expected(x), rtol=1e-4, atol=1e-5
                    )
                    answered += 1
                return answered

            clients = [asyncio.ensure_future(client(n)) for n in range(8)]
            await _until(lambda: scheduler.in_flight > 0)
            os.kill(worker.pid, signal.SIGKILL)
            answered = sum(await asyncio.gather(*clients))
            assert answered > 0
            await _until(lambda: service.ready)
            assert worker.restarts == 1
            assert scheduler.in_flight == 0

    asyncio.run(main())


def test_a_dead_fork_server_is_replaced_and_its_workers_with_it(directory: Path) -> None:
    async def main() -> None:
        root = directory / "linear"
        async with serving(setup(local_spec(root, "linear"), root)) as service:
            fork_server = next(iter(service._fork_servers.values()))
            process = fork_server._process
            assert process is not None
            process.kill()
            await _until(lambda: not service.ready)
            await _until(lambda: service.ready)
            x = rows(2)
            answer = await infer(service, "linear", x=x)
            np.testing.assert_allclose(answer["y"], linear.expected(x), rtol=1e-5)

    asyncio.run(main())


def test_a_worker_that_hangs_is_killed_and_started_again(directory: Path) -> None:
    async def main() -> None:
        root = directory / "linear"
        limits = Limits(max_batch_size=8, max_delay=0.0, max_queue=99, timeout=0.5)
        async with serving(setup(local_spec(root, "linear"), root, limits=limits)) as service:
            scheduler = service.models["linear"].scheduler
            assert scheduler is not None
            worker = scheduler.workers[0]
            os.kill(worker.pid, signal.SIGSTOP)
            with pytest.raises(DeadlineExceeded):
                await infer(service, "linear", x=rows(1))
            await _until(lambda: worker.restarts == 1 and service.ready)
            x = rows(2)
            answer = await infer(service, "linear", x=x)
            np.testing.assert_allclose(answer["y"], linear.expected(x), rtol=1e-5)

    asyncio.run(main())


def test_what_cannot_be_loaded_says_why(directory: Path, tmp_path: Path) -> None:
    root = directory / "linear"
    (tmp_path / "model.onnx").write_bytes(b"not a network")

    async def main() -> None:
        spec = local_spec(root, "linear")
        with pytest.raises(IntegrityError, match=r"model\.onnx is damaged"):
            async with serving(setup(spec, tmp_path)):
                pass

    asyncio.run(main())


def test_draining_answers_what_was_accepted_and_refuses_the_rest(directory: Path) -> None:
    async def main() -> None:
        root = directory / "slow"
        async with serving(setup(local_spec(root, "slow"), root)) as service:
            x = np.ones((1, 4), np.float32)
            accepted = [asyncio.ensure_future(infer(service, "slow", x=x)) for _ in range(6)]
            await asyncio.sleep(0)
            draining = asyncio.ensure_future(service.drain(20))
            await asyncio.sleep(0)
            assert not service.ready
            with pytest.raises(Unavailable):
                await infer(service, "slow", x=x)
            assert await draining
            for answer in await asyncio.gather(*accepted):
                np.testing.assert_array_equal(answer["y"], x)

    asyncio.run(main())


def test_refuses_what_is_not_there(directory: Path) -> None:
    async def main() -> None:
        root = directory / "linear"
        async with serving(setup(local_spec(root, "linear"), root, limits=LIMITS)) as service:
            with pytest.raises(NotFound) as refused:
                await infer(service, "linaer", x=rows(1))
            assert "linear" in refused.value.hints[0]
            with pytest.raises(InvalidInput, match="no output 'z'"):
                await service.infer(
                    InferRequest(model="linear", inputs={"x": Tensor(rows(1))}, outputs=("z",))
                )
            with pytest.raises(NotFound, match="no version"):
                await service.infer(
                    InferRequest(model="linear", inputs={"x": Tensor(rows(1))}, version="7")
                )

    asyncio.run(main())


def test_time_is_accounted_for(directory: Path) -> None:
    async def main() -> None:
        root = directory / "slow"
        async with serving(setup(local_spec(root, "slow"), root)) as service:
            timing = Timing()
            scheduler = service.models["slow"].scheduler
            assert scheduler is not None
            inputs = {"x": Tensor(np.ones((1, 4), np.float32))}
            await scheduler.submit(inputs, 1, time.monotonic() + 20, timing)
            assert timing.compute > 0
            assert timing.queue >= 0

    asyncio.run(main())


async def _until(condition) -> None:
    """Wait for something that other processes bring about."""
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")
