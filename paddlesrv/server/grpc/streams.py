"""Streams of requests: each is answered, in order, and an error ends none of the others.

Several requests of a stream are in flight at the same time, so that they are batched together.
What the client does not read is not computed ahead without end, and holds nobody else up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from paddlesrv.errors import Unavailable
from paddlesrv.server.grpc.calls import Call, abort

MAX_IN_FLIGHT = 32
"""Requests of one stream that are being answered, or answered and not yet read."""

MAX_BYTES_IN_FLIGHT = 8 << 20
"""And how long they may be together, unless it is one alone: answers are often as long."""

Answer = Callable[[bytes, Any], Awaitable[bytes]]
"""Makes an answer of a request, both as bytes; an error is an answer too."""


class Streams:
    """The streams of one server."""

    def __init__(self) -> None:
        self._readers: set[asyncio.Task[None]] = set()
        self._ending = False

    def handler(self, answer: Answer) -> grpc.RpcMethodHandler[Any, Any]:
        """What serves such a stream."""

        async def serve(requests: AsyncIterator[bytes], context: Any) -> None:
            answers = _Answers()
            reader = asyncio.create_task(_read(requests, context, answer, answers))
            self._readers.add(reader)
            try:
                while (following := await answers.next()) is not None:
                    await context.write(await following)
                    answers.written()
            finally:
                self._readers.discard(reader)
                reader.cancel()
                answers.cancel()
            if self._ending:
                await abort(context, Call(context).refuse(Unavailable("the server is stopping")))

        return grpc.stream_stream_rpc_method_handler(serve)

    def end(self) -> None:
        """Take no more requests; what came is answered."""
        self._ending = True
        for reader in self._readers:
            reader.cancel()


class _Answers:
    """The answers of one stream, in the order of their requests, none beyond the room for them."""

    def __init__(self) -> None:
        self._tasks: deque[asyncio.Task[bytes]] = deque()
        self._sizes: deque[int] = deque()
        """Of the requests whose answers are not written yet, one of which may have been taken."""
        self._held = 0
        self._ended = False
        self._changed = asyncio.Event()

    def put(self, task: asyncio.Task[bytes], size: int) -> None:
        """One more, to a request of that many bytes."""
        self._tasks.append(task)
        self._sizes.append(size)
        self._held += size
        self._changed.set()

    def end(self) -> None:
        """There will be no more."""
        self._ended = True
        self._changed.set()

    async def room(self) -> None:
        """Wait until one more request may be taken."""
        while len(self._sizes) >= MAX_IN_FLIGHT or self._held > MAX_BYTES_IN_FLIGHT:
            await self._change()

    async def next(self) -> asyncio.Task[bytes] | None:
        """The next answer; None behind the last."""
        while not self._tasks:
            if self._ended:
                return None
            await self._change()
        return self._tasks.popleft()

    def written(self) -> None:
        """The one that was taken last is with the client, or on its way."""
        self._held -= self._sizes.popleft()
        self._changed.set()

    def cancel(self) -> None:
        """Nobody wants those that are left."""
        for task in self._tasks:
            task.cancel()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


async def _read(
    requests: AsyncIterator[bytes], context: Any, answer: Answer, answers: _Answers
) -> None:
    """Begin to answer each request as it comes."""
    with contextlib.suppress(asyncio.CancelledError):
        await answers.room()
        async for body in requests:
            answers.put(asyncio.ensure_future(answer(body, context)), len(body))
            await answers.room()
    answers.end()
