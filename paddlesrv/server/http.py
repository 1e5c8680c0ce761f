"""The HTTP application (ASGI): routes, bodies, statuses.

What requests mean is the codecs' and the service's.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import msgspec
from python_multipart import create_form_parser
from python_multipart.exceptions import FormParserError

from paddlesrv import __version__
from paddlesrv.errors import (
    Cancelled,
    InvalidInput,
    NotFound,
    PaddlesrvError,
    PayloadTooLarge,
    UnsupportedMediaType,
)
from paddlesrv.server import openapi, pages
from paddlesrv.server.listener import RESPOND
from paddlesrv.server.pictures import paint
from paddlesrv.server.protocols import open_inference, predict
from paddlesrv.server.service import VERSION, Service
from paddlesrv.tasks.base import TaskInput

log = logging.getLogger("paddlesrv.http")

BODY_TIMEOUT = 60.0
"""Seconds that a client may take to send a body."""

MAX_FORM_PARTS = 300

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

JSON = b"application/json"
_NONE: dict[str, Any] = {}


class Response(msgspec.Struct):
    """A status, a body and what the client must know of it."""

    status: int = 200
    body: bytes = b""
    content_type: bytes = JSON
    headers: list[tuple[bytes, bytes]] = []


class _Timeout(PaddlesrvError):
    """The client did not send its body in time."""

    code = "request-timeout"
    http_status = 408


class _MethodNotAllowed(InvalidInput):
    code = "method-not-allowed"
    http_status = 405


class Request:
    """One request: its path, headers, and its body once it is read."""

    __slots__ = ("_receive", "headers", "limit", "method", "path", "query", "scope")

    def __init__(self, scope: Scope, receive: Receive, limit: int) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.limit = limit
        self._receive = receive

    def header(self, name: bytes) -> str | None:
        """A header's value (names in lower case), or None."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    async def body(self) -> bytes:
        """The whole body.

        Raises:
            PayloadTooLarge: it is over the limit; said before it is read, where its length is.
            UnsupportedMediaType: it is compressed.
            Cancelled: the client has gone.
        """
        encoding = self.header(b"content-encoding")
        if encoding not in (None, "", "identity"):
            raise UnsupportedMediaType(
                f"content encoding {encoding!r} is not taken", context={"wanted": "identity"}
            )
        declared = self.header(b"content-length")
        if declared is not None and int(declared) > self.limit:
            raise self._too_large()
        message = await self._receive()
        if not message.get("more_body"):
            if message["type"] == "http.disconnect":
                raise Cancelled("the client has gone")
            body: bytes = message["body"]
            if len(body) > self.limit:
                raise self._too_large()
            return body
        try:
            return await asyncio.wait_for(self._rest(message["body"]), BODY_TIMEOUT)
        except asyncio.TimeoutError:
            raise _Timeout(f"the body did not arrive within {BODY_TIMEOUT:g} s") from None

    async def _rest(self, first: bytes) -> bytes:
        parts = bytearray(first)
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Cancelled("the client has gone")
            parts += message["body"]
            if len(parts) > self.limit:
                raise self._too_large()
            if not message["more_body"]:
                return bytes(parts)

    def _too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(
            f"the body is larger than {self.limit} bytes",
            hints=["send less at a time, or start the server with a larger --max-body"],
        )


