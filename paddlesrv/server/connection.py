"""HTTP/1.1 connections: bytes to `Request`, `Response` to bytes, one request after another.

httptools parses; limits on headers, bodies and time are held here, and an application that works
for a client which has gone is cancelled. There is no ASGI between: its messages, scopes and
events cost more per request than all that a small network's request needs besides.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

import httptools
import msgspec

from paddlesrv.errors import (
    InvalidInput,
    PaddlesrvError,
    PayloadTooLarge,
)
from paddlesrv.server.connections import Connections
from paddlesrv.server.encodings import decoded
from paddlesrv.server.long_body import LONG, LongBody, Owner, ShortReads

if TYPE_CHECKING:
    from paddlesrv.server.access.gate import Caller

MAX_HEADER_BYTES = 64 << 10

BODY_TIMEOUT = 60.0
"""Seconds that a client may take to send a body."""

_WORTH_A_CALL = 1 << 16
"""Bytes; a body that is longer is not copied to join its head."""

JSON = b"application/json"

_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_END = b"content-length: 0\r\nconnection: close\r\n\r\n"
_MALFORMED = _LINES[400] + _END
_TOO_LARGE = _LINES[431] + _END
_TOO_SLOW = _LINES[408] + _END
TOO_MANY = _LINES[503] + b"retry-after: 1\r\n" + _END


class Response(msgspec.Struct):
    """A status, a body and what the client must know of it."""

    status: int = 200
    body: bytes = b""
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    close: bool = False
    """Whether the connection cannot be used again."""


class _Timeout(PaddlesrvError):
    """The client did not send its body in time."""

    code = "request-timeout"
    http_status = 408


class Request:
    """One request: what its head says, and its body once it has come.

    `target` is what stands in the request line; names of headers are in lower case.
    """

    __slots__ = (
        "_complete",
        "_content",
        "_parts",
        "_send_continue",
        "_size",
        "_waiter",
        "caller",
        "headers",
        "keep_alive",
        "limit",
        "method",
        "target",
    )

    def __init__(
        self, method: str, target: bytes, headers: dict[bytes, bytes], limit: int, keep_alive: bool
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.limit = limit
        self.keep_alive = keep_alive
        self.caller: Caller | None = None
        """Who asks; None where nobody needs a key."""
        self._parts: list[bytes] = []
        self._content: memoryview | None = None
        self._size = 0
        self._complete = False
        self._waiter: asyncio.Future[None] | None = None
        self._send_continue: Callable[[], None] | None = None

    def header(self, name: bytes) -> str | None:
        """A header's value, or None."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def split_target(self) -> tuple[bytes, bytes]:
        """The path as it was sent, and the query.

        Raises:
            InvalidInput: the target is no URL.
        """
        try:
            url = httptools.parse_url(self.target)
        except httptools.HttpParserInvalidURLError:
            raise InvalidInput("the request's target is not a URL") from None
        return url.path or b"/", url.query or b""

    async def body(self) -> bytes:
        """The whole body, for who needs more of it than a view can do.

        Raises:
            As `content`.
        """
        content = await self.content()
        return content if isinstance(content, bytes) else bytes(content)

    async def content(self) -> bytes | memoryview:
        """The whole body; a view of it where it is long, as it was read from the socket.

        Raises:
            PayloadTooLarge: it is over the limit; said before it is read, where its length is.
            UnsupportedMediaType: it is compressed in a way that is not known.
            InvalidInput: it is not compressed as was said.
        """
        declared = self.headers.get(b"content-length")
        if declared is not None and int(declared) > self.limit:
            raise self._too_large()
        if not self._complete:
            await self._rest()
        if self._size > self.limit:
            raise self._too_large()
        body: bytes | memoryview
        if self._content is not None:
            body = self._content
        else:
            body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        coding = self.headers.get(b"content-encoding")
        if coding is None:
            return body
        return await decoded(bytes(body), coding.decode("latin-1"), self.limit)

    async def _rest(self) -> None:
        if self._send_continue is not None and not self._size:
            self._send_continue()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait_for(self._waiter, BODY_TIMEOUT)
        except asyncio.TimeoutError:
            raise _Timeout(f"the body did not arrive within {BODY_TIMEOUT:g} s") from None

    def _too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(
            f"the body is larger than {self.limit} bytes",
            hints=["send less at a time, or start the server with a larger --max-body"],
        )

    # -- for the connection ------------------------------------------------------------------

    def expects_continue(self, send: Callable[[], None]) -> None:
        """The client waits for a word before it sends the body."""
        self._send_continue = send

    def add(self, data: bytes) -> bool:
        """A piece of the body; False when it is too large and no more is kept."""
        self._size += len(data)
        if self._size > self.limit:
            self._parts.clear()
            self.complete()
            return False
        self._parts.append(data)
        return True

    def rest_of(self, owner: Owner) -> LongBody | None:
        """What reads the rest of the body, if it is long enough, and its length known."""
        declared = self.headers.get(b"content-length")
        if declared is None or b"upgrade" in self.headers:
            return None
        size = int(declared)
        if size > self.limit or size - self._size < LONG:
            return None
        return LongBody(owner, size, self._parts)

    def complete(self, content: memoryview | None = None) -> None:
        """Nothing more comes; `content` is the body where it was read apart from `add`."""
        if content is not None:
            self._content, self._size = content, len(content)
            self._parts.clear()
        self._complete = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


