"""What every RPC has in common: bytes, deadline, cancellation, errors, metrics, request id.

gRPC gives and takes bytes here. What is no message is our INVALID_ARGUMENT then, not gRPC's
INTERNAL.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from paddlesrv.errors import Cancelled, DeadlineExceeded, InvalidInput
from paddlesrv.server.access.grpc import admitted
from paddlesrv.server.refusal import Refusal, refuse
from paddlesrv.server.service import Service

REQUEST_ID = "x-request-id"
"""The client's own id for a request, in its metadata."""

ANSWERED_ID = "request-id"
"""The id under which a refused request stands in the log, in the trailing metadata."""

OK = 200
"""Answers are counted under the same numbers for every protocol: those of HTTP."""

Handlers = dict[str, "grpc.RpcMethodHandler[Any, Any]"]
"""What answers each method of a service."""

Function = Callable[[Any, "Call"], Awaitable[Any]]
"""What answers one message with another."""

Error = Callable[[Any, Refusal], Any]
"""Makes an answer that is an error, from the message (None if it is none)."""


class Call:
    """One request, as those who answer it see it.

    `model` is the name of the model that the request turns out to be about: it is counted there.
    """

    __slots__ = ("context", "model")

    def __init__(self, context: Any) -> None:
        self.context = context
        self.model = ""

    def timeout(self, asked: float | None = None) -> float | None:
        """Seconds that are left: by the RPC's deadline, or by what the request itself asks."""
        left: float | None = self.context.time_remaining()
        if left is None:
            return asked
        left = max(left, 1e-6)  # none at all would mean that there is no limit
        return left if asked is None else min(left, asked)

    def metadata(self, key: str) -> str | None:
        """A text that the client sent along, if it did."""
        for name, value in self.context.invocation_metadata() or ():
            if name == key and isinstance(value, str):
                return value
        return None

    def refuse(self, error: Exception) -> Refusal:
        """Make a refusal, and log it, under the client's id for the request if it has one."""
        return refuse("grpc", error, self.metadata(REQUEST_ID))


class Calls:
    """Makes handlers out of functions on messages."""

    def __init__(self, service: Service) -> None:
        self._metrics = service.metrics

    def unary(
        self, request: Any, function: Function, error: Error | None = None
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """One message, one answer.

        Args:
            request: The class of the message.
            function: What answers it.
            error: Makes the answer that is an error, for protocols whose errors are answers.
        """
        if error is not None:
            embedded = self.embedded(request, function, error)
            return grpc.unary_unary_rpc_method_handler(embedded)

        async def answer(body: bytes, context: Any) -> bytes:
            call = Call(context)
            started = time.monotonic()
            try:
                with admitted():
                    message = await function(parse(request, body), call)
                content: bytes = message.SerializeToString()
            except asyncio.CancelledError:
                self._count(call, _why_gone(context), started)
                raise
            except Exception as error:
                refusal = call.refuse(error)
                self._count(call, refusal.error.http_status, started)
                await abort(context, refusal)
                raise  # unreachable: aborting ends the call
            self._count(call, OK, started)
            return content

        return grpc.unary_unary_rpc_method_handler(answer)

    def embedded(
        self, request: Any, function: Function, error: Error
    ) -> Callable[[bytes, Any], Awaitable[bytes]]:
        """For a message in a stream: one answer, which may be an error, and the stream goes on.

        Args:
            request: The class of the message.
            function: What answers it.
            error: Makes the answer that is an error, from the message (None if it is none).
        """

        async def answer(body: bytes, context: Any) -> bytes:
            call = Call(context)
            started = time.monotonic()
            message = None
            code = OK
            try:
                message = parse(request, body)
                with admitted():
                    said = await function(message, call)
            except asyncio.CancelledError:
                self._count(call, _why_gone(context), started)
                raise
            except Exception as cause:  # noqa: BLE001 - a client is always answered
                refusal = call.refuse(cause)
                code = refusal.error.http_status
                said = error(message, refusal)
            content: bytes = said.SerializeToString()
            self._count(call, code, started)
            return content

        return answer

    def _count(self, call: Call, code: int, started: float) -> None:
        """Count an answer, if it is known which model's."""
        if call.model:
            self._metrics.answered(call.model, "grpc", code, time.monotonic() - started)


def parse(kind: Any, body: bytes) -> Any:
    """The message in some bytes.

    Raises:
        InvalidInput: they are none.
    """
    try:
        return kind.FromString(body)
    except DecodeError:
        raise InvalidInput(
            f"the request is no {kind.DESCRIPTOR.full_name}",
            context={"found": f"{len(body)} bytes that do not decode"},
        ) from None


async def abort(context: Any, refusal: Refusal) -> None:
    """End an RPC with an error."""
    status = grpc.StatusCode[refusal.error.grpc_status]
    trailing: Sequence[tuple[str, str]] = ((ANSWERED_ID, refusal.request_id),)
    await context.abort(status, refusal.line, trailing)


async def refuse_call(context: Any, error: Exception) -> None:
    """End an RPC with an error that nobody has told yet."""
    await abort(context, Call(context).refuse(error))


def _why_gone(context: Any) -> int:
    """A client leaves by itself, or because the time that it gave is over."""
    left = context.time_remaining()
    return Cancelled.http_status if left is None or left > 0 else DeadlineExceeded.http_status
