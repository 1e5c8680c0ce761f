"""The HTTP side as its clients see it: routes, statuses, limits, shutdown."""

from __future__ import annotations

import concurrent.futures
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from tests.server.process import ServerProcess, serve
from tests.standins import linear, nets


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    root = tmp_path_factory.mktemp("http")
    linear.write_onnx(root / "linear")
    nets.write_lookup(root / "lookup")
    arguments = [str(root / "linear"), str(root / "lookup"), "--engine", "onnxruntime"]
    with serve(*arguments, "--max-body", "1", home=root) as running:
        yield running


@pytest.fixture
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def body(x: np.ndarray, **more: object) -> dict:
    tensor = {"name": "x", "shape": list(x.shape), "datatype": "FP32", "data": x.ravel().tolist()}
    return {"inputs": [tensor], **more}


def features(count: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 13)).astype(np.float32)


def test_health_and_metadata(client: httpx.Client) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2").json()["extensions"][0] == "binary_tensor_data"
    model = client.get("/v2/models/linear/versions/1").json()
    assert model["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 13]}]
    assert client.get("/v2/models/linear/ready").json() == {"name": "linear", "ready": True}


def test_infers_in_json(client: httpx.Client) -> None:
    x = features(3)
    answer = client.post("/v2/models/linear/infer", json=body(x, id="seven")).json()
    assert answer["id"] == "seven"
    (output,) = answer["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("y", "FP32", [3, 1])
    np.testing.assert_allclose(output["data"], linear.expected(x).ravel(), rtol=1e-4)


def test_nested_and_flat_data_mean_the_same(client: httpx.Client) -> None:
    x = features(2)
    nested = body(x)
    nested["inputs"][0]["data"] = x.tolist()
    flat = client.post("/v2/models/linear/infer", json=body(x)).json()
    assert client.post("/v2/models/linear/infer", json=nested).json() == flat


@pytest.mark.parametrize("binary", [False, True])
def test_tritonclient_infers(server: ServerProcess, binary: bool) -> None:
    import tritonclient.http as triton
    from tritonclient.utils import InferenceServerException

    client = triton.InferenceServerClient(server.url.removeprefix("http://"))
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("linear")
    assert client.get_model_metadata("linear")["name"] == "linear"
    x = features(5)
    tensor = triton.InferInput("x", list(x.shape), "FP32")
    tensor.set_data_from_numpy(x, binary_data=binary)
    output = triton.InferRequestedOutput("y", binary_data=binary)
    result = client.infer("linear", [tensor], outputs=[output], request_id="r1")
    np.testing.assert_allclose(result.as_numpy("y"), linear.expected(x), rtol=1e-4, atol=1e-5)
    assert result.get_response()["id"] == "r1"
    with pytest.raises(InferenceServerException, match="not served"):
        client.infer("nothing", [tensor])
    client.close()


def test_a_body_of_bytes_alone_is_the_only_input(client: httpx.Client) -> None:
    x = features(3)
    raw = {"inference-header-content-length": "0"}
    answer = client.post("/v2/models/linear/infer", content=x.tobytes(), headers=raw)
    length = int(answer.headers["inference-header-content-length"])
    (output,) = json.loads(answer.content[:length])["outputs"]
    assert (output["name"], output["shape"]) == ("y", [3, 1])
    found = np.frombuffer(answer.content[length:], np.float32)
    np.testing.assert_allclose(found, linear.expected(x).ravel(), rtol=1e-4)
    odd = client.post("/v2/models/linear/infer", content=x.tobytes()[1:], headers=raw)
    assert odd.status_code == 400
    assert "makes no tensor 'x'" in odd.json()["error"]


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"shape": [1, 12]}, 400, "13 values"),
        ({"shape": [1, 12], "data": [0.0] * 12}, 400, "float32 [1, 12]"),
        ({"shape": [13], "data": [0.0] * 13}, 400, "wrong shape"),
        ({"shape": [0, 13], "data": []}, 400, "wrong shape"),
        ({"shape": [-1, 13]}, 400, "impossible shape"),
        ({"shape": [1] * 40}, 400, "impossible shape"),
        ({"datatype": "INT64"}, 400, "not INT64"),
        ({"datatype": "FP64"}, 400, "wrong type"),
        ({"datatype": "FP16"}, 400, "JSON cannot carry"),
        ({"data": ["a"] * 13}, 400, "not FP32"),
        ({"data": [[1, 2], [3]]}, 400, "not FP32"),
        ({"name": "z"}, 400, "needs input 'x'"),
        ({"data": [1e39] + [0.0] * 12}, 400, "out of range for FP32"),
        ({"data": None}, 400, "neither data"),
    ],
)
def test_bad_tensors_are_named_with_what_came_and_what_was_expected(
    client: httpx.Client, change: dict, status: int, words: str
) -> None:
    request = body(features())
    request["inputs"][0].update(change)
    answer = client.post("/v2/models/linear/infer", json=request)
    assert answer.status_code == status
    error = answer.json()
    assert words in error["error"]
    assert set(error) == {"error", "code", "hint", "request_id"}
    assert answer.headers["x-request-id"] == error["request_id"]


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b'{"inputs": 3}', b"[" * 100_000, b'{"inputs":[{}]}', b"\xff\xfe"],
)
def test_what_is_not_a_request_is_a_400(client: httpx.Client, raw: bytes) -> None:
    assert client.post("/v2/models/linear/infer", content=raw).status_code == 400


