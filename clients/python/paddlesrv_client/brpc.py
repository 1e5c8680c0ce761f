"""bRPC's transports: many requests at once on one connection, told apart by correlation ids."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import threading
from collections.abc import Mapping
from urllib.parse import urlsplit

from paddlesrv_client.errors import (
    ConnectionFailed,
    DeadlineExceeded,
    MalformedAnswer,
    PaddlesrvClientError,
)
from paddlesrv_client.general_model import MAX_BODY, BrpcRequest
from paddlesrv_client.wire import baidu_std
from paddlesrv_client.wire.baidu_std import Frame, FrameError, FrameReader, RpcMeta


class _Connection(asyncio.Protocol):
    """One connection: what waits for an answer on it."""

    def __init__(self) -> None:
        self.waiting: dict[int, asyncio.Future[Frame]] = {}
        self.open = False
        self._reader = FrameReader(MAX_BODY)
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """It stands."""
        self._transport = transport
        self.open = True

    def connection_lost(self, exc: Exception | None) -> None:
        """It broke: nobody gets an answer any more."""
        self._end(ConnectionFailed(str(exc) if exc else "the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Answers, in any order; one that nobody waits for any more is dropped."""
        try:
            for frame in self._reader.feed(data):
                future = self.waiting.get(frame.meta.correlation_id)
                if future is not None and not future.done():
                    future.set_result(frame)
        except FrameError as error:
            self._end(MalformedAnswer(f"no answer of bRPC: {error}"))

    def write(self, data: bytes) -> None:
        """Send a frame."""
        self._transport.write(data)

    def close(self) -> None:
        """End it."""
        self._end(ConnectionFailed("the client was closed"))

    def _end(self, error: PaddlesrvClientError) -> None:
        self.open = False
        self._transport.abort()
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(error)


class AsyncBrpcTransport:
    """Does not block.

    Args:
        url: Where the server listens.
        headers: Those of the other protocols. bRPC has none; of them the API key alone is sent
            (`authorization: Bearer KEY`), as the call's authentication data.

    Raises:
        ValueError: the address is of TLS.
    """

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme == "https":
            raise ValueError("bRPC is not spoken over TLS; ask by http or grpc")
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._key = _key(headers or {})
        self._ids = itertools.count(1)
        self._connection: _Connection | None = None
        self._connecting: asyncio.Lock | None = None

    async def send(self, request: BrpcRequest, seconds: float) -> Frame:
        """The answer to a request.

        Raises:
            ConnectionFailed, DeadlineExceeded, MalformedAnswer: there is none.
        """
        try:
            return await asyncio.wait_for(self._ask(request), seconds)
        except asyncio.TimeoutError:
            raise DeadlineExceeded(f"no answer within {seconds:g} s") from None
        except OSError as error:
            raise ConnectionFailed(str(error)) from error

    async def close(self) -> None:
        """Close its connection."""
        if self._connection is not None and self._connection.open:
            self._connection.close()

    async def _ask(self, request: BrpcRequest) -> Frame:
        connection = await self._connected()
        meta = RpcMeta()
        meta.CopyFrom(request.meta)
        number = meta.correlation_id = next(self._ids)
        if self._key:
            meta.authentication_data = self._key
        future = asyncio.get_running_loop().create_future()
        connection.waiting[number] = future
        try:
            connection.write(baidu_std.encode(meta, request.body))
            frame: Frame = await future
            return frame
        finally:
            del connection.waiting[number]

    async def _connected(self) -> _Connection:
        if self._connecting is None:
            self._connecting = asyncio.Lock()
        async with self._connecting:
            if self._connection is None or not self._connection.open:
                loop = asyncio.get_running_loop()
                _, self._connection = await loop.create_connection(
                    _Connection, self._host, self._port
                )
            return self._connection


class BrpcTransport:
    """Blocks; threads share one connection, which a thread of its own reads."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        self._inner = AsyncBrpcTransport(url, headers)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="paddlesrv-brpc", daemon=True
        )
        self._thread.start()

    def send(self, request: BrpcRequest, seconds: float) -> Frame:
        """The answer to a request.

        Raises:
            ConnectionFailed, DeadlineExceeded, MalformedAnswer: there is none.
        """
        if self._loop.is_closed():
            raise ConnectionFailed("the client was closed")
        asked = asyncio.run_coroutine_threadsafe(self._inner.send(request, seconds), self._loop)
        try:
            return asked.result()
        except concurrent.futures.CancelledError:
            raise ConnectionFailed("the client was closed") from None
        except BaseException:
            asked.cancel()
            raise

    def close(self) -> None:
        """Close its connection."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        """Close, and let calls of other threads end: nobody would wake them afterwards."""
        await self._inner.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def _key(headers: Mapping[str, str]) -> bytes:
    """The API key that headers bring; none is empty."""
    for name, value in headers.items():
        scheme, _, key = value.partition(" ")
        if name.lower() == "authorization" and scheme.lower() == "bearer":
            return key.strip().encode()
    return b""
