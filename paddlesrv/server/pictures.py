"""Answers that are pictures, as PNG: `?draw=1`, a result painted on its picture; `?map=1`, classes.

A class map is a PNG with a palette: the value of a pixel is the number of its class, its colour
the class's in `tasks.palette`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Literal

import msgspec

from paddlesrv.errors import InvalidInput
from paddlesrv.tasks import tasks_with_class_maps
from paddlesrv.tasks.base import Task, TaskInput

Picture = Literal["draw", "map"]
"""Which picture is wanted instead of the answer."""


def check_wanted(wanted: Picture, task: Task, items: Sequence[TaskInput]) -> None:
    """See, before a network works, that there can be such a picture.

    Raises:
        InvalidInput: there are several inputs, or it is none of a picture, or the task has no map.
    """
    if len(items) != 1:
        raise InvalidInput(f"{wanted} takes one picture, got {len(items)}")
    if items[0].kind != "image":
        raise InvalidInput(f"task {task.name!r} has no picture to {wanted}")
    if wanted == "map":
        check_map(task.name, type(task).class_map is not Task.class_map)


def check_map(task: str, has_one: bool) -> None:
    """Refuse a class map of a task that has none, and say which have.

    Raises:
        InvalidInput: it has none.
    """
    if not has_one:
        raise InvalidInput(
            f"task {task!r} has no class map",
            context={"tasks with one": ", ".join(tasks_with_class_maps())},
        )


async def picture(
    pool: Executor, wanted: Picture, task: Task, item: TaskInput, result: msgspec.Struct
) -> bytes:
    """`render`, without holding up the event loop."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(pool, render, wanted, task, item, result)


def render(wanted: Picture, task: Task, item: TaskInput, result: msgspec.Struct) -> bytes:
    """The PNG file of an input that is a picture, and of its result.

    Raises:
        InvalidInput: the task has nothing to paint.
    """
    from paddlesrv.tasks.images import decode, encode_indexed_png, encode_png
    from paddlesrv.tasks.palette import class_colours

    if wanted == "map":
        classes = task.class_map(result)
        if classes is not None:
            return encode_indexed_png(classes, class_colours())
    elif isinstance(item.data, bytes):
        painted = task.draw(decode(item.data), result)
        if painted is not None:
            return encode_png(painted)
    raise InvalidInput(f"task {task.name!r} has nothing to {wanted}")
