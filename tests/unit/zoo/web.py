"""A real HTTP server with ranges and validators, which fails as it is told to."""

from __future__ import annotations

import gzip
import re
import ssl
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Fault = Callable[["_Handler", "Resource"], None]


@dataclass
class Request:
    """What a client asked for, and how many bytes of body it was sent."""

    path: str
    headers: dict[str, str]
    sent: int = 0


@dataclass
class Resource:
    """Bytes at a path. Each fault answers one request; when they are used up all goes well."""

    body: bytes
    etag: str | None = '"one"'
    content_type: str = "application/octet-stream"
    faults: list[Fault] = field(default_factory=list)
    ranges: bool = True
    length: bool = True
    encoding: str | None = None


class Web:
    """The server; `resources` by path, `requests` in order."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.resources: dict[str, Resource] = {}
        self.requests: list[Request] = []
        self.allowance: int | None = None
        """Bytes of bodies that will still be sent; after them every connection is closed."""
        self.lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.web = self
        if tls is not None:
            # The handshake is left to each connection's own thread.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Web:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def put(self, path: str, body: bytes, **options: object) -> str:
        """Offer bytes at a path; returns the URL."""
        self.resources[path] = Resource(body, **options)
        return self.url + path

    @property
    def bytes_sent(self) -> int:
        return sum(request.sent for request in self.requests)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        # A client that leaves in the middle is what some tests are about.
        if not isinstance(sys.exc_info()[1], (ConnectionError, ssl.SSLError)):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        web: Web = self.server.web
        self.request_record = Request(self.path, dict(self.headers.items()))
        web.requests.append(self.request_record)
        resource = web.resources.get(self.path)
        if resource is None:
            self.send_error(404)
        elif resource.faults:
            resource.faults.pop(0)(self, resource)
        else:
            self.answer(resource)

    def answer(self, resource: Resource, *, cut_after: int | None = None) -> None:
        """The right answer; or only that many bytes of its body, and then a closed connection."""
        total = len(resource.body)
        start, end = self.wanted_range(resource)
        if start is not None and start >= total:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = resource.body[start or 0 : end]
        if start is None:
            self.send_response(200)
        else:
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{total}")
        self.send_header("Content-Type", resource.content_type)
        if resource.etag:
            self.send_header("ETag", resource.etag)
        if resource.encoding:
            self.send_header("Content-Encoding", resource.encoding)
        if resource.length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.send_body(body if cut_after is None else body[:cut_after])
        self.close_connection = True

    def wanted_range(self, resource: Resource) -> tuple[int | None, int]:
        """First byte and the one after the last; no first byte where no range is asked for."""
        total = len(resource.body)
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if not found or not resource.ranges or (condition and condition != resource.etag):
            return None, total
        return int(found[1]), min(total, int(found[2]) + 1 if found[2] else total)

    def send_body(self, body: bytes) -> None:
        web: Web = self.server.web
        with web.lock:
            if web.allowance is not None:
                body = body[: web.allowance]
                web.allowance -= len(body)
            # Counted first: the client may look as soon as it has the last byte.
            self.request_record.sent += len(body)
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *arguments: object) -> None:
        pass


def cut(after: int) -> Fault:
    """Close the connection after that many bytes of the body."""
    return lambda handler, resource: handler.answer(resource, cut_after=after)


def status(code: int) -> Fault:
    """Answer with a status and no more."""
    return lambda handler, resource: handler.send_error(code)


def answers(**changes: object) -> Fault:
    """Answer as if the resource were another one: `body`, `etag`, `ranges`, ..."""
    return lambda handler, resource: handler.answer(replace(resource, **changes))


def compressed(headers: dict[str, str] | None = None) -> Fault:
    """Compress the body on its way, whatever the client accepts."""

    def answer(handler: _Handler, resource: Resource) -> None:
        body = gzip.compress(resource.body)
        handler.send_response(200)
        for name, value in (headers or {"Content-Encoding": "gzip"}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.send_body(body)

    return answer


def labelled_as_compressed(handler: _Handler, resource: Resource) -> None:
    """Send the bytes as they are, and say that they were compressed on their way."""
    handler.send_response(200)
    handler.send_header("Content-Encoding", "gzip")
    handler.send_header("Content-Length", str(len(resource.body)))
    handler.end_headers()
    handler.send_body(resource.body)


def wrong_range(start: int) -> Fault:
    """Answer a range with another one."""

    def answer(handler: _Handler, resource: Resource) -> None:
        body, total = resource.body[start:], len(resource.body)
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.send_body(body)

    return answer


def redirect(url: str) -> Fault:
    """Send the client elsewhere."""

    def answer(handler: _Handler, resource: Resource) -> None:
        handler.send_response(302)
        handler.send_header("Location", url)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def stall(after: int, reached: threading.Event, release: threading.Event) -> Fault:
    """Send that many bytes of the body, say so, and keep the client waiting until released."""

    def answer(handler: _Handler, resource: Resource) -> None:
        handler.answer(resource, cut_after=after)
        reached.set()
        release.wait(60)

    return answer
