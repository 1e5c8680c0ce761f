"""`grpc.health.v1.Health`: whether the server, one of its services, or a model is ready.

Specification: grpc/grpc, doc/health-checking.md.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import grpc
from paddlesrv_client.wire.messages import message

from paddlesrv.errors import NotFound
from paddlesrv.server.grpc.calls import Call, Calls, Handlers, abort, parse
from paddlesrv.server.service import Service

NAME = "grpc.health.v1.Health"

POLL = 0.25
"""Seconds between looks for a watcher: readiness is many things' at once, and nobody tells it."""

_Request = message("grpc.health.v1.HealthCheckRequest")
_Response = message("grpc.health.v1.HealthCheckResponse")


class Health:
    """The service's methods.

    Args:
        service: Whose readiness is told.
        services: The names of the gRPC services that stand and fall with it.
    """

    def __init__(self, service: Service, services: frozenset[str]) -> None:
        self._service = service
        self._services = services
        self._ended = asyncio.Event()

    def handlers(self, calls: Calls) -> Handlers:
        """What answers each method."""
        return {
            "Check": calls.unary(_Request, self._check),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch),
        }

    def end(self) -> None:
        """Not serving; watchers are told, and their streams end."""
        self._ended.set()

    async def _check(self, request: Any, _: Call) -> Any:
        status = self._status(request.service)
        if status == _Response.SERVICE_UNKNOWN:
            raise NotFound(
                f"there is no service or model {request.service!r}",
                context={"known": ", ".join([*sorted(self._services), *self._service.models])},
            )
        return _Response(status=status)

    async def _watch(self, body: bytes, context: Any) -> None:
        try:
            name = parse(_Request, body).service
        except Exception as error:
            await abort(context, Call(context).refuse(error))
            raise
        told = None
        while True:
            ended = self._ended.is_set()
            status = self._status(name)
            if status != told:
                await context.write(_Response(status=status).SerializeToString())
                told = status
            if ended:
                return
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._ended.wait(), POLL)

    def _status(self, name: str) -> int:
        service = self._service
        if not name or name in self._services:
            ready = service.ready
        elif name in service.unloaded:
            ready = False
        else:
            try:
                ready = service.find(name).ready and not service.stopping
            except NotFound:
                return int(_Response.SERVICE_UNKNOWN)
        serving = ready and not self._ended.is_set()
        return int(_Response.SERVING if serving else _Response.NOT_SERVING)
