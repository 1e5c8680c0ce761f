"""Pieces of one request: bounded, in order, none left behind."""

from __future__ import annotations

import asyncio

import pytest

from paddlesrv.tasks.concurrency import gather


def test_results_come_in_order_and_no_more_run_than_asked() -> None:
    running = most = 0

    async def work(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5 - number % 5):
            await asyncio.sleep(0)
        running -= 1
        return number

    results = asyncio.run(gather((work(number) for number in range(20)), at_once=3))
    assert results == list(range(20))
    assert most == 3


def test_when_one_fails_the_others_are_cancelled_before_the_error_is_raised() -> None:
    begun: list[int] = []
    cancelled: list[int] = []

    async def fail() -> None:
        raise ValueError("this one")

    async def wait(number: int) -> None:
        begun.append(number)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(number)
            raise

    async def main() -> None:
        with pytest.raises(ValueError, match="this one"):
            await gather([wait(0), wait(1), fail(), wait(3), wait(4)], at_once=3)
        assert sorted(cancelled) == sorted(begun)
        assert 0 in begun
        assert 4 not in begun
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_nothing_gives_nothing() -> None:
    assert asyncio.run(gather([], at_once=2)) == []
