"""Clients that do not read or send rubbish, and the others beside them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import grpc
import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paddlesrv_client import Client
from paddlesrv_client.wire.messages import message

from tests.protocols.brpc_client import Connection, Request, frame, rows
from tests.server.process import ServerProcess, serve
from tests.standins import linear, nets
from tests.unit.server.damage import damaged

DAMAGED = int(os.environ.get("PADDLESRV_FUZZ_EXAMPLES", "300"))
WIDE = np.ones((1, 100_000), np.float64)
MANY = 40
"""Requests whose answers (0.8 MB each) are more than all buffers on their way hold."""

X = np.ones((1, 13), np.float32)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    root = tmp_path_factory.mktemp("bad-clients")
    linear.write_onnx(root / "linear")
    nets.write_identity(root / "wide", "float64", "any")
    with serve(str(root / "linear"), str(root / "wide"), home=root) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def computed(server: ServerProcess, model: str = "wide") -> int:
    """Rows that the model has run."""
    with server.client() as client:
        text = client.get("/metrics").text
    found = re.search(rf'^paddlesrv_batch_rows_sum\{{model="{model}"\}} (\S+)$', text, re.M)
    return round(float(found[1])) if found else 0


def failures(server: ServerProcess) -> list[str]:
    """Lines of the metrics that count answers for which the server is to blame."""
    with server.client() as client:
        text = client.get("/metrics").text
    return re.findall(r'^paddlesrv_requests_total\{code="50[0-9]".*$', text, re.M)


# -- slow readers --------------------------------------------------------------------------------


class Reader(NamedTuple):
    """One who has asked and does not read; `rest` reads, and tells how many answers came."""

    send: Callable[[], None]
    rest: Callable[[], int]
    close: Callable[[], None]


def narrow(server: ServerProcess) -> socket.socket:
    """A connection with little room for what comes."""
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    made.connect((host, int(port)))
    return made


def over_http(server: ServerProcess) -> Reader:
    tensor = {"name": "x", "datatype": "FP64", "shape": WIDE.shape}
    header = json.dumps(
        {
            "inputs": [tensor | {"parameters": {"binary_data_size": WIDE.nbytes}}],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    request = b"".join(
        [
            b"POST /v2/models/wide/infer HTTP/1.1\r\nhost: localhost\r\n",
            b"inference-header-content-length: %d\r\n" % len(header),
            b"content-length: %d\r\n\r\n" % (len(header) + WIDE.nbytes),
            header,
            WIDE.tobytes(),
        ]
    )
    connection = narrow(server)

    def rest() -> int:
        with connection.makefile("rb") as stream:
            for _ in range(MANY):
                assert stream.readline() == b"HTTP/1.1 200 OK\r\n"
                length = 0
                while (line := stream.readline()) != b"\r\n":
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                assert len(stream.read(length)) == length > WIDE.nbytes
        return MANY

    return Reader(lambda: connection.sendall(request * MANY), rest, connection.close)


def over_brpc(server: ServerProcess) -> Reader:
    connection = Connection(server.url)
    connection.socket.close()
    connection.socket = narrow(server)
    asked = Request()
    asked.tensor.add(name="x", elem_type=3, shape=WIDE.shape, float64_data=WIDE.ravel().tolist())
    body = asked.SerializeToString()

    def rest() -> int:
        numbers = {connection.read()[0].correlation_id for _ in range(MANY)}
        return len(numbers)

    return Reader(
        lambda: connection.send(b"".join(frame(n, body) for n in range(MANY))),
        rest,
        connection.socket.close,
    )


def over_grpc(server: ServerProcess) -> Reader:
    request = message("inference.ModelInferRequest")(model_name="wide")
    request.inputs.add(name="x", datatype="FP64", shape=WIDE.shape)
    request.raw_input_contents.append(WIDE.tobytes())
    channel = grpc.insecure_channel(server.url.removeprefix("http://"))
    stream = channel.stream_stream(
        "/inference.GRPCInferenceService/ModelStreamInfer",
        request_serializer=lambda m: m.SerializeToString(),
        response_deserializer=message("inference.ModelStreamInferResponse").FromString,
    )
    sent = threading.Event()
    answers: list[Any] = []

    def requests() -> Iterator[Any]:
        for _ in range(MANY):
            yield request
        sent.set()

    def send() -> None:
        answers.append(stream(requests(), timeout=120))
        sent.wait(60)  # it may well not get that far before somebody reads

    def rest() -> int:
        return sum(not answer.error_message for answer in answers[0])

    return Reader(send, rest, channel.close)


@pytest.mark.parametrize("how", [over_http, over_grpc, over_brpc])
def test_who_does_not_read_is_not_computed_for_and_holds_nobody_up(
    server: ServerProcess, how: Callable[[ServerProcess], Reader]
) -> None:
    before = computed(server)
    reader = how(server)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(reader.send)
        try:
            for protocol in ("http", "grpc", "brpc"):
                with Client(server.url, protocol) as other:  # type: ignore[arg-type]
                    for _ in range(100):
                        found = next(iter(other.infer("linear", {"x": X}).values()))
                        np.testing.assert_allclose(found, linear.expected(X), rtol=1e-5)
            held = computed(server) - before
            assert held < MANY, "answers that nobody takes are piled up"
            assert reader.rest() == MANY
            sending.result(60)
        finally:
            reader.close()
    assert computed(server) - before == MANY


# -- rubbish -------------------------------------------------------------------------------------


def request(path: bytes, body: bytes, *headers: bytes) -> bytes:
    """A sound request."""
    lines = (
        b"POST %s HTTP/1.1" % path,
        b"host: localhost",
        b"content-length: %d" % len(body),
        *headers,
    )
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(path: bytes, body: bytes) -> bytes:
    """The same in pieces."""
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[:9], body[9:])) + b"0\r\n\r\n"
    return b"POST %s HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n%s" % (
        path,
        pieces,
    )


ROW = b"[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]"
OPEN = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 13], "data": %s}]}' % ROW
FRAMED = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 13], "parameters": {"binary_data_size": 52}}]}'  # noqa: E501 - a message
KINDS = {
    "open inference, JSON": request(b"/v2/models/linear/infer", OPEN),
    "open inference, binary": request(
        b"/v2/models/linear/infer",
        FRAMED + X.tobytes(),
        b"inference-header-content-length: %d" % len(FRAMED),
    ),
    "chunked": chunked(b"/v2/models/linear/infer", OPEN),
    "rows": request(b"/v1/models/linear:predict", b'{"instances": [%s]}' % ROW),
    "general model, JSON": request(
        b"/GeneralModelService/inference",
        b'{"tensor": [{"name": "x", "elem_type": 1, "shape": [1, 13], "float_data": %s}]}' % ROW,
    ),
    "general model, proto": request(
        b"/GeneralModelService/inference", rows(X).SerializeToString(),
        b"content-type: application/proto",
    ),
    "pipeline": request(b"/linear/prediction", b'{"key": ["x"], "value": ["%s"]}' % ROW),
    "feed": request(b"/linear/prediction", b'{"feed": [{"x": %s}], "fetch": ["y"]}' % ROW),
    "predict": request(b"/predict/linear", b'{"texts": ["a"]}', b"content-type: application/json"),
    "index": request(b"/v2/repository/index", b"{}"),
}  # fmt: skip


def told(server: ServerProcess, client: httpx.Client, sent: bytes) -> bytes:
    """What is said to some bytes before the server hears that nothing more will come."""
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    answer = b""
    with socket.create_connection((host, int(port)), 30) as connection:
        with contextlib.suppress(ConnectionError):  # what it has refused it does not read on
            connection.sendall(sent)
            assert client.get("/v2/health/live").status_code == 200  # it has read them by now
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while data := connection.recv(1 << 16):
                answer += data
    return answer


@pytest.mark.parametrize("kind", KINDS)
def test_what_will_be_damaged_is_sound(server: ServerProcess, kind: str) -> None:
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), 30) as connection:
        connection.sendall(KINDS[kind])
        with connection.makefile("rb") as stream:
            first = stream.readline().strip()
    assert first == (b"HTTP/1.1 400 Bad Request" if kind == "predict" else b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=max(30, DAMAGED // len(KINDS)), suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 60))
def test_damaged_requests_are_answered_or_refused(
    server: ServerProcess, client: httpx.Client, kind: str, seed: int
) -> None:
    answer = told(server, client, damaged(seed, KINDS[kind]))
    for status in re.findall(rb"^HTTP/1\.1 (\d+) ", answer, re.M):
        # 403: damage turned the Host header into another server's name.
        assert status in (b"200", b"400", b"403", b"404", b"405", b"408", b"411", b"413", b"414",
                          b"415", b"417", b"431", b"501", b"505"), answer  # fmt: skip


def test_after_all_that_it_is_to_blame_for_nothing(server: ServerProcess) -> None:
    assert failures(server) == []
    with Client(server.url) as client:
        assert client.live()
        assert client.infer("linear", {"x": X})