Application = Callable[[Request], Awaitable["Response | None"]]
"""Answers a request; None if the client has gone (the call was cancelled)."""


class HttpConnection(asyncio.Protocol):
    """One connection. Requests that come while another is answered wait their turn.

    One task answers all of them: a task for each costs more than what a small network needs.
    """

    def __init__(self, shared: Connections, application: Application) -> None:
        self._shared = shared
        self._application = application
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._task: asyncio.Task[None]
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._in_head = False
        self._read = 0
        """Bytes read since the request began, or somewhat more."""
        self._receiving: Request | None = None
        self._queue: deque[Request] = deque()
        self._busy = False
        self._wakeup: asyncio.Future[None] | None = None
        self._write_paused = False
        self._broken = False
        self._since = shared.loop.time()
        """When it became idle, or began to send a head."""

    # -- life --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, unless there are too many."""
        self._transport = transport
        self._task = self._shared.loop.create_task(self._answer_all())
        self._shared.open.add(self)
        if self._shared.full:
            self._refuse(TOO_MANY)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone: whoever works for it may stop."""
        self._shared.open.discard(self)
        self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse; the callbacks below are called on the way."""
        if self._transport.is_closing():
            return
        self._read += len(data)
        rest: bytes | memoryview = data
        while rest:
            try:
                self._parser.feed_data(rest)
                break
            except httptools.HttpParserUpgrade as stop:
                # The offer of another protocol is ignored, as RFC 9110, 7.8 allows.
                rest = memoryview(rest)[stop.args[0] :]
            except httptools.HttpParserError:
                self._malformed()
                return
        if self._in_head and self._read > MAX_HEADER_BYTES:
            self._refuse(_TOO_LARGE)
        elif self._receiving is not None and not self._transport.is_closing():
            taker = self._receiving.rest_of(self)
            if taker is not None:
                self._transport.set_protocol(taker)

    def close_if_idle(self) -> None:
        """Close, unless a request is being answered: that one is answered first."""
        if not self._busy and not self._queue:
            self._transport.close()

    def close_if_late(self, now: float, idle: float, head: float) -> None:
        """Close if it has idled, or been sending a head, for longer than so many seconds."""
        if self._busy:
            return
        if self._in_head and now - self._since > head:
            self._refuse(_TOO_SLOW)
        elif now - self._since > idle:
            if self._write_paused or self._transport.is_closing():
                self._transport.abort()  # it does not even read its last answer
            else:
                self._transport.close()

    def abort(self) -> None:
        """Cut it."""
        self._transport.abort()

    def long_body_read(self, body: memoryview) -> None:
        """The rest came past the parser, which still waits for it: a new one takes its place."""
        self._parser = httptools.HttpRequestParser(self)
        # Who sends one will send another.
        self._transport.set_protocol(ShortReads(self))
        self._read = 0
        if self._receiving is not None:
            self._receiving.complete(body)
            self._receiving = None

    # -- called by the parser ----------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request starts."""
        self._target = b""
        self._headers = {}
        self._in_head = True
        self._since = self._shared.loop.time()

    def on_url(self, url: bytes) -> None:
        """A piece of the request line."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The head is whole: its request may be answered, after those before it."""
        self._in_head = False
        if self._transport.is_closing():
            return
        # Counted only where enough was read for it to matter.
        if self._read > MAX_HEADER_BYTES and self._head_size() > MAX_HEADER_BYTES:
            self._refuse(_TOO_LARGE)
            return
        parser = self._parser
        request = Request(
            parser.get_method().decode("ascii"),
            self._target,
            self._headers,
            self._shared.max_body,
            parser.should_keep_alive() and parser.get_http_version() != "1.0",
        )
        if b"expect" in self._headers and self._headers[b"expect"].lower() == b"100-continue":
            request.expects_continue(lambda: self._transport.write(_CONTINUE))
        self._receiving = request
        self._queue.append(request)
        if self._busy or self._write_paused:
            self._transport.pause_reading()
        else:
            self._wake_up()

    def on_body(self, data: bytes) -> None:
        """A piece of a body; of one that is answered already, it goes nowhere."""
        if self._receiving is not None and not self._receiving.add(data):
            self._receiving = None

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._read = 0
        if self._receiving is not None:
            self._receiving.complete()
            self._receiving = None

    # -- called by the transport -------------------------------------------------------------

    def pause_writing(self) -> None:
        """The client does not read its answers: nothing more is computed for it."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """It reads again."""
        self._write_paused = False
        self._wake_up()

    # -- answers -----------------------------------------------------------------------------

    async def _answer_all(self) -> None:
        """Until the connection closes; it is cancelled when the client goes."""
        shared, transport = self._shared, self._transport
        while not transport.is_closing():
            if not self._queue or self._write_paused:
                if not self._queue:
                    transport.resume_reading()
                self._wakeup = shared.loop.create_future()
                await self._wakeup
                continue
            self._busy = True
            request = self._queue.popleft()
            if self._receiving is request:
                transport.resume_reading()  # the rest of its body, which waited its turn
            response = await self._application(request)
            self._busy = False
            if response is None or transport.is_closing():
                return
            if self._receiving is request:
                self._receiving = None  # what is left of its body goes nowhere
            self._since = shared.loop.time()
            last = self._broken and not self._queue
            keep = request.keep_alive and not (response.close or shared.closing or last)
            head = _head(response, keep)
            body = b"" if request.method == "HEAD" else response.body
            if len(body) < _WORTH_A_CALL:
                transport.write(head + body)  # one system call, one packet
            else:
                transport.writelines((head, body))
            if not keep:
                transport.close()

    def _wake_up(self) -> None:
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)

    # -- refusals ----------------------------------------------------------------------------

    def _head_size(self) -> int:
        lines = sum(len(name) + len(value) + 4 for name, value in self._headers.items())
        return len(self._target) + lines

    def _malformed(self) -> None:
        if self._receiving is None and (self._busy or self._queue):
            # Requests before it are answered first, in their order; then the connection closes.
            self._broken = True
            self._transport.pause_reading()
        else:
            self._refuse(_MALFORMED)

    def _refuse(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)
            self._transport.close()


def _head(response: Response, keep: bool) -> bytes:
    parts = [
        _LINES[response.status],
        b"content-type: %b\r\ncontent-length: %d\r\n" % (response.content_type, len(response.body)),
    ]
    for name, value in response.headers:
        parts.append(b"%b: %b\r\n" % (name, value))
    parts.append(b"\r\n" if keep else b"connection: close\r\n\r\n")
    return b"".join(parts)
