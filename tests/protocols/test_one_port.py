"""One port for every protocol, in the open and with TLS; and ports for one alone."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

from tests.cli.program import run
from tests.protocols.brpc_client import Connection, array_of, rows
from tests.server.process import ServerProcess, serve
from tests.standins import linear


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("one-port")
    linear.write_onnx(root / "linear")
    return root / "linear"


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[ServerProcess]:
    with serve(str(model), "--engine", "onnxruntime", home=model.parent) as running:
        yield running


def features(count: int = 1) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, 13)).astype(np.float32)


def ask_grpc(address: str, x: np.ndarray, **options: object) -> np.ndarray:
    with triton_grpc.InferenceServerClient(address, **options) as client:
        given = triton_grpc.InferInput("x", x.shape, "FP32")
        given.set_data_from_numpy(x)
        found: np.ndarray = client.infer("linear", [given]).as_numpy("y")
    return found


def ask_http(url: str, x: np.ndarray, verify: ssl.SSLContext | bool = True) -> np.ndarray:
    tensor = {"name": "x", "shape": list(x.shape), "datatype": "FP32", "data": x.ravel().tolist()}
    answer = httpx.post(
        f"{url}/v2/models/linear/infer", json={"inputs": [tensor]}, verify=verify, trust_env=False
    )
    return np.array(answer.json()["outputs"][0]["data"], np.float32).reshape(-1, 1)


@pytest.mark.parametrize("count", [1, 8])
def test_http_grpc_and_brpc_get_the_same_numbers_on_one_port(
    server: ServerProcess, count: int
) -> None:
    x = features(count)
    right = linear.expected(x)
    address = server.url.removeprefix("http://")
    client = triton_http.InferenceServerClient(address)
    given = triton_http.InferInput("x", x.shape, "FP32")
    given.set_data_from_numpy(x)
    by_triton = client.infer("linear", [given]).as_numpy("y")
    client.close()
    with Connection(server.url) as connected:
        by_brpc = array_of(connected.call(rows(x)).outputs[0].tensor[0])
    answers = [ask_http(server.url, x), by_triton, ask_grpc(address, x), by_brpc]
    for found in answers:
        np.testing.assert_array_equal(found, answers[0])
    np.testing.assert_allclose(answers[0], right, rtol=1e-5)


def test_a_port_for_grpc_alone(model: Path) -> None:
    arguments = (str(model), "--engine", "onnxruntime", "--grpc-port")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run(model.parent, "serve", *arguments, port, "--port", "0")
    assert ended.returncode == 7
    assert f"port {port} on 127.0.0.1 is in use" in ended.stderr
    assert "--grpc-port 0" in ended.stderr
    with serve(*arguments, port, home=model.parent) as server:
        x = features(3)
        for address in (f"127.0.0.1:{port}", server.url.removeprefix("http://")):
            np.testing.assert_allclose(ask_grpc(address, x), linear.expected(x), rtol=1e-5)
        assert server.terminate() == 0


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One of our own for 127.0.0.1, and its key."""
    root = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=test",
         "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"],
        cwd=root, check=True, capture_output=True,
    )  # fmt: skip
    return root / "cert.pem", root / "key.pem"


def test_with_tls_http_and_grpc_share_the_port_too(
    model: Path, certificate: tuple[Path, Path]
) -> None:
    cert, key = certificate
    arguments = (str(model), "--engine", "onnxruntime", "--tls-cert", str(cert), "--tls-key",
                 str(key), "--grpc-port", "0")  # fmt: skip
    trusted = ssl.create_default_context(cafile=str(cert))
    x = features(2)
    with serve(*arguments, home=model.parent) as server:
        assert server.url.startswith("https://")
        np.testing.assert_allclose(ask_http(server.url, x, trusted), linear.expected(x), rtol=1e-5)
        found = ask_grpc(
            server.url.removeprefix("https://"), x, ssl=True, root_certificates=str(cert)
        )
        np.testing.assert_allclose(found, linear.expected(x), rtol=1e-5)
        # A browser offers both protocols, and is to be answered in the one that pages come in.
        trusted.set_alpn_protocols(["h2", "http/1.1"])
        host, _, port = server.url.removeprefix("https://").rpartition(":")
        with socket.create_connection((host, int(port))) as raw:
            with trusted.wrap_socket(raw, server_hostname=host) as wrapped:
                assert wrapped.selected_alpn_protocol() == "http/1.1"
        (line,) = (row for row in run(model.parent, "ps").stdout.splitlines() if server.url in row)
        assert "ready" in line


@pytest.mark.parametrize("broken", ["missing", "no-key", "encrypted", "garbage"])
def test_a_certificate_that_cannot_be_used_is_refused_before_anything_starts(
    model: Path, certificate: tuple[Path, Path], tmp_path: Path, broken: str
) -> None:
    cert, key = certificate
    arguments = {
        "missing": ("--tls-cert", str(tmp_path / "none.pem")),
        "no-key": ("--tls-cert", str(cert)),
        "encrypted": ("--tls-cert", str(cert), "--tls-key", str(tmp_path / "locked.pem")),
        "garbage": ("--tls-cert", str(tmp_path / "garbage.pem"), "--tls-key", str(key)),
    }[broken]
    (tmp_path / "garbage.pem").write_text("no certificate")
    subprocess.run(
        ["openssl", "pkey", "-in", str(key), "-aes256", "-passout", "pass:secret", "-out",
         "locked.pem"], cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    ended = run(tmp_path, "serve", str(model), "--engine", "onnxruntime", *arguments)
    code, words = {
        "missing": (2, "cannot be read"),
        "no-key": (5, "cannot be used"),
        "encrypted": (2, "is encrypted"),
        "garbage": (5, "cannot be used"),
    }[broken]
    assert ended.returncode == code, ended.stderr
    assert words in ended.stderr


def test_grpc_calls_on_their_way_are_answered_when_the_server_stops(model: Path) -> None:
    with serve(str(model), "--engine", "onnxruntime", home=model.parent) as server:
        x = features(1)
        with triton_grpc.InferenceServerClient(server.url.removeprefix("http://")) as client:
            given = triton_grpc.InferInput("x", x.shape, "FP32")
            given.set_data_from_numpy(x)
            client.infer("linear", [given])
            assert server.terminate() == 0
            with pytest.raises(triton_grpc.InferenceServerException):
                client.infer("linear", [given])


def test_nothing_is_left_when_the_gateway_process_is_killed(model: Path) -> None:
    temporary = model.parent / "tmp"
    temporary.mkdir()
    with serve(
        str(model), "--engine", "onnxruntime", home=model.parent, TMPDIR=str(temporary)
    ) as server:
        children = psutil.Process(server.process.pid).children(recursive=True)
        ask_grpc(server.url.removeprefix("http://"), features())
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        psutil.wait_procs(children, 20)
    assert not any(child.is_running() and child.status() != "zombie" for child in children)
    assert list(temporary.glob("paddlesrv-*")) == []


def test_grpc_says_who_it_is_by_reflection_on_the_shared_port(server: ServerProcess) -> None:
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
        ProtoReflectionDescriptorDatabase,
    )

    with grpc.insecure_channel(server.url.removeprefix("http://")) as channel:
        names = ProtoReflectionDescriptorDatabase(channel).get_services()
    assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= set(names)
