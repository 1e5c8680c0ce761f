"""Several pieces of one request at a time: bounded, and none left behind when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def gather(work: Iterable[Coroutine[Any, Any, T]], at_once: int) -> list[T]:
    """The results in order; if one fails or the caller is cancelled, the rest is cancelled too.

    Args:
        work: Coroutines.
        at_once: How many may be under way.

    Raises:
        Exception: what the first one that failed raised.
    """
    slots = asyncio.Semaphore(at_once)

    async def one(coroutine: Coroutine[Any, Any, T]) -> T:
        try:
            async with slots:
                return await coroutine
        finally:
            coroutine.close()  # without effect unless it was never begun

    tasks = [asyncio.ensure_future(one(coroutine)) for coroutine in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
