"""Long bodies are read past the parser; nothing that a client can see depends on it."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import ssl
import subprocess
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.process import ServerProcess, serve
from tests.standins import linear

ROWS = 3000
CONNECTIONS = 20
INFER = b"POST /v2/models/linear/infer HTTP/1.1\r\nhost: localhost\r\n"
HEALTH = b"GET /v2/health/live HTTP/1.1\r\nhost: localhost\r\n"
CLOSE = b"connection: close\r\n\r\n"


@pytest.fixture(scope="module", params=["http", "https"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    root = tmp_path_factory.mktemp("long")
    linear.write_onnx(root / "linear")
    config = {"models": [{"name": str(root / "linear")}], "max_connections": CONNECTIONS}
    (root / "paddlesrv.yaml").write_text(json.dumps(config))
    words = ["--config", str(root / "paddlesrv.yaml"), "--engine", "onnxruntime"]
    words += ["--max-body", "1", "--max-queue", "10000"]
    if request.param == "https":
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=test"],
            cwd=root, check=True, capture_output=True,
        )  # fmt: skip
        words += ["--tls-cert", str(root / "cert.pem"), "--tls-key", str(root / "key.pem")]
    with serve(*words, home=root) as running:
        yield running


@contextlib.contextmanager
def connected(server: ServerProcess) -> Iterator[socket.socket]:
    host, port = server.url.split("://")[1].split(":")
    with socket.create_connection((host, int(port)), timeout=20) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not server.url.startswith("https"):
            yield plain
            return
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with context.wrap_socket(plain) as wrapped:
            yield wrapped


def until_closed(connection: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ssl.SSLEOFError):
        while data := connection.recv(1 << 16):
            received += data
    return received


def rows(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((ROWS, 13)).astype(np.float32)


def raw(x: np.ndarray) -> bytes:
    """A request whose body is the tensor alone."""
    content = x.tobytes()
    head = b"inference-header-content-length: 0\r\ncontent-length: %d\r\n" % len(content)
    return INFER + head + b"\r\n" + content


def padded(x: np.ndarray, spaces: int) -> bytes:
    """A request in JSON, behind so many spaces."""
    tensor = {"name": "x", "shape": list(x.shape), "datatype": "FP32", "data": x.ravel().tolist()}
    content = b" " * spaces + json.dumps({"inputs": [tensor]}).encode()
    return INFER + b"content-length: %d\r\n\r\n" % len(content) + content


def outputs(received: bytes) -> list[np.ndarray]:
    """The answers in what came: those of raw requests, and those in JSON."""
    found = []
    for answer in received.split(b"HTTP/1.1 ")[1:]:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"200 "), answer
        if b'"outputs"' not in body:
            continue
        _, _, length = head.lower().partition(b"inference-header-content-length: ")
        if length:
            found.append(np.frombuffer(body[int(length.split(b"\r")[0]) :], np.float32))
        else:
            found.append(np.array(json.loads(body)["outputs"][0]["data"], np.float32))
    return found


@given(st.lists(st.integers(1, 700_000), max_size=6), st.integers(60_000, 70_000))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_wherever_the_bytes_are_cut_the_answers_are_the_same(
    server: ServerProcess, cuts: list[int], spaces: int
) -> None:
    few = rows(3)[:2]
    requests = [raw(rows(1)), padded(few, spaces), raw(rows(2)), raw(few)]
    stream = b"".join(requests) + HEALTH + CLOSE
    ends = sorted({c for c in cuts if c < len(stream)} | {len(stream)})
    with connected(server) as connection:
        start = 0
        for end in ends:
            connection.sendall(stream[start:end])
            start = end
        received = until_closed(connection)
    for found, x in zip(outputs(received), [rows(1), few, rows(2), few], strict=True):
        np.testing.assert_allclose(found, linear.expected(x).ravel(), rtol=1e-3, atol=1e-4)
    assert received.endswith(b'{"live":true}')


def test_a_long_body_that_nobody_reads_does_not_spoil_the_next_request(
    server: ServerProcess,
) -> None:
    lost = b"POST /nowhere HTTP/1.1\r\nhost: localhost\r\ncontent-length: 900000\r\n\r\n"
    with connected(server) as connection:
        connection.sendall(lost)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 404 ")
        for _ in range(9):
            connection.sendall(b"x" * 100_000)
        connection.sendall(raw(rows(1)) + HEALTH + CLOSE)
        received = until_closed(connection)
    (found,) = outputs(received)
    np.testing.assert_allclose(found, linear.expected(rows(1)).ravel(), rtol=1e-3, atol=1e-4)


def test_one_that_waits_for_a_word_gets_it(server: ServerProcess) -> None:
    head, _, content = raw(rows(1)).partition(b"\r\n\r\n")
    with connected(server) as connection:
        connection.sendall(head + b"\r\nexpect: 100-continue\r\n\r\n")
        assert connection.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(content + HEALTH + CLOSE)
        (found,) = outputs(until_closed(connection))
    np.testing.assert_allclose(found, linear.expected(rows(1)).ravel(), rtol=1e-3, atol=1e-4)


def test_one_that_is_compressed_is_unpacked(server: ServerProcess) -> None:
    content = gzip.compress(rows(1).tobytes(), 0)
    assert len(content) > 1 << 17
    head = b"inference-header-content-length: 0\r\ncontent-encoding: gzip\r\n"
    with connected(server) as connection:
        connection.sendall(INFER + head + b"content-length: %d\r\n\r\n" % len(content))
        connection.sendall(content + HEALTH + CLOSE)
        (found,) = outputs(until_closed(connection))
    np.testing.assert_allclose(found, linear.expected(rows(1)).ravel(), rtol=1e-3, atol=1e-4)


def test_clients_that_go_in_the_middle_leave_nothing_behind(server: ServerProcess) -> None:
    for _ in range(2 * CONNECTIONS):
        with connected(server) as connection:
            connection.sendall(raw(rows(1))[:100_000])
    with connected(server) as connection:
        connection.sendall(HEALTH + CLOSE)
        assert until_closed(connection).endswith(b'{"live":true}')
