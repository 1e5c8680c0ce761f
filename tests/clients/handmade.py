"""A server made by hand: it answers each request with the next bytes that it was given.

What it does not do right is what a client must survive: cut bodies, wrong lengths, pages of a
proxy, connections that break.
"""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple


class Asked(NamedTuple):
    """A request as it came; names of headers in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes


class Stall:
    """No answer; `gone` is set once the client has closed the connection."""

    def __init__(self, before: bytes = b"") -> None:
        self.before = before
        self.gone = threading.Event()


Step = bytes | Stall
"""Bytes to answer with; empty: the connection is closed instead."""


class Handmade:
    """The steps that are left (the last one stays), and what was asked."""

    def __init__(self, url: str, steps: list[Step]) -> None:
        self.url = url
        self.steps = steps
        self.asked: list[Asked] = []
        self.arrived = threading.Semaphore(0)


def response(
    body: bytes, status: str = "200 OK", kind: str = "application/octet-stream", **headers: Any
) -> bytes:
    """A whole answer; underscores in the names of headers are dashes."""
    more = {"content-type": kind, "content-length": len(body)}
    more |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in more.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def tensors(*outputs: dict[str, Any], blobs: bytes = b"", **more: Any) -> bytes:
    """An answer of the Open Inference Protocol, or nearly one."""
    header = json.dumps({"model_name": "m", "outputs": list(outputs), **more}).encode()
    return response(header + blobs, inference_header_content_length=len(header))


@contextlib.contextmanager
def handmade(*steps: Step) -> Iterator[Handmade]:
    """Answer with these steps until the block ends."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):
                while _answer(state, self.rfile, self.connection):
                    pass

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as server:
        state = Handmade(f"http://127.0.0.1:{server.server_address[1]}", list(steps))
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


def _answer(state: Handmade, stream: Any, connection: socket.socket) -> bool:
    """One request and what is said to it; whether the connection stays open."""
    line = stream.readline().decode().strip()
    if not line:
        return False
    headers: dict[str, str] = {}
    while field := stream.readline().decode().strip():
        name, _, value = field.partition(":")
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", 0)))
    step = state.steps.pop(0) if len(state.steps) > 1 else state.steps[0]
    state.asked.append(Asked(line, headers, body))
    state.arrived.release()
    if isinstance(step, Stall):
        connection.sendall(step.before)
        with contextlib.suppress(ConnectionError):
            stream.read(1)
        step.gone.set()
        return False
    connection.sendall(step)
    announced = step.partition(b"\r\n\r\n")[0].lower()
    # What is cut short must end, or its reader would wait for the rest.
    return b"content-length: %d\r\n" % len(step.partition(b"\r\n\r\n")[2]) in announced + b"\r\n"
