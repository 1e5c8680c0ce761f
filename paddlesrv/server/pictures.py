"""`?draw=1`: a result painted on its picture, as PNG."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

import msgspec

from paddlesrv.errors import InvalidInput
from paddlesrv.tasks.base import Task, TaskInput


async def paint(
    pool: Executor, task: Task, items: Sequence[TaskInput], results: Sequence[msgspec.Struct]
) -> bytes:
    """The picture of the only input, with its result painted on it.

    Raises:
        InvalidInput: there are several inputs, or the task has nothing to paint.
    """
    if len(items) != 1:
        raise InvalidInput(f"draw takes one picture, got {len(items)}")
    if items[0].kind != "image":
        raise InvalidInput(f"task {task.name!r} has no picture to draw on")
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(pool, _paint, task, items[0], results[0])


def _paint(task: Task, item: TaskInput, result: msgspec.Struct) -> bytes:
    from paddlesrv.tasks.images import decode, encode_png

    assert isinstance(item.data, bytes)
    painted = task.draw(decode(item.data), result)
    if painted is None:
        raise InvalidInput(f"task {task.name!r} has nothing to draw")
    return encode_png(painted)
