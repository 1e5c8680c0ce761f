"""How one request after another looks on a connection: HTTP/1.1, bRPC frames, gRPC over HTTP/2.

Without input and output: bytes go in, bytes to send and outcomes come out. Of an answer no more is
read than is needed to know where it ends and whether it is good: a generator that does more
measures itself. Requests are bytes made beforehand.
"""

from __future__ import annotations

import struct
from typing import Literal, NamedTuple, Protocol

import msgspec
from paddlesrv_client.wire import baidu_std
from paddlesrv_client.wire.baidu_std import RpcMeta

Kind = Literal["http", "frames", "grpc"]


class Sent(msgspec.Struct, frozen=True):
    """The request that is sent again and again.

    Of `http` and `frames`, `data` is all of it; of `grpc` it is the message, and `path` the method,
    `metadata` what goes with it.
    """

    kind: Kind
    data: bytes
    path: str = ""
    authority: str = ""
    metadata: dict[str, str] = {}

    def with_key(self, key: str) -> Sent:
        """The same request with an API key, where each protocol has it."""
        bearer = f"Bearer {key}"
        if self.kind == "grpc":
            return msgspec.structs.replace(self, metadata={"authorization": bearer})
        if self.kind == "http":
            head, end, body = self.data.partition(b"\r\n\r\n")
            line = f"\r\nauthorization: {bearer}".encode("latin-1")
            return msgspec.structs.replace(self, data=head + line + end + body)
        _, _, size = FrameWire.HEADER.unpack_from(self.data)
        rest = self.data[FrameWire.HEADER.size :]
        meta = RpcMeta.FromString(rest[:size])
        meta.authentication_data = key.encode()
        return msgspec.structs.replace(self, data=baidu_std.encode(meta, rest[size:]))


class Outcome(NamedTuple):
    """One answer: `error` is empty if it is good, else its kind; `detail` is what it says."""

    error: str = ""
    detail: str = ""


_DETAIL = 500
"""Bytes of what an error says that are kept."""


class WireError(Exception):
    """The peer does not speak this protocol."""


class Wire(Protocol):
    """One connection's side of a protocol; one request is in flight at a time."""

    def hello(self) -> bytes:
        """What is said first, before any request."""
        ...

    def request(self) -> bytes:
        """The next request."""
        ...

    def feed(self, data: bytes) -> tuple[Outcome | None, bytes]:
        """What came: the answer, if it is whole now, and what must be said in return.

        Raises:
            WireError: it cannot be read.
        """
        ...


def wire(sent: Sent) -> Wire:
    """A connection's side of the request's protocol."""
    if sent.kind == "grpc":
        return GrpcWire(sent)
    return HttpWire(sent.data) if sent.kind == "http" else FrameWire(sent.data)


