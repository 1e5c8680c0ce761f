"""The gate before the gRPC services: whose key a call brings, and each request's limits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Any, Final

import grpc
import grpc.aio

from paddlesrv.errors import PaddlesrvError
from paddlesrv.server.access.gate import Caller, Gate

OPEN: Final = frozenset(
    {
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
        "/inference.GRPCInferenceService/ServerLive",
        "/inference.GRPCInferenceService/ServerReady",
    }
)
"""Methods that need no key: orchestrators ask them."""

_CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)

_FREE: AbstractContextManager[None] = nullcontext()

Refuse = Callable[[Any, Exception], Awaitable[None]]
"""Ends a call, of that context, with an error."""


def caller() -> Caller | None:
    """Who makes the call that is being answered; None where nobody needs a key."""
    return _CALLER.get()


def admitted() -> AbstractContextManager[None]:
    """One request of the call that is being answered, for as long as it lasts.

    Raises:
        Unauthenticated, RateLimited: on entering, as `Caller`.
    """
    return _CALLER.get() or _FREE


class GrpcGate(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Refuses calls without a key before anything is known of what they ask.

    Args:
        gate: The keys.
        refuse: Ends a call with an error.
    """

    def __init__(self, gate: Gate, refuse: Refuse) -> None:
        self._gate = gate
        self._refuse = refuse

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """The handler of the call, or one that refuses it."""
        if handler_call_details.method in OPEN:
            return await continuation(handler_call_details)
        metadata = handler_call_details.invocation_metadata or ()
        try:
            # Calls are answered in the task, and so in the context, that they come through here in.
            _CALLER.set(self._gate.identify(_key(metadata)))
        except PaddlesrvError as error:
            return self._refusing(error)
        return await continuation(handler_call_details)

    def _refusing(self, error: PaddlesrvError) -> Any:
        async def answer(_: Any, context: Any) -> None:
            await self._refuse(context, error)

        # One in the form of any call: requests that it streams are not read.
        return grpc.stream_stream_rpc_method_handler(answer)


def _key(metadata: Sequence[tuple[str, str | bytes]]) -> bytes | None:
    for name, value in metadata:
        text = value.encode("latin-1", "replace") if isinstance(value, str) else value
        if name == "authorization":
            scheme, _, key = text.partition(b" ")
            if scheme.lower() == b"bearer":
                return key.strip()
        elif name == "x-api-key":
            return text
    return None