@pytest.mark.parametrize("length", ["x", "-1", "9999", "1e3", ""])
def test_a_wrong_header_length_is_a_400(client: httpx.Client, length: str) -> None:
    content = json.dumps(body(features())).encode()
    headers = {"Inference-Header-Content-Length": length}
    answer = client.post("/v2/models/linear/infer", content=content, headers=headers)
    assert answer.status_code == 400


@pytest.mark.parametrize("size", [0, 51, 53, -1, 10**12])
def test_binary_data_of_the_wrong_length_is_a_400(client: httpx.Client, size: int) -> None:
    tensor = {"name": "x", "shape": [1, 13], "datatype": "FP32"}
    header = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": size}}]})
    content = header.encode() + features().tobytes()
    headers = {"Inference-Header-Content-Length": str(len(header))}
    answer = client.post("/v2/models/linear/infer", content=content, headers=headers)
    assert answer.status_code == 400


def test_an_engine_error_is_a_500_with_a_request_id_and_the_server_goes_on(
    client: httpx.Client,
) -> None:
    tensor = {"name": "ids", "shape": [1, 1], "datatype": "INT64", "data": [99]}
    headers = {"x-request-id": "mine-1"}
    answer = client.post("/v2/models/lookup/infer", json={"inputs": [tensor]}, headers=headers)
    assert answer.status_code == 500
    assert answer.json()["request_id"] == "mine-1"
    tensor["data"] = [3]
    answer = client.post("/v2/models/lookup/infer", json={"inputs": [tensor]})
    assert answer.json()["outputs"][0]["data"] == nets.TABLE[3].tolist()


def test_unknown_things_are_404_and_say_what_is_there(client: httpx.Client) -> None:
    answer = client.post("/v2/models/linaer/infer", json=body(features()))
    assert answer.status_code == 404
    assert "linear" in answer.json()["error"]
    assert answer.json()["hint"] == "did you mean 'linear'?"
    assert client.get("/nowhere").status_code == 404
    assert client.post("/v2/models/linear/versions/3/infer").status_code == 404
    assert client.get("/v2/models/linear/infer").status_code == 405


def test_a_body_over_the_limit_is_a_413_before_it_is_read(client: httpx.Client) -> None:
    answer = client.post("/v2/models/linear/infer", content=b"x" * 1_000_001)
    assert answer.status_code == 413

    def chunks() -> Iterator[bytes]:
        for _ in range(200):
            yield b"x" * 10_000

    try:
        answer = client.post("/v2/models/linear/infer", content=chunks())
    except httpx.WriteError:
        return  # it closed the connection while we were still sending: that is the limit, too
    assert answer.status_code == 413


def test_compressed_bodies_are_refused_by_name(client: httpx.Client) -> None:
    headers = {"content-encoding": "br"}
    answer = client.post("/v2/models/linear/infer", content=b"x", headers=headers)
    assert answer.status_code == 415
    assert "br" in answer.json()["error"]