class HttpWire:
    """HTTP/1.1, answers with a length."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._buffer = bytearray()
        self._whole = 0
        self._error = ""

    def hello(self) -> bytes:
        """Nothing."""
        return b""

    def request(self) -> bytes:
        """The same bytes."""
        return self._request

    def feed(self, data: bytes) -> tuple[Outcome | None, bytes]:
        """See `Wire`."""
        self._buffer += data
        if not self._whole:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return None, b""
            self._read_head(bytes(self._buffer[:end]).lower(), end + 4)
        if len(self._buffer) < self._whole:
            return None, b""
        detail = ""
        if self._error:
            _, _, body = bytes(self._buffer[: self._whole]).partition(b"\r\n\r\n")
            detail = body[:_DETAIL].decode(errors="replace")
        self._buffer.clear()
        self._whole = 0
        return Outcome(self._error, detail), b""

    def _read_head(self, head: bytes, size: int) -> None:
        if not head.startswith(b"http/1."):
            raise WireError("this is no HTTP/1.1")
        start = head.find(b"\r\ncontent-length:")
        if start < 0:
            raise WireError("an answer without content-length")
        line = head[start + 17 :].partition(b"\r\n")[0].strip()
        if not line.isdigit():
            raise WireError("a content-length that is no number")
        self._whole = size + int(line)
        status = head[9:12].decode("latin-1")
        self._error = "" if status == "200" else f"HTTP {status}"


class FrameWire:
    """baidu_std frames: `PRPC`, the size of all that follows, the size of the meta."""

    HEADER = struct.Struct("!4sII")

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._buffer = bytearray()

    def hello(self) -> bytes:
        """Nothing."""
        return b""

    def request(self) -> bytes:
        """The same bytes: one call is in flight, so its number may stay the same."""
        return self._request

    def feed(self, data: bytes) -> tuple[Outcome | None, bytes]:
        """See `Wire`."""
        self._buffer += data
        if len(self._buffer) < self.HEADER.size:
            return None, b""
        magic, size, meta = self.HEADER.unpack_from(self._buffer)
        if magic != b"PRPC":
            raise WireError("this is no bRPC")
        if len(self._buffer) < self.HEADER.size + size:
            return None, b""
        outcome = Outcome()
        if size == meta:  # a refusal has a meta alone
            said = RpcMeta.FromString(bytes(self._buffer[self.HEADER.size :])).response
            outcome = Outcome(f"bRPC {said.error_code}", said.error_text[:_DETAIL])
        self._buffer.clear()
        return outcome, b""


_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_INITIAL_WINDOW = 65535
_OUR_WINDOW = (1 << 31) - 1
_MAX_FRAME = 16384
_MAX_STREAM = (1 << 31) - 1


class GrpcWire:
    """Unary calls of gRPC, one after another (RFC 9113; headers without compression, RFC 7541).

    An answer with a message is good; one without has only trailers, which say why. They are not
    decompressed: whoever wants the reason asks once with a client of gRPC's own.
    """

    def __init__(self, sent: Sent) -> None:
        fields = (
            (":method", "POST"), (":scheme", "http"), (":authority", sent.authority),
            (":path", sent.path), ("content-type", "application/grpc"), ("te", "trailers"),
            *sent.metadata.items(),
        )  # fmt: skip
        self._headers = b"".join(
            b"\0" + _text(name.encode()) + _text(value.encode()) for name, value in fields
        )
        self._body = struct.pack("!BI", 0, len(sent.data)) + sent.data
        self._stream = -1
        self._left = b""
        """What of the request must wait until the server takes more."""
        self._window = _INITIAL_WINDOW
        self._stream_window = 0
        self._initial = _INITIAL_WINDOW
        self._max_frame = _MAX_FRAME
        self._answered = False
        self._unacknowledged = 0
        self._buffer = bytearray()

    def hello(self) -> bytes:
        """The preface; the server may send what it likes, this side reads everything."""
        settings = struct.pack("!HI", 4, _OUR_WINDOW)
        more = struct.pack("!I", _OUR_WINDOW - _INITIAL_WINDOW)
        return _PREFACE + _frame(_SETTINGS, 0, 0, settings) + _frame(_WINDOW, 0, 0, more)

    def request(self) -> bytes:
        """The next stream.

        Raises:
            WireError: a connection has no more of them.
        """
        self._stream += 2
        if self._stream > _MAX_STREAM:
            raise WireError("a connection carries no more calls")
        self._answered = False
        self._stream_window = self._initial
        self._left = self._body
        return _frame(_HEADERS, _END_HEADERS, self._stream, self._headers) + self._more()

    def feed(self, data: bytes) -> tuple[Outcome | None, bytes]:
        """See `Wire`."""
        self._buffer += data
        reply = b""
        outcome = None
        while len(self._buffer) >= 9:
            size = int.from_bytes(self._buffer[:3], "big")
            if len(self._buffer) < 9 + size:
                break
            kind, flags = self._buffer[3], self._buffer[4]
            stream = int.from_bytes(self._buffer[5:9], "big")
            content = bytes(self._buffer[9 : 9 + size])
            del self._buffer[: 9 + size]
            ended, said = self._take(kind, flags, stream, content)
            outcome = ended or outcome
            reply += said
        return outcome, reply

    def _take(
        self, kind: int, flags: int, stream: int, content: bytes
    ) -> tuple[Outcome | None, bytes]:
        if kind == _DATA:
            self._answered = self._answered or (stream == self._stream and len(content) >= 5)
            return self._ended(flags, stream), self._acknowledge(len(content))
        if kind == _HEADERS:
            return self._ended(flags, stream), b""
        if kind == _SETTINGS and not flags & _ACK:
            self._settings(content)
            return None, _frame(_SETTINGS, _ACK, 0, b"") + self._more()
        if kind == _PING and not flags & _ACK:
            return None, _frame(_PING, _ACK, 0, content)
        if kind == _WINDOW:
            more = int.from_bytes(content, "big")
            if stream == 0:
                self._window += more
            elif stream == self._stream:
                self._stream_window += more
            return None, self._more()
        if kind == _RESET and stream == self._stream:
            return Outcome("stream reset"), b""
        if kind == _GOAWAY:
            raise WireError("the server goes away")
        return None, b""

    def _ended(self, flags: int, stream: int) -> Outcome | None:
        if not flags & _END_STREAM or stream != self._stream:
            return None
        return Outcome("" if self._answered else "gRPC error")

    def _settings(self, content: bytes) -> None:
        for number, value in struct.iter_unpack("!HI", content):
            if number == 4:
                self._stream_window += value - self._initial
                self._initial = value
            elif number == 5:
                self._max_frame = value

    def _acknowledge(self, size: int) -> bytes:
        """Open the connection's window again, long before it closes."""
        self._unacknowledged += size
        if self._unacknowledged < _OUR_WINDOW // 2:
            return b""
        more, self._unacknowledged = self._unacknowledged, 0
        return _frame(_WINDOW, 0, 0, struct.pack("!I", more))

    def _more(self) -> bytes:
        """As much of the request as the server takes now."""
        parts = []
        while self._left:
            room = min(self._max_frame, self._window, self._stream_window)
            if room <= 0:
                break
            part, self._left = self._left[:room], self._left[room:]
            self._window -= len(part)
            self._stream_window -= len(part)
            flags = 0 if self._left else _END_STREAM
            parts.append(_frame(_DATA, flags, self._stream, part))
        return b"".join(parts)


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    size = len(content)
    return struct.pack("!BHBBI", size >> 16, size & 0xFFFF, kind, flags, stream) + content


def _text(value: bytes) -> bytes:
    """A literal string of HPACK (RFC 7541, 5.1 and 5.2), not compressed."""
    length = len(value)
    if length < 127:
        return bytes([length]) + value
    head, length = bytearray([127]), length - 127
    while length >= 128:
        head.append(length % 128 + 128)
        length //= 128
    head.append(length)
    return bytes(head) + value
