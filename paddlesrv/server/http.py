"""The HTTP application: routes, bodies, statuses.

What requests mean is the codecs' and the service's.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import msgspec

from paddlesrv import __version__
from paddlesrv.errors import (
    Cancelled,
    InvalidInput,
    NotFound,
)
from paddlesrv.server import (
    encodings,
    openapi,
    pages,
    routes_paddle,
    routes_repository,
    routes_tensorflow,
)
from paddlesrv.server.connection import Request, Response
from paddlesrv.server.form import form_items
from paddlesrv.server.pictures import check_wanted, picture
from paddlesrv.server.protocols import open_inference, predict
from paddlesrv.server.protocols.paddle_serving import METHODS as GENERAL_METHODS
from paddlesrv.server.refused import refused
from paddlesrv.server.repository import Repository
from paddlesrv.server.service import VERSION, Service

MAX_ROUTES = 256
"""Targets whose route is remembered."""

Handler = Callable[[Request], Awaitable[Response]]


class _MethodNotAllowed(InvalidInput):
    """The route is there, but does not take that method."""

    code = "method-not-allowed"
    http_status = 405


class HttpApplication:
    """The routes of one server."""

    def __init__(self, service: Service, repository: Repository) -> None:
        self._service = service
        self._repository = repository
        self._fixed: dict[str, Handler] = {
            "/": self._index,
            "/v2": self._server,
            "/v2/health/live": self._live,
            "/v2/health/ready": self._ready,
            "/metrics": self._metrics,
            "/docs": self._docs,
            "/openapi.json": self._openapi,
        }
        self._routes: dict[tuple[str, bytes], tuple[Handler, str]] = {}

    async def __call__(self, request: Request) -> Response | None:
        """Answer one request; None if it was cancelled because the client has gone."""
        started = time.monotonic()
        model = ""
        try:
            # Most requests name one of few targets: cutting and unquoting is done once for each.
            route = self._routes.get((request.method, request.target))
            handler, model = route or self._find_route(request)
            response = await handler(request)
            if len(response.body) >= encodings.LEAST and b"accept-encoding" in request.headers:
                await self._compress(request, response)
        except asyncio.CancelledError:
            self._service.metrics.answered(model, "http", Cancelled.http_status, 0.0)
            return None
        except Exception as error:  # noqa: BLE001 - a client is always answered
            response = refused(request, error)
        if model:
            seconds = time.monotonic() - started
            self._service.metrics.answered(model, "http", response.status, seconds)
        return response

    async def _compress(self, request: Request, response: Response) -> None:
        accept = request.header(b"accept-encoding") or ""
        coding = encodings.chosen(accept, response.content_type)
        if coding is not None:
            response.body = await encodings.encoded(self._service.pool, response.body, coding)
            response.headers = (
                *response.headers, (b"content-encoding", coding.encode()),
                (b"vary", b"accept-encoding"),
            )  # fmt: skip

    # -- routes ------------------------------------------------------------------------------

    def _find_route(self, request: Request) -> tuple[Handler, str]:
        """The handler for a target, and the model that it is about (or the empty string)."""
        raw_path, _ = request.split_target()
        path = unquote(raw_path.decode("latin-1"))
        fixed = self._fixed.get(path) or self._fixed.get(path.rstrip("/"))
        if fixed is not None:
            _allow(request, path, "GET", "HEAD")
            return fixed, ""
        # The raw path is cut, then unquoted: a name may hold what is quoted.
        parts = [unquote(p) for p in raw_path.decode("latin-1").strip("/").split("/")]
        if parts[0] == "predict" and len(parts) == 2:
            _allow(request, path, "POST")
            name = self._service.find(parts[1]).name
            return self._remember(request, lambda r: self._predict(r, name), name)
        if parts[0] == routes_paddle.PREFIX and parts[1:] in ([m] for m in GENERAL_METHODS):
            _allow(request, path, "POST")
            return lambda r: routes_paddle.general_inference(self._service, r), ""
        if routes_paddle.is_pipeline(self._service, request.method, parts):
            _allow(request, path, "POST")
            name = routes_paddle.name_of(self._service, parts[0])
            handler = functools.partial(self._pipeline, name=parts[0])
            return self._remember(request, handler, name) if name else (handler, "")
        if parts[:2] == routes_tensorflow.PREFIX and len(parts) > 2:
            return self._route_tensorflow(request, path, parts[2:])
        if parts[:2] == routes_repository.PREFIX:
            _allow(request, path, "POST")
            return lambda r: routes_repository.serve(self._repository, r, parts[2:]), ""
        if parts == ["v2", "models", "stats"] and "stats" not in self._service.models:
            _allow(request, path, "GET", "HEAD")
            return lambda _: self._statistics(), ""
        if parts[:2] == ["v2", "models"] and len(parts) > 2:
            return self._route_model(request, path, parts[2:])
        raise NotFound(
            f"there is nothing at {path!r}",
            context={"routes": "/predict/{model}, /v2/models/{model}/infer, /v1/models/{model}"},
            hints=["GET /openapi.json lists them all"],
        )

    def _route_tensorflow(
        self, request: Request, path: str, parts: list[str]
    ) -> tuple[Handler, str]:
        asked = routes_tensorflow.target(parts)
        if asked.verb in ("", "metadata"):
            _allow(request, path, "GET", "HEAD")
            described = routes_tensorflow.describe(self._service, asked)
            return lambda _: _json(described), ""
        _allow(request, path, "POST")
        own = self._service.find(asked.model, asked.version).name
        classify = asked.verb == "classify"
        answer = routes_tensorflow.classify if classify else routes_tensorflow.predict
        asked = asked._replace(model=own)
        return self._remember(request, lambda r: answer(self._service, r, asked), own)

    def _route_model(self, request: Request, path: str, parts: list[str]) -> tuple[Handler, str]:
        name, rest, version = parts[0], parts[1:], None
        if len(rest) >= 2 and rest[0] == "versions":
            version, rest = rest[1], rest[2:]
        model = self._service.find(name, version)
        if rest == ["infer"]:
            _allow(request, path, "POST")
            own_name = model.name
            return self._remember(request, lambda r: self._infer(r, own_name, version), own_name)
        if rest == []:
            _allow(request, path, "GET", "HEAD")
            description = open_inference.describe(model.setup.spec, VERSION)
            return lambda _: _json(description), ""
        if rest == ["ready"]:
            _allow(request, path, "GET", "HEAD")
            answer = {"name": model.name, "ready": model.ready}
            return lambda _: _json(answer, 200 if model.ready else 503), ""
        if rest == ["stats"]:
            _allow(request, path, "GET", "HEAD")
            return lambda _: self._statistics(model.name), ""
        raise NotFound(f"there is nothing at {path!r}")

    def _remember(self, request: Request, handler: Handler, model: str) -> tuple[Handler, str]:
        """Only what stays true as long as the model has its name; the model is found again."""
        if len(self._routes) >= MAX_ROUTES:
            self._routes.clear()  # somebody varies queries; the common targets are soon back
        self._routes[request.method, request.target] = handler, model
        return handler, model

    async def _pipeline(self, request: Request, name: str) -> Response:
        return await routes_paddle.pipeline(self._service, request, name)

    async def _statistics(self, name: str = "") -> Response:
        return Response(body=routes_repository.statistics(self._repository, name))

    async def _infer(self, request: Request, name: str, version: str | None) -> Response:
        body = await request.content()
        length = request.header(b"inference-header-content-length")
        if open_inference.is_raw(length):
            spec = self._service.find(name, version).setup.spec
            inference, forms = open_inference.decode_raw(spec, version, body)
        else:
            inference, forms = open_inference.decode(name, version, body, length)
        response = await self._service.infer(inference)
        content, header_length = open_inference.encode(response, forms)
        if header_length is None:
            return Response(body=content)
        return Response(
            body=content,
            content_type=b"application/octet-stream",
            headers=((b"inference-header-content-length", b"%d" % header_length),),
        )

    async def _predict(self, request: Request, name: str) -> Response:
        options = predict.decode_query(request.split_target()[1])
        content_type = request.header(b"content-type") or ""
        body = await request.body()
        if content_type.lower().startswith("multipart/form-data"):
            items = form_items(request.headers.get(b"content-type", b""), body)
        else:
            items, options = predict.decode(content_type, body, options)
        asked = self._service.find(name).setup.task
        if options.picture is not None and asked is not None:
            check_wanted(options.picture, asked, items)
        answer = await self._service.predict(name, items, options.task, options.timeout)
        task = answer.model.setup.task
        assert task is not None
        if options.picture is not None:
            png = await picture(
                self._service.pool, options.picture, task, items[0], answer.results[0]
            )
            return Response(body=png, content_type=b"image/png")
        return Response(body=predict.encode(name, task.name, answer.results, answer.timing))

    async def _index(self, _: Request) -> Response:
        return Response(307, b"", b"text/plain", ((b"location", b"/docs"),))

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
            headers=((b"content-security-policy", policy),),
        )


async def _json(value: Any, status: int = 200) -> Response:
    return Response(status, msgspec.json.encode(value))


def _allow(request: Request, path: str, *methods: str) -> None:
    if request.method not in methods:
        raise _MethodNotAllowed(
            f"{request.method} is not allowed on {path!r}",
            context={"wanted": " or ".join(methods)},
        )
