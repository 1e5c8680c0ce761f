"""Load on an HTTP server from a fixed number of connections, each with one request in flight.

`wrk` makes the load where it is installed: it needs the least CPU time of the machine that it
shares with the server. Otherwise a generator of our own does, over plain sockets; requests are
bytes made beforehand, and of an answer it reads no more than the status and the length.

Run by itself, it loads any address: `python -m benchmarks.load URL --body FILE`.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Target:
    """One request, which is sent again and again."""

    url: str
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """What a server did under load; times in milliseconds, of a whole request and answer."""

    tool: str
    connections: int
    seconds: float
    requests: int
    errors: int
    rate: float
    p50_ms: float
    p99_ms: float


def tool() -> str:
    """What makes the load on this machine: `wrk`, or `own`."""
    return "wrk" if shutil.which("wrk") else "own"


def measure(target: Target, connections: int, seconds: float, with_tool: str = "") -> Report:
    """Load a server and say how it did.

    Raises:
        RuntimeError: the server cannot be reached, or the generator failed.
    """
    run = _wrk if (with_tool or tool()) == "wrk" else _own
    return run(target, connections, seconds)


# -- wrk -----------------------------------------------------------------------------------------

_SCRIPT = """
wrk.method = "POST"
{headers}
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
file:close()
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %f %f\\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


def _wrk(target: Target, connections: int, seconds: float) -> Report:
    with tempfile.TemporaryDirectory() as scratch:
        body, script = Path(scratch, "body"), Path(scratch, "post.lua")
        body.write_bytes(target.body)
        headers = {"content-type": target.content_type, **target.headers}
        lines = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items())
        script.write_text(_SCRIPT.format(headers=lines, body=body))
        # wrk takes whole seconds only.
        duration = max(1, round(seconds))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{duration}s", "--timeout", "30s"]
        done = subprocess.run(
            [*command, "-s", str(script), target.url], capture_output=True, text=True, check=False
        )
    found = re.search(r"^RESULT (\d+) (\d+) (\d+) ([\d.]+) ([\d.]+)$", done.stdout, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"wrk failed: {done.stdout[-500:]}{done.stderr[-500:]}")
    requests, microseconds, errors = (int(found[i]) for i in (1, 2, 3))
    took = microseconds / 1e6
    return Report(
        tool="wrk",
        connections=connections,
        seconds=took,
        requests=requests,
        errors=errors,
        rate=(requests - errors) / took,
        p50_ms=float(found[4]) / 1e3,
        p99_ms=float(found[5]) / 1e3,
    )


# -- our own -------------------------------------------------------------------------------------


Reader = Callable[[bytes], "tuple[int, bool] | None"]
"""The length of the answer that a buffer begins with, and whether it is a good one; None: more is
to come."""


def http_answer(buffer: bytes) -> tuple[int, bool] | None:
    """A `Reader` of HTTP/1.1.

    Raises:
        RuntimeError: an answer does not say how long it is.
    """
    head = buffer.find(b"\r\n\r\n")
    if head < 0:
        return None
    headers = buffer[:head].lower()
    start = headers.find(b"content-length:")
    if start < 0:
        raise RuntimeError("an answer without content-length")
    end = headers.find(b"\r\n", start)
    length = head + 4 + int(headers[start + 15 : end if end > 0 else None])
    return (length, headers.startswith(b"http/1.1 200")) if len(buffer) >= length else None


class _Connection(asyncio.Protocol):
    """Sends the request, waits for the whole answer, and again until the time is over."""

    def __init__(self, request: bytes, read: Reader, until: float, times: list[float]) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.errors = 0
        self._request = request
        self._read = read
        self._until = until
        self._times = times
        self._buffer = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        try:
            answer = self._read(self._buffer)
        except RuntimeError as error:
            self._stop(error)
            return
        if answer is None:
            return
        now = time.perf_counter()
        self._times.append(now - self._sent)
        if not answer[1]:
            self.errors += 1
        self._buffer = b""
        if now < self._until:
            self._send()
        else:
            self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop(exc or RuntimeError("the server closed the connection"))

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)

    def _stop(self, error: Exception | None = None) -> None:
        if not self.done.done():
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(error)
            self._transport.close()


def _own(target: Target, connections: int, seconds: float) -> Report:
    import uvloop

    return uvloop.run(_load(target, connections, seconds))


async def _load(target: Target, connections: int, seconds: float) -> Report:
    parts = urlsplit(target.url)
    assert parts.hostname is not None
    assert parts.port is not None
    address = parts.hostname, parts.port
    return await load(address, request_of(target), http_answer, connections, seconds)


def request_of(target: Target) -> bytes:
    """The bytes of an HTTP request."""
    parts = urlsplit(target.url)
    lines = {
        "host": parts.netloc,
        "content-type": target.content_type,
        "content-length": len(target.body),
        **target.headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {parts.path or '/'} HTTP/1.1\r\n{head}\r\n".encode() + target.body


async def load(
    address: tuple[str, int], request: bytes, read: Reader, connections: int, seconds: float
) -> Report:
    """Send the same bytes on each connection, again whenever they are answered."""
    loop = asyncio.get_running_loop()
    times: list[float] = []
    started = time.perf_counter()
    all_connections = []
    for _ in range(connections):
        _, connection = await loop.create_connection(
            lambda: _Connection(request, read, started + seconds, times), *address
        )
        all_connections.append(connection)
    await asyncio.gather(*(c.done for c in all_connections))
    took = time.perf_counter() - started
    times.sort()
    errors = sum(c.errors for c in all_connections)
    return Report(
        tool="own",
        connections=connections,
        seconds=took,
        requests=len(times),
        errors=errors,
        rate=(len(times) - errors) / took,
        p50_ms=times[len(times) // 2] * 1e3,
        p99_ms=times[min(len(times) - 1, len(times) * 99 // 100)] * 1e3,
    )


def main() -> None:
    """Load one address and print what came of it."""
    parser = argparse.ArgumentParser(description="Load an HTTP server with one request.")
    parser.add_argument("url")
    parser.add_argument("--body", type=Path, required=True, help="file that is sent")
    parser.add_argument("--content-type", default="application/json")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--tool", choices=["wrk", "own"], default=tool())
    args = parser.parse_args()
    target = Target(args.url, args.body.read_bytes(), args.content_type)
    for connections in args.connections:
        print(asdict(measure(target, connections, args.seconds, args.tool)))


if __name__ == "__main__":
    main()
