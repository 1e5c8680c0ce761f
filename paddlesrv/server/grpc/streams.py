"""Streams of requests: each is answered, in order, and an error ends none of the others.

Several requests of a stream are in flight at the same time, so that they are batched together.
What the client does not read is not computed ahead without end, and holds nobody else up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from paddlesrv.errors import Unavailable
from paddlesrv.server.grpc.calls import Call, abort

MAX_IN_FLIGHT = 32
"""Requests of one stream that are being answered, or answered and not yet read."""

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
            answers: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue()
            room = asyncio.Semaphore(MAX_IN_FLIGHT)
            reader = asyncio.create_task(_read(requests, context, answer, answers, room))
            self._readers.add(reader)
            try:
                while (following := await answers.get()) is not None:
                    await context.write(await following)
                    room.release()
            finally:
                self._readers.discard(reader)
                reader.cancel()
                while not answers.empty():
                    left = answers.get_nowait()
                    if left is not None:
                        left.cancel()
            if self._ending:
                await abort(context, Call(context).refuse(Unavailable("the server is stopping")))

        return grpc.stream_stream_rpc_method_handler(serve)

    def end(self) -> None:
        """Take no more requests; what came is answered."""
        self._ending = True
        for reader in self._readers:
            reader.cancel()


async def _read(
    requests: AsyncIterator[bytes],
    context: Any,
    answer: Answer,
    answers: asyncio.Queue[asyncio.Task[bytes] | None],
    room: asyncio.Semaphore,
) -> None:
    """Begin to answer each request as it comes; None behind the last."""
    with contextlib.suppress(asyncio.CancelledError):
        await room.acquire()
        async for body in requests:
            answers.put_nowait(asyncio.ensure_future(answer(body, context)))
            await room.acquire()
    answers.put_nowait(None)
