"""Several calls that answer one request: all of them, or the first that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Sequence
from typing import Any, TypeVar

from paddlesrv.errors import PaddlesrvError

T = TypeVar("T")


async def together(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all; when one fails, cancel the others, so that nothing runs for nobody."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def numbered(call: Awaitable[T], index: int) -> T:
    """An error that says which of several inputs it is about."""
    try:
        return await call
    except PaddlesrvError as error:
        error.context.setdefault("input", f"number {index}, counted from 0")
        raise
