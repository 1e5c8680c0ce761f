"""The gate before the HTTP application: host, origin, key, limits."""

from __future__ import annotations

from typing import Final

from paddlesrv.server.access.gate import Gate
from paddlesrv.server.access.hosts import Hosts
from paddlesrv.server.access.origins import Origins
from paddlesrv.server.connection import Application, Request, Response
from paddlesrv.server.refused import refused

OPEN: Final = frozenset({b"/v2/health/live", b"/v2/health/ready", b"/metrics"})
"""Targets that need no key: orchestrators, Prometheus and `ps` look at them. They are compared as
they were sent, so that no other spelling of another route can be taken for one of them."""

MAX_SEEN = 64
"""Host headers that are remembered as good."""


class HttpGate:
    """Answers as `application` does, if the request may be answered.

    Args:
        application: What answers.
        gate: Keys and limits; None: there are none.
        hosts: The names that requests may call the server by.
        origins: The sites whose pages may ask.
    """

    def __init__(
        self, application: Application, gate: Gate | None, hosts: Hosts, origins: Origins
    ) -> None:
        self._application = application
        self._gate = gate
        self._hosts = hosts
        self._origins = origins
        self._seen: set[bytes | None] = set()

    async def __call__(self, request: Request) -> Response | None:
        """Answer one request; None if the client has gone."""
        origin = request.header(b"origin")
        try:
            if request.target in OPEN and not self._hosts.probes:
                return await self._application(request)
            if request.headers.get(b"host") not in self._seen:
                self._look(request)
            if request.target in OPEN:
                return await self._application(request)
            if origin is not None:
                if _is_preflight(request):
                    return Response(headers=self._origins.preflight(origin))
                self._origins.check(origin, request.header(b"host"))
            response = await self._admitted(request)
        except Exception as error:  # noqa: BLE001 - a client is always answered
            response = refused(request, error)
        if response is not None and (shown := self._origins.headers(origin)):
            response.headers = (*response.headers, *shown)
        return response

    async def _admitted(self, request: Request) -> Response | None:
        if self._gate is None:
            return await self._application(request)
        caller = self._gate.identify(_key(request))
        request.caller = caller
        with caller:
            return await self._application(request)

    def _look(self, request: Request) -> None:
        self._hosts.check(request.header(b"host"))
        if len(self._seen) < MAX_SEEN:
            self._seen.add(request.headers.get(b"host"))


def _is_preflight(request: Request) -> bool:
    return request.method == "OPTIONS" and b"access-control-request-method" in request.headers


def _key(request: Request) -> bytes | None:
    """The key that a request brings: never in its target, which gateways and browsers log."""
    value = request.headers.get(b"authorization")
    if value is not None:
        scheme, _, key = value.partition(b" ")
        if scheme.lower() == b"bearer":
            return key.strip()
    return request.headers.get(b"x-api-key")