class HttpApplication:
    """The routes of one server."""

    def __init__(self, service: Service, *, max_body: int) -> None:
        self._service = service
        self._max_body = max_body
        self._loop = asyncio.get_running_loop()
        self._fixed: dict[str, Callable[[Request], Awaitable[Response]]] = {
            "/": self._index,
            "/v2": self._server,
            "/v2/health/live": self._live,
            "/v2/health/ready": self._ready,
            "/metrics": self._metrics,
            "/docs": self._docs,
            "/openapi.json": self._openapi,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, from headers to the last byte of its answer."""
        started = time.monotonic()
        request = Request(scope, receive, self._max_body)
        # Read by the connection when the client goes away.
        task = asyncio.current_task(self._loop)
        assert task is not None
        scope["paddlesrv.disconnect"] = task.cancel
        model = ""
        try:
            handler, model = self._route(request)
            response = await handler(request)
        except asyncio.CancelledError:
            self._service.metrics.answered(model, "http", Cancelled.http_status, 0.0)
            scope["paddlesrv.gone"] = True
            return
        except PaddlesrvError as error:
            response = _error(request, error)
        except Exception:
            request_id = _request_id(request)
            log.exception("request %s failed", request_id)
            response = _error(request, PaddlesrvError("internal error"), request_id)
        headers = [
            (b"content-type", response.content_type),
            (b"content-length", b"%d" % len(response.body)),
            *response.headers,
        ]
        if model:
            seconds = time.monotonic() - started
            self._service.metrics.answered(model, "http", response.status, seconds)
        respond = scope.get("extensions", _NONE).get(RESPOND)
        if respond is not None:
            respond(response.status, headers, response.body)
            return
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    # -- routes ------------------------------------------------------------------------------

    def _route(self, request: Request) -> tuple[Callable[[Request], Awaitable[Response]], str]:
        """The handler for a path, and the model that it is about (or the empty string)."""
        path = request.path
        fixed = self._fixed.get(path) or self._fixed.get(path.rstrip("/"))
        if fixed is not None:
            _allow(request, "GET", "HEAD")
            return fixed, ""
        # The raw path is cut, then unquoted: a name may hold what is quoted.
        raw = request.scope.get("raw_path") or path.encode()
        parts = [unquote(p) for p in raw.decode("ascii").strip("/").split("/")]
        if parts[0] == "predict" and len(parts) == 2:
            _allow(request, "POST")
            name = self._service.find(parts[1]).name
            return lambda r: self._predict(r, name), name
        if parts[:2] == ["v2", "models"] and len(parts) > 2:
            return self._route_model(request, parts[2:])
        raise NotFound(
            f"there is nothing at {path!r}",
            context={"routes": "/v2/models/{model}/infer, /predict/{model}, /metrics, /docs"},
            hints=["GET /openapi.json lists them all"],
        )

    def _route_model(
        self, request: Request, parts: list[str]
    ) -> tuple[Callable[[Request], Awaitable[Response]], str]:
        name, rest, version = parts[0], parts[1:], None
        if len(rest) >= 2 and rest[0] == "versions":
            version, rest = rest[1], rest[2:]
        model = self._service.find(name, version)
        if rest == ["infer"]:
            _allow(request, "POST")
            return lambda r: self._infer(r, model.name, version), model.name
        if rest == []:
            _allow(request, "GET", "HEAD")
            description = open_inference.describe(model.setup.spec, VERSION)
            return lambda _: _json(description), ""
        if rest == ["ready"]:
            _allow(request, "GET", "HEAD")
            answer = {"name": model.name, "ready": model.ready}
            return lambda _: _json(answer, 200 if model.ready else 503), ""
        raise NotFound(f"there is nothing at {request.path!r}")

    async def _infer(self, request: Request, name: str, version: str | None) -> Response:
        body = await request.body()
        length = request.header(b"inference-header-content-length")
        inference, forms = open_inference.decode(name, version, body, length)
        response = await self._service.infer(inference)
        content, header_length = open_inference.encode(response, forms)
        if header_length is None:
            return Response(body=content)
        return Response(
            body=content,
            content_type=b"application/octet-stream",
            headers=[(b"inference-header-content-length", b"%d" % header_length)],
        )

    async def _predict(self, request: Request, name: str) -> Response:
        options = predict.decode_query(request.query)
        content_type = request.header(b"content-type") or ""
        body = await request.body()
        if content_type.lower().startswith("multipart/form-data"):
            items = _form_files(request, body)
        else:
            items, options = predict.decode(content_type, body, options)
        answer = await self._service.predict(name, items, options.task, options.timeout)
        task = answer.model.setup.task
        assert task is not None
        if options.draw:
            picture = await paint(self._service.pool, task, items, answer.results)
            return Response(body=picture, content_type=b"image/png")
        return Response(body=predict.encode(name, task.name, answer.results, answer.timing))

    async def _index(self, _: Request) -> Response:
        return Response(307, b"", b"text/plain", [(b"location", b"/docs")])

    async def _server(self, _: Request) -> Response:
        extensions = list(open_inference.EXTENSIONS)
        return await _json({"name": "paddlesrv", "version": __version__, "extensions": extensions})

    async def _live(self, _: Request) -> Response:
        return await _json({"live": True})

    async def _ready(self, _: Request) -> Response:
        ready = self._service.ready
        return await _json({"ready": ready}, 200 if ready else 503)

    async def _metrics(self, _: Request) -> Response:
        self._service.observe()
        body = self._service.metrics.render()
        return Response(body=body, content_type=b"text/plain; version=0.0.4; charset=utf-8")

    async def _openapi(self, _: Request) -> Response:
        return await _json(openapi.describe(self._service))

    async def _docs(self, _: Request) -> Response:
        page = pages.docs(self._service).encode()
        policy = b"default-src 'self'; img-src 'self' data: blob:; style-src 'unsafe-inline'; " + (
            b"script-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
        )
        return Response(
            body=page,
            content_type=b"text/html; charset=utf-8",
            headers=[(b"content-security-policy", policy)],
        )


async def _json(value: Any, status: int = 200) -> Response:
    return Response(status, msgspec.json.encode(value))


def _allow(request: Request, *methods: str) -> None:
    if request.method not in methods:
        raise _MethodNotAllowed(
            f"{request.method} is not allowed on {request.path!r}",
            context={"wanted": " or ".join(methods)},
        )


def _form_files(request: Request, body: bytes) -> list[TaskInput]:
    """The files of a multipart form, each a picture; a field named `text` is a text."""
    items: list[TaskInput] = []

    def add_file(part: Any) -> None:
        part.file_object.seek(0)
        items.append(TaskInput("image", part.file_object.read()))
        part.close()

    def add_field(part: Any) -> None:
        if part.field_name == b"text":
            items.append(TaskInput("text", (part.value or b"").decode(errors="replace")))

    headers = {
        "Content-Type": request.headers.get(b"content-type", b""),
        "Content-Length": b"%d" % len(body),
    }
    settings = {"MAX_MEMORY_FILE_SIZE": len(body) + 1, "MAX_BODY_SIZE": float("inf")}
    try:
        parser = create_form_parser(headers, add_field, add_file, config=settings)
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise InvalidInput(f"the form is not multipart/form-data: {error}") from None
    if not items:
        raise InvalidInput(
            "the form has no file", hints=["curl -F image=@picture.png .../predict/..."]
        )
    return items


def _request_id(request: Request) -> str:
    given = request.header(b"x-request-id") or ""
    if given and len(given) <= 64 and all(c.isalnum() or c in "-_." for c in given):
        return given
    return os.urandom(8).hex()


def _error(request: Request, error: PaddlesrvError, request_id: str | None = None) -> Response:
    request_id = request_id or _request_id(request)
    details = "; ".join(f"{name}: {text}" for name, text in error.context.items())
    body = {
        "error": f"{error.message} ({details})" if details else error.message,
        "code": error.code,
        "hint": error.hints[0] if error.hints else None,
        "request_id": request_id,
    }
    log.info("request %s: %d %s", request_id, error.http_status, error.message)
    headers = [(b"x-request-id", request_id.encode())]
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, round(error.retry_after))))
    if error.http_status in (408, 413):
        # What is left of the body is not read: the connection cannot be used again.
        headers.append((b"connection", b"close"))
    return Response(error.http_status, msgspec.json.encode(body), headers=headers)
