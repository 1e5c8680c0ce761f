"""One network asked in every protocol, on the port they share and on ports of their own.

    python -m benchmarks.protocols --export protocols.json

The network is the linear model of 13 features, so that what is measured is the server's own cost.
Beside it stand bare servers, each the least that speaks its protocol: `bare http` (httptools)
and `bare frames` answer what is always the same, `bare grpc` and `bare grpc, threads` (grpc.aio and
gRPC's synchronous server) what they were sent. Everything is up during the whole run and is loaded
in turns. HTTP and bRPC are loaded by the generator in `load.py`, gRPC by `h2load`, which needs
the least of the machine that it shares with the server; without it gRPC is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import httptools
import numpy as np
import psutil
import uvloop
from paddlesrv_client.wire.messages import message

from benchmarks.grpc_ceiling import METHOD, bare_aio, bare_threads, running
from benchmarks.load import Report, Target, http_answer, load, request_of
from benchmarks.report import Point, as_json, table
from benchmarks.systems import System, free_port, paddlesrv
from tests.protocols.brpc_client import frame, rows
from tests.standins import linear

X = np.arange(1, 14, dtype=np.float32).reshape(1, 13)
GRPC_CALLS = 3000
"""For h2load to find out how fast a server is, before it is told how many calls to make."""


class Subject(NamedTuple):
    """What is loaded: a name, an address, how, and the processes that work for it."""

    name: str
    load: Callable[[int, float], Report]
    processes: Callable[[], float]


# -- requests --------------------------------------------------------------------------------------


def as_json_tensor() -> bytes:
    """Open Inference Protocol, JSON."""
    tensor = {"name": "x", "shape": [1, 13], "datatype": "FP32", "data": X.ravel().tolist()}
    return json.dumps({"inputs": [tensor]}).encode()


def as_binary() -> tuple[bytes, int]:
    """Open Inference Protocol, tensors as bytes both ways; the body, and the length of its JSON."""
    parameters = {"binary_data_size": X.nbytes}
    tensor = {"name": "x", "shape": [1, 13], "datatype": "FP32", "parameters": parameters}
    message_ = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    header = json.dumps(message_).encode()
    return header + X.tobytes(), len(header)


def as_grpc() -> bytes:
    """`ModelInfer` with raw contents, as a message of gRPC on the wire."""
    request = message("inference.ModelInferRequest")(model_name="linear")
    request.inputs.add(name="x", datatype="FP32", shape=[1, 13])
    request.raw_input_contents.append(X.tobytes())
    body: bytes = request.SerializeToString()
    return struct.pack("!BI", 0, len(body)) + body


def frame_answer(buffer: bytes) -> tuple[int, bool] | None:
    """The next frame of an answer; one with an error has no body."""
    if len(buffer) < 12:
        return None
    magic, size, meta = struct.unpack_from("!4sII", buffer)
    return (12 + size, magic == b"PRPC" and size > meta) if len(buffer) >= 12 + size else None


# -- loads -----------------------------------------------------------------------------------------


def by_bytes(
    address: str, request: bytes, read: Callable[[bytes], tuple[int, bool] | None]
) -> Callable[[int, float], Report]:
    """A load of the same bytes over and over."""
    host, _, port = address.rpartition(":")

    def measure(connections: int, seconds: float) -> Report:
        return uvloop.run(load((host, int(port)), request, read, connections, seconds))

    return measure


def by_h2load(address: str, body: Path) -> Callable[[int, float], Report]:
    """A load of calls, one at a time on each connection."""

    def calls(count: int, connections: int) -> tuple[float, list[float], int]:
        with tempfile.NamedTemporaryFile(suffix=".log") as log:
            done = subprocess.run(
                ["h2load", "-n", str(count), "-c", str(connections), "-m", "1", "-t", "1",
                 "-d", str(body), "-H", "content-type: application/grpc", "-H", "te: trailers",
                 "--log-file", log.name, f"http://{address}{METHOD}"],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            lines = [line.split() for line in Path(log.name).read_text().splitlines()]
        found = re.search(r"finished in ([\d.]+)(m?s), ", done.stdout)
        if found is None or not lines:
            raise RuntimeError(f"h2load failed: {done.stdout[-500:]}{done.stderr[-500:]}")
        seconds = float(found[1]) * (1e-3 if found[2] == "ms" else 1)
        failed = sum(status != "200" for _, status, _ in lines)
        return seconds, sorted(int(micros) / 1e3 for *_, micros in lines), failed

    def measure(connections: int, seconds: float) -> Report:
        probe = max(connections, GRPC_CALLS // 10)
        took, _, _ = calls(probe, connections)
        count = max(connections, round(probe / took * seconds))
        took, times, failed = calls(count, connections)
        rate = (len(times) - failed) / took
        p99 = times[min(len(times) - 1, len(times) * 99 // 100)]
        middle = times[len(times) // 2]
        return Report("h2load", connections, took, len(times), failed, rate, middle, p99)

    return measure


# -- bare servers ----------------------------------------------------------------------------------


class _BareHttp(asyncio.Protocol):
    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")


class _BareFrames(asyncio.Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)  # each is one request, and answers are as good as any


def _listening(protocol: type[asyncio.Protocol], pipe: Connection) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(main())


def bare_http(pipe: Connection) -> None:
    """httptools parses, the answer is made beforehand."""
    _listening(_BareHttp, pipe)


def bare_frames(pipe: Connection) -> None:
    """Bytes come and go."""
    _listening(_BareFrames, pipe)


def _used(process: psutil.Process) -> Callable[[], float]:
    def seconds() -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    return seconds


@contextlib.contextmanager
def ours(scratch: Path, body: Path) -> Iterator[list[Subject]]:
    """paddlesrv with a port for all protocols, and others for gRPC and for bRPC alone."""
    model = scratch / "linear"
    linear.write_onnx(model)
    ports = [free_port() for _ in range(3)]
    shared, grpc_only, brpc_only = (f"127.0.0.1:{port}" for port in ports)
    command = paddlesrv(
        str(model), "--max-batch-size", "64", "--threads", "1", "--grpc-port", str(ports[1]),
        "--brpc-port", str(ports[2]), port=ports[0],
    )  # fmt: skip
    url = f"http://{shared}/v2/models/linear/infer"
    plain = Target(url, as_json_tensor())
    binary, length = as_binary()
    framed = Target(url, binary, "application/octet-stream",
                    {"inference-header-content-length": str(length)})  # fmt: skip
    home = {"PADDLESRV_HOME": str(scratch / "home")}
    system = System("paddlesrv", command, plain, home, scratch / "ours.log")
    try:
        value = json.loads(system.answer())["outputs"][0]["data"][0]
        assert abs(value - float(linear.expected(X)[0, 0])) < 1e-3, value
        loads = {
            "http, JSON": by_bytes(shared, request_of(plain), http_answer),
            "http, binary": by_bytes(shared, request_of(framed), http_answer),
            "brpc, shared": by_bytes(shared, _brpc(), frame_answer),
            "brpc, own port": by_bytes(brpc_only, _brpc(), frame_answer),
        }
        if shutil.which("h2load"):
            loads["grpc, shared"] = by_h2load(shared, body)
            loads["grpc, own port"] = by_h2load(grpc_only, body)
        yield [Subject(name, measure, system.cpu_seconds) for name, measure in loads.items()]
    finally:
        system.stop()


def _brpc() -> bytes:
    return frame(1, rows(X).SerializeToString())


def main() -> None:
    """Start everything, measure in turns, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2, help="per point")
    parser.add_argument("--export", type=Path, help="write all figures as JSON")
    args = parser.parse_args()
    notes = [f"{args.rounds} rounds of {args.seconds:g} s a point, medians; gRPC by h2load"]
    points: list[Point] = []
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        scratch = Path(directory)
        body = scratch / "call"
        body.write_bytes(as_grpc())
        subjects = list(stack.enter_context(ours(scratch, body)))
        bare = stack.enter_context(running(bare_http))
        request = request_of(Target(f"http://{bare[0]}/", as_json_tensor()))
        subjects.append(
            Subject("bare http", by_bytes(bare[0], request, http_answer), _used(bare[1]))
        )
        bare = stack.enter_context(running(bare_frames))
        subjects.append(
            Subject("bare frames", by_bytes(bare[0], _brpc(), frame_answer), _used(bare[1]))
        )
        if shutil.which("h2load"):
            for name, server in (("bare grpc", bare_aio), ("bare grpc, threads", bare_threads)):
                bare = stack.enter_context(running(server))
                subjects.append(Subject(name, by_h2load(bare[0], body), _used(bare[1])))
        else:
            notes.append("gRPC left out: there is no h2load (Debian: nghttp2-client)")
        for subject in subjects:
            subject.load(max(args.connections), 1)  # warm up
        for _ in range(args.rounds):
            for connections in args.connections:
                for subject in subjects:
                    before = subject.processes()
                    report = subject.load(connections, args.seconds)
                    points.append(Point(subject.name, report, subject.processes() - before))
    print(table(points, {}, "", notes))
    if args.export:
        args.export.write_text(as_json(points, {}, notes))


if __name__ == "__main__":
    main()