@pytest.mark.parametrize("path", ["v2/models/linear/infer", "predict/linear"])
@pytest.mark.parametrize(
    "content",
    [b'{"inputs": [{"name": "\x80"}]}', b'{"text": "\xff"}', b'{"\x80": 1, "inputs": []}',
     b"\x80", b'{"inputs": ', b"[" * 10_000],
)  # fmt: skip
def test_json_that_is_none_is_the_clients_mistake(
    client: httpx.Client, path: str, content: bytes
) -> None:
    headers = {"content-type": "application/json"}
    answer = client.post(f"/{path}", content=content, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid-input"


def test_huge_headers_are_refused(server: ServerProcess) -> None:
    answer = httpx.get(server.url + "/v2", headers={"x": "y" * 100_000}, trust_env=False)
    assert answer.status_code == 431


def test_pipelined_requests_are_answered_in_order(server: ServerProcess) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    requests = b""
    for i in range(20):
        content = json.dumps(body(features(seed=i), id=str(i))).encode()
        requests += (
            b"POST /v2/models/linear/infer HTTP/1.1\r\nhost: localhost\r\n"
            b"content-length: %d\r\n\r\n" % len(content)
        ) + content
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(requests)
        received = b""
        while received.count(b'"outputs"') < 20:
            received += connection.recv(65536)
    places = [received.index(b'"id":"%d"' % i) for i in range(20)]
    assert places == sorted(places)


def exchange(server: ServerProcess, *sent: bytes, until: bytes = b"") -> bytes:
    """What the server says on one connection, up to these bytes or the end of the connection."""
    host, port = server.url.removeprefix("http://").split(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        for part in sent:
            connection.sendall(part)
        while not (until and until in received) and (data := connection.recv(65536)):
            received += data
    return received


def test_a_client_that_expects_100_is_told_to_continue(server: ServerProcess) -> None:
    content = json.dumps(body(features())).encode()
    head = b"POST /v2/models/linear/infer HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n"
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head + b"content-length: %d\r\n\r\n" % len(content))
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(content)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")


def test_what_was_asked_before_a_malformed_request_is_answered(server: ServerProcess) -> None:
    good = b"GET /v2/health/live HTTP/1.1\r\nhost: localhost\r\n\r\n"
    received = exchange(server, good + good + b"\x00nonsense\r\n\r\n")
    assert received.count(b'{"live":true}') == 2
    assert b"connection: close" in received


def test_a_malformed_request_is_a_400(server: ServerProcess) -> None:
    assert exchange(server, b"\x00nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_an_offer_to_upgrade_is_ignored(server: ServerProcess) -> None:
    offer = b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
    last = b"GET /v2/health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    received = exchange(server, offer + last)
    assert received.count(b"HTTP/1.1 200 OK") == 2


def test_a_body_that_nobody_reads_does_not_spoil_the_next_request(server: ServerProcess) -> None:
    lost = (
        b"POST /nowhere HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n"
        + b"x" * 100_000
    )
    last = b"GET /v2/health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    received = exchange(server, lost, last)
    assert received.startswith(b"HTTP/1.1 404 ")
    assert received.endswith(b'{"live":true}')


def test_a_head_request_has_no_body(server: ServerProcess) -> None:
    received = exchange(
        server, b"HEAD /v2 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )
    assert received.startswith(b"HTTP/1.1 200 OK")
    assert received.endswith(b"\r\n\r\n")


def test_metrics_count_what_happened(client: httpx.Client) -> None:
    client.post("/v2/models/linear/infer", json=body(features()))
    text = client.get("/metrics").text
    assert 'paddlesrv_model_ready{model="linear"} 1.0' in text
    assert 'paddlesrv_requests_total{code="200",model="linear",protocol="http"}' in text
    assert 'paddlesrv_inflight{model="linear"} 0.0' in text


def test_openapi_is_served(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert "/v2/models/linear/infer" in document["paths"]


def test_docs_page_needs_nothing_from_outside(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert "linear" in page.text
    assert "https://" not in page.text.replace("https://github.com", "")
    assert client.get("/").headers["location"] == "/docs"


def test_a_client_that_leaves_is_not_computed_for(tmp_path: Path) -> None:
    nets.write_slow(tmp_path / "slow")
    arguments = [str(tmp_path / "slow"), "--engine", "onnxruntime", "--max-batch-size", "1"]
    with serve(*arguments, home=tmp_path) as server:
        content = json.dumps(
            {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1] * 4}]}
        ).encode()
        head = (
            b"POST /v2/models/slow/infer HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n"
        )
        host, port = server.url.removeprefix("http://").split(":")
        for _ in range(30):
            connection = socket.create_connection((host, int(port)))
            connection.sendall(head % len(content) + content)
            connection.close()
        with server.client() as client:
            client.post("/v2/models/slow/infer", content=content)
            text = client.get("/metrics").text
        computed = float(_metric(text, 'paddlesrv_batch_rows_sum{model="slow"}'))
        assert computed < 25, "the queue was computed for nobody"
        assert _metric(text, 'paddlesrv_inflight{model="slow"}') == "0.0"


def test_an_onnx_model_is_not_given_to_the_engine_paddle(tmp_path: Path) -> None:
    linear.write_onnx(tmp_path / "linear")
    done = subprocess.run(
        [sys.executable, "-m", "paddlesrv", "serve", str(tmp_path / "linear"), "--port", "0",
         "--engine", "paddle"],
        capture_output=True, text=True, timeout=120,
        env=os.environ | {"PADDLESRV_HOME": str(tmp_path / "home")},
    )  # fmt: skip
    assert done.returncode == 6
    assert "--engine onnxruntime" in done.stderr


def test_sigterm_under_load_answers_every_accepted_request_and_exits_0(tmp_path: Path) -> None:
    linear.write_onnx(tmp_path / "linear")
    with serve(str(tmp_path / "linear"), "--engine", "onnxruntime", home=tmp_path) as server:
        children = psutil.Process(server.process.pid).children(recursive=True)
        assert len(children) >= 2, "no fork server and worker"
        statuses: list[int] = []
        busy = threading.Event()

        def client(number: int) -> int:
            answered = 0
            with server.client() as client:
                for i in range(100_000):
                    x = features(seed=number * 1000 + i)
                    try:
                        answer = client.post("/v2/models/linear/infer", json=body(x))
                    except httpx.ConnectError:
                        return answered  # the listener has closed: nothing was accepted
                    statuses.append(answer.status_code)
                    if len(statuses) > 100:
                        busy.set()
                    output = answer.json()["outputs"][0]["data"]
                    np.testing.assert_allclose(
                        output, linear.expected(x).ravel(), rtol=1e-3, atol=1e-4
                    )
                    answered += 1
            return answered

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            clients = [pool.submit(client, n) for n in range(8)]
            assert busy.wait(60)
            assert server.terminate() == 0
            answered = sum(c.result() for c in clients)
        assert answered == len(statuses) >= 100
        assert set(statuses) == {200}
        assert not psutil.wait_procs(children, timeout=5)[1]


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    linear.write_onnx(tmp_path / "linear")
    with serve(str(tmp_path / "linear"), "--engine", "onnxruntime", home=tmp_path) as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(
                b"POST /v2/models/linear/infer HTTP/1.1\r\ncontent-length: 10\r\n\r\n{"
            )
            with server.client() as client:
                client.get("/v2/health/live")
            server.process.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                server.process.wait(1.5)
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(10) == 0


def test_nothing_is_left_after_sigkill_of_the_gateway_process(tmp_path: Path) -> None:
    linear.write_onnx(tmp_path / "linear")
    shared = set(Path("/dev/shm").iterdir())
    with serve(str(tmp_path / "linear"), "--engine", "onnxruntime", home=tmp_path) as server:
        children = psutil.Process(server.process.pid).children(recursive=True)
        assert len(children) >= 2
        server.process.kill()
        server.process.wait()
        assert not psutil.wait_procs(children, timeout=10)[1]
    assert set(Path("/dev/shm").iterdir()) <= shared


def _metric(text: str, name: str) -> str:
    return next(line.split()[-1] for line in text.splitlines() if line.startswith(name))


def test_a_body_may_be_one_tensor_and_nothing_else(client: httpx.Client) -> None:
    x = np.arange(26, dtype=np.float32).reshape(2, 13)
    headers = {"inference-header-content-length": "0"}
    answer = client.post("/v2/models/linear/infer", content=x.tobytes(), headers=headers)
    header = int(answer.headers["inference-header-content-length"])
    found = np.frombuffer(answer.content[header:], np.float32)
    np.testing.assert_allclose(found, linear.expected(x).ravel(), rtol=1e-5)
    refused = client.post("/v2/models/linear/infer", content=x.tobytes()[:-1], headers=headers)
    assert refused.status_code == 400
    assert "'x'" in refused.json()["error"]
