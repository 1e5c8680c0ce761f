"""bRPC (`baidu_std`): connections of Paddle Serving's C++ and Python clients.

Requests of one connection are answered as they are ready, in any order, each under the correlation
id that it came with. A frame that cannot be read ends its connection, after what was accepted
before it is answered: where the next one begins cannot be told.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from paddlesrv_client.wire import baidu_std
from paddlesrv_client.wire.baidu_std import Frame, FrameError, FrameReader, RpcMeta
from paddlesrv_client.wire.compression import (
    BRPC_CODES,
    CompressionError,
    compress,
    decompress,
)

from paddlesrv.errors import Cancelled, InvalidInput, NotFound, PayloadTooLarge
from paddlesrv.server import general_model
from paddlesrv.server.access.gate import Caller, Gate
from paddlesrv.server.connection import BODY_TIMEOUT
from paddlesrv.server.connections import Connections
from paddlesrv.server.protocols import paddle_serving
from paddlesrv.server.refusal import refuse
from paddlesrv.server.service import Service

MAX_IN_FLIGHT = 64
"""Requests of one connection; while as many are open, no more is read from it."""

MAX_BYTES_IN_FLIGHT = 8 << 20
"""Nor while they are longer than this together: answers, which may wait, are often as long."""

_SERVICES = (paddle_serving.SERVICE, paddle_serving.SERVICE.rpartition(".")[2])
"""bRPC's own clients say the full name, jprotobuf's the short one."""


class _NoService(NotFound):
    """A service that is not here."""

    brpc_code = 1001


class _NoMethod(NotFound):
    """A method that the service does not have."""

    brpc_code = 1002


class Session:
    """What is known of a connection's client: bRPC's own send their key with the first request."""

    __slots__ = ("caller",)

    def __init__(self) -> None:
        self.caller: Caller | None = None


class BrpcApplication:
    """Answers one request: a frame to the bytes of another.

    Args:
        service: What is served.
        max_body: Bytes of a message, at most.
        gate: Keys and limits; None: there are none.
    """

    def __init__(self, service: Service, max_body: int, gate: Gate | None = None) -> None:
        self._service = service
        self._max_body = max_body
        self._gate = gate

    async def __call__(self, frame: Frame, session: Session) -> bytes:
        """The answer's frame.

        Args:
            frame: The request's.
            session: Its connection's; requests come in the order in which they were sent.

        Raises:
            asyncio.CancelledError: the client has gone.
        """
        started = time.monotonic()
        meta = frame.meta
        model, status = "", 200
        try:
            with self._admitted(meta.authentication_data, session):
                answer = await self._infer(frame)
            model = answer.spec.name
            body = paddle_serving.encode(answer.response, answer.spec, answer.times)
            # As the request was: the ancestor always answers gzip, whoever asked how.
            code = meta.compress_type
            said = _answer(meta, compress_type=code) if code else _answer(meta)
            answered = baidu_std.encode(said, compress(BRPC_CODES[code], body))
        except asyncio.CancelledError:
            self._service.metrics.answered(model, "brpc", Cancelled.http_status, 0.0)
            raise
        except Exception as error:  # noqa: BLE001 - a client is always answered
            refusal = refuse("brpc", error, meta.request.request_id or None)
            status = refusal.error.http_status
            answered = failure(meta, refusal.error.brpc_code, refusal.line)
        if model:
            self._service.metrics.answered(model, "brpc", status, time.monotonic() - started)
        return answered

    def _admitted(self, key: bytes, session: Session) -> AbstractContextManager[None]:
        if self._gate is None:
            return nullcontext()
        if key or session.caller is None:
            session.caller = self._gate.identify(key)
        return session.caller

    async def _infer(self, frame: Frame) -> general_model.GeneralAnswer:
        asked = frame.meta.request
        if asked.service_name not in _SERVICES:
            raise _NoService(
                f"there is no service {asked.service_name!r}",
                context={"wanted": paddle_serving.SERVICE},
            )
        if asked.method_name not in paddle_serving.METHODS:
            raise _NoMethod(
                f"{asked.service_name} has no method {asked.method_name!r}",
                context={"wanted": " or ".join(paddle_serving.METHODS)},
            )
        request = paddle_serving.decode(self._message(frame))
        timeout = asked.timeout_ms / 1000 if asked.timeout_ms > 0 else None
        return await general_model.infer(self._service, request, timeout=timeout)

    def _message(self, frame: Frame) -> bytes:
        kind = BRPC_CODES.get(frame.meta.compress_type)
        if kind is None:
            raise InvalidInput(
                f"compress_type {frame.meta.compress_type} is not taken",
                context={"wanted": ", ".join(f"{n} {word}" for n, word in BRPC_CODES.items())},
            )
        try:
            return decompress(kind, frame.body, self._max_body)
        except CompressionError as error:
            raise (PayloadTooLarge if error.too_large else InvalidInput)(str(error)) from None


def failure(meta: Any, code: int, text: str) -> bytes:
    """The frame of an answer that is an error."""
    said = _answer(meta)
    said.response.error_code = code
    said.response.error_text = text
    return baidu_std.encode(said, b"")


def _answer(meta: Any, **fields: Any) -> Any:
    said = RpcMeta(correlation_id=meta.correlation_id, **fields)
    said.response.error_code = 0
    return said


class BrpcConnection(asyncio.Protocol):
    """One connection."""

    def __init__(self, shared: Connections, application: BrpcApplication) -> None:
        self._shared = shared
        self._application = application
        self._session = Session()
        self._reader = FrameReader(shared.max_body)
        self._transport: asyncio.Transport
        self._tasks: dict[asyncio.Task[None], int] = {}
        """What is being answered, or waits to be written, and how long its request was."""
        self._held = 0
        self._writable = asyncio.Event()
        self._writable.set()
        self._last = False
        """Nothing more is read; it closes when what was accepted is answered."""
        self._since = 0.0

    # -- life --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, unless there are too many."""
        self._transport = transport
        self._since = self._shared.loop.time()
        self._shared.open.add(self)
        if self._shared.full:
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone: nothing is computed for it that is not computed already."""
        self._shared.open.discard(self)
        for task in self._tasks:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        """Read frames; begin to answer each."""
        if self._last or self._transport.is_closing():
            return
        self._since = self._shared.loop.time()
        try:
            for frame in self._reader.feed(data):
                task = self._shared.loop.create_task(self._answer(frame))
                self._tasks[task] = len(frame.body)
                self._held += len(frame.body)
                task.add_done_callback(self._answered)
        except FrameError as error:
            self._end(error)
        self._throttle()

    def pause_writing(self) -> None:
        """The client does not read its answers: nothing more is read from it."""
        self._writable.clear()
        self._throttle()

    def resume_writing(self) -> None:
        """It reads again."""
        self._writable.set()
        self._throttle()

    # -- for the listener --------------------------------------------------------------------

    def close_if_idle(self) -> None:
        """Close, unless something is still to be answered: that is answered first."""
        if self._tasks or self._reader.waiting:
            self._last = not self._reader.waiting
        else:
            self._transport.close()

    def close_if_late(self, now: float, idle: float, head: float) -> None:
        """Close if it idles, does not send on what it began, or does not read its answers."""
        if now - self._since <= (BODY_TIMEOUT if self._reader.waiting else idle):
            return
        if not self._writable.is_set():
            self._transport.abort()
        elif not self._tasks:
            self._transport.close()

    def abort(self) -> None:
        """Cut it."""
        self._transport.abort()

    # -- inside ------------------------------------------------------------------------------

    async def _answer(self, frame: Frame) -> None:
        answer = await self._application(frame, self._session)
        await self._writable.wait()
        self._transport.write(answer)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._held -= self._tasks.pop(task)
        self._since = self._shared.loop.time()
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
        if not self._tasks and (self._last or (self._shared.closing and not self._reader.waiting)):
            self._transport.close()
        self._throttle()

    def _throttle(self) -> None:
        """Read on only while there is room for what is read."""
        if self._transport.is_closing():
            return
        full = len(self._tasks) >= MAX_IN_FLIGHT or self._held > MAX_BYTES_IN_FLIGHT
        if self._last or full or not self._writable.is_set():
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _end(self, error: FrameError) -> None:
        self._last = True
        kind = PayloadTooLarge if error.too_large else InvalidInput
        refusal = refuse("brpc", kind(str(error)))
        if error.correlation_id is not None:
            meta = RpcMeta(correlation_id=error.correlation_id)
            self._transport.write(failure(meta, refusal.error.brpc_code, refusal.line))
        if not self._tasks:
            self._transport.close()
