"""Damaged messages of every protocol for one server on one port, over real sockets.

Each gets its protocol's own error or an answer; none makes an internal error, holds anybody up, or
ends the server.
"""

from __future__ import annotations

import collections
import json
import os
import random
import re
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import grpc
import msgspec
import numpy as np
import pytest
from paddlesrv_client.wire.compression import HTTP_CODINGS, compress
from paddlesrv_client.wire.messages import message

from tests.fuzz.trees import damaged_frame, damaged_json, damaged_message
from tests.protocols import brpc_client
from tests.server.process import ServerProcess, serve
from tests.standins import nets
from tests.unit.server.damage import damaged

DAMAGED = int(os.environ.get("PADDLESRV_FUZZ_EXAMPLES", "300"))
ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    root = tmp_path_factory.mktemp("fuzz")
    nets.write_identity(root / "m", "float32")
    arguments = [str(root / "m"), "--engine", "onnxruntime", "--max-body", "1"]
    with serve(*arguments, home=root) as running:
        yield running


@pytest.fixture(autouse=True)
def unharmed(server: ServerProcess) -> Iterator[None]:
    """Whatever a test sent: the server still answers, and nothing failed inside."""
    yield
    with server.client() as client:
        answer = client.post("/v2/models/m/infer", json=OIP)
        assert answer.json()["outputs"][0]["data"] == ROWS.ravel().tolist()
        metrics = client.get("/metrics").text
    assert not re.search(r'code="5\d\d"', metrics), metrics
    assert re.search(r'^paddlesrv_inflight\{model="m"\} 0\.0$', metrics, re.M), metrics
    assert "Traceback" not in "".join(server.output), "".join(server.output)[-4000:]


def connect(server: ServerProcess) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    connection = socket.create_connection((host, int(port)), 60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def said(connection: socket.socket) -> bytes:
    """All that comes until the server closes; a reset is one way to close."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


# -- codecs over HTTP ------------------------------------------------------------


class Route(NamedTuple):
    """A path, what is sent there, how it is damaged, and how an error looks."""

    path: str
    make: Callable[[int | None], bytes]
    headers: str = ""
    pipeline: bool = False


def json_of(original: Any) -> Callable[[int | None], bytes]:
    sound = msgspec.json.encode(original)
    return lambda seed: sound if seed is None else damaged_json(seed, original)


def message_of(original: Any) -> Callable[[int | None], bytes]:
    sound = original.SerializeToString()
    return lambda seed: sound if seed is None else damaged_message(seed, original)


def bytes_of(original: bytes) -> Callable[[int | None], bytes]:
    return lambda seed: original if seed is None else damaged(seed, original)


VALUES = ROWS.ravel().tolist()
OIP = {"inputs": [{"name": "x", "shape": [2, 3], "datatype": "FP32", "data": VALUES}]}
OIP_BINARY = {
    "inputs": [{"name": "x", "shape": [2, 3], "datatype": "FP32",
                "parameters": {"binary_data_size": ROWS.nbytes}}],
    "parameters": {"binary_data_output": True},
}  # fmt: skip
GENERAL = message("baidu.paddle_serving.predictor.general_model.Request")(fetch_var_names=["y"])
GENERAL.tensor.add(name="x", elem_type=1, shape=[2, 3], float_data=VALUES)
GENERAL_JSON = {
    "tensor": [{"name": "x", "elem_type": 1, "shape": [2, 3], "float_data": VALUES}],
    "fetch_var_names": ["y"],
}
HEADER_SIZE = len(msgspec.json.encode(OIP_BINARY))
SOUND_BINARY = msgspec.json.encode(OIP_BINARY) + ROWS.tobytes()
OIP_PATH = "/v2/models/m/infer"
ROUTES = {
    "OIP JSON": Route(OIP_PATH, json_of(OIP)),
    "OIP binary": Route(
        OIP_PATH, bytes_of(SOUND_BINARY), f"inference-header-content-length: {HEADER_SIZE}\r\n"
    ),
    "OIP raw": Route(OIP_PATH, bytes_of(ROWS.tobytes()), "inference-header-content-length: 0\r\n"),
    "TF rows": Route("/v1/models/m:predict", json_of({"instances": [{"x": [1, 2, 3]}] * 2})),
    "TF columns": Route("/v1/models/m:predict", json_of({"inputs": {"x": ROWS.tolist()}})),
    "general proto": Route(
        "/GeneralModelService/inference", message_of(GENERAL), "content-type: application/proto\r\n"
    ),
    "general JSON": Route("/GeneralModelService/inference", json_of(GENERAL_JSON)),
    "pipeline keys": Route(
        "/m/prediction", json_of({"key": ["x"], "value": ["1, 2, 3; 4, 5, 6"]}), pipeline=True
    ),
    "pipeline samples": Route(
        "/m/prediction", json_of({"feed": [{"x": [1, 2, 3]}]}), pipeline=True
    ),
    **{
        f"coding {coding}": Route(
            OIP_PATH,
            bytes_of(compress(kind, msgspec.json.encode(OIP))),
            f"content-encoding: {coding}\r\n",
        )
        for coding, kind in HTTP_CODINGS.items()
        if coding not in ("identity", "x-gzip")
    },
}


def whole(route: Route, body: bytes) -> bytes:
    begin = f"POST {route.path} HTTP/1.1\r\nhost: localhost\r\n"
    head = f"{begin}{route.headers}content-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def answers(received: bytes) -> Iterator[tuple[int, bytes]]:
    """Status and body of every answer in these bytes, which hold nothing else."""
    while received:
        head, end, rest = received.partition(b"\r\n\r\n")
        assert end, received[:200]
        status = re.match(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n", head + b"\r\n")
        assert status, head
        if status[1] == b"100":
            received = rest
            continue
        length = re.search(rb"^content-length: (\d+)\r?$", head, re.M)
        assert length, head
        yield int(status[1]), rest[: int(length[1])]
        received = rest[int(length[1]) :]


@pytest.mark.parametrize("name", ROUTES)
def test_a_damaged_body_gets_an_answer_or_the_error_of_its_protocol(
    server: ServerProcess, name: str
) -> None:
    route = ROUTES[name]
    statuses: collections.Counter[int] = collections.Counter()
    for first in range(-1, DAMAGED, 50):
        bodies = [route.make(None if seed < 0 else seed) for seed in range(first, first + 50)]
        with connect(server) as connection:
            last = b"GET /v2/health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
            connection.sendall(b"".join(whole(route, body) for body in bodies) + last)
            found = list(answers(said(connection)))
        assert [status for status, _ in found].count(200) >= 1
        assert len(found) == len(bodies) + 1, "one answer for each"
        statuses.update(status for status, _ in found)
        for status, body in found:
            assert status == 200 or 400 <= status < 500, (status, body)
            if status != 200:
                _is_error(json.loads(body), route.pipeline)
    assert statuses[400] > 0


def _is_error(told: dict[str, Any], pipeline: bool) -> None:
    if pipeline and "err_no" in told:
        assert told["err_no"] > 0, told
        assert re.search(r"\[request [\w.-]+\]$", told["err_msg"]), told
    else:
        assert told["error"], told
        assert told["code"] != "internal-error", told
        assert told["request_id"], told


# -- HTTP itself ------------------------------------------------------------

BODY = msgspec.json.encode(OIP)
STARTS = (
    b"POST /v2/models/m/infer HTTP/1.1", b"GET /v2 HTTP/1.1", b"GET / HTTP/1.0",
    b"GET http://x/v2 HTTP/1.1", b"OPTIONS * HTTP/1.1", b"CONNECT x:443 HTTP/1.1",
    b"get /v2 HTTP/1.1", b"GET /v2", b"GET  /v2  HTTP/1.1", b"GET /v2 HTTP/2.0",
    b"GET /v2 HTTP/9.9", b"GET /%00%ff%zz HTTP/1.1", b"GET //../..//v2 HTTP/1.1",
    b"GET /v2/models/%6D/infer?\xff=1 HTTP/1.1", b"POST /predict/m?\xff=1 HTTP/1.1",
    b"POST /predict/m?top=nan HTTP/1.1", b"GET \xff\xfe HTTP/1.1", b"M-SEARCH * HTTP/1.1",
    b"GET /" + b"a" * 70_000 + b" HTTP/1.1", b"HEAD /v2/models/m HTTP/1.1", b"PRI * HTTP/1.1",
    b"POST /v2/models/" + b"m" * 20_000 + b"/infer HTTP/1.1", b"DELETE /v2/models/m HTTP/1.1",
    b"POST /v2/repository/models/m/unload HTTP/1.1", b"POST /m/prediction HTTP/1.1",
    b"POST /GeneralModelService/inference HTTP/1.1", b"POST /v1/models/m:predict HTTP/1.1",
)  # fmt: skip
LINES = (
    b"content-length: %d" % len(BODY), b"content-length: 0", b"content-length:",
    b"content-length: -1", b"content-length: +5", b"content-length: 5, 5", b"content-length: 5 5",
    b"content-length: 18446744073709551616", b"content-length: 99999999", b"content-length: 0x5",
    b"transfer-encoding: chunked", b"transfer-encoding: gzip, chunked",
    b"transfer-encoding: chunked, chunked", b"transfer-encoding: \tchunked",
    b"transfer-encoding: x",
    b"transfer-encoding : chunked", b"connection: close", b"connection: upgrade", b"upgrade: h2c",
    b"upgrade: websocket", b"expect: 100-continue", b"expect: x", b"content-encoding: gzip",
    b"content-encoding: br", b"content-encoding: gzip, gzip", b"content-encoding: \xff",
    b"content-type: multipart/form-data", b"content-type: \xff", b"content-type: application/proto",
    b"inference-header-content-length: 5", b"inference-header-content-length:",
    b"x-request-id: \xff\x80", b"x-request-id: " + b"i" * 5000, b"model: \xff", b"no colon", b": x",
    b"a: b\r\n folded", b"a: b\nc: d", b"a: b\rc: d", b"a: \x00", b"a\x00: b", b"host: y",
    b"accept-encoding: gzip;q=x, zstd;q=-1, *;q=nan", b"a: " + b"b" * 70_000,
    b"\r\n".join(b"h%d: v" % i for i in range(3000)),
)  # fmt: skip
BODIES = (
    b"", BODY, BODY[:50], b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
    b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n",
    b"%x;ext=1;%b\r\n%b\r\n0\r\nTrailer: x\r\n\r\n" % (len(BODY), b"e" * 500, BODY),
    b"G\r\n", b"-1\r\n", b"FFFFFFFFFFFFFFFFFF\r\n", b"FFFFFFFF\r\nx", b"5\nabcde",
    b"5\r\nabcdefg\r\n",
    b"0\r\n", b"0\r\n\r\nGET /v2 HTTP/1.1\r\n\r\n", b"\r\n\r\n", b"\xff" * 100, b"x" * 1_000_100,
)  # fmt: skip


def damaged_request(seed: int) -> bytes:
    chance = random.Random(seed)
    made = []
    for _ in range(chance.choice((1, 1, 2, 5))):
        lines = chance.sample(LINES, chance.choice((0, 1, 2, 3)))
        # What is large seldom comes, that many other things come.
        lines = [line for line in lines if len(line) < 6000 or chance.random() < 0.1]
        start = chance.choice(STARTS)
        if len(start) > 6000 and chance.random() < 0.9:
            start = STARTS[0]
        body = chance.choice(BODIES)
        if len(body) > 6000 and chance.random() < 0.98:
            body = BODY
        made.append(b"\r\n".join([start, b"host: localhost", *lines, b"", body]))
    sent = b"".join(made)
    return damaged(seed, sent) if chance.random() < 0.3 else sent


def test_http_that_is_none_is_refused_or_closed(server: ServerProcess) -> None:
    statuses: collections.Counter[int] = collections.Counter()
    for seed in range(DAMAGED):
        with connect(server) as connection:
            try:
                connection.sendall(damaged_request(seed))
                # It would wait for what such a request promises.
                connection.shutdown(socket.SHUT_WR)
            except OSError:  # it has been refused before its end
                pass
            received = said(connection)
        statuses.update(int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", received))
    assert not [status for status in statuses if status >= 500], statuses
    assert statuses[400] > 0


def test_a_length_that_is_none_is_no_internal_error(server: ServerProcess) -> None:
    for line in LINES:
        for start in STARTS[:2]:
            with connect(server) as connection:
                connection.sendall(b"\r\n".join([start, line, b"connection: close", b"", b""]))
                connection.shutdown(socket.SHUT_WR)
                assert not re.search(rb"HTTP/1\.1 5\d\d", said(connection)), line


# -- gRPC, on the shared port ------------------------------------------------------------


def grpc_originals() -> dict[str, Any]:
    infer = message("inference.ModelInferRequest")(model_name="m")
    infer.inputs.add(name="x", datatype="FP32", shape=[2, 3])
    infer.raw_input_contents.append(ROWS.tobytes())
    predict = message("tensorflow.serving.PredictRequest")(model_spec={"name": "m"})
    shape = {"dim": [{"size": 2}, {"size": 3}]}
    values = {"dtype": 1, "tensor_shape": shape, "float_val": VALUES}
    predict.inputs["x"].MergeFrom(message("tensorflow.TensorProto")(**values))
    pipeline = message("baidu.paddle_serving.pipeline_serving.Request")(name="m")
    pipeline.tensors.add(name="x", elem_type=1, shape=[2, 3], float_data=VALUES)
    return {
        "/inference.GRPCInferenceService/ModelInfer": infer,
        "/tensorflow.serving.PredictionService/Predict": predict,
        "/baidu.paddle_serving.predictor.general_model.GeneralModelService/inference": GENERAL,
        "/baidu.paddle_serving.pipeline_serving.PipelineService/inference": pipeline,
        "/inference.GRPCInferenceService/ModelStatistics": message(
            "inference.ModelStatisticsRequest"
        )(name="m"),
        "/grpc.health.v1.Health/Check": message("grpc.health.v1.HealthCheckRequest")(service="m"),
    }


@pytest.mark.parametrize("method", grpc_originals())
def test_a_damaged_message_over_grpc_gets_a_status(server: ServerProcess, method: str) -> None:
    codes = grpc.StatusCode
    original = grpc_originals()[method]
    counts: collections.Counter[grpc.StatusCode] = collections.Counter()
    with grpc.insecure_channel(server.url.removeprefix("http://")) as channel:
        stub = channel.unary_unary(method)
        for first in range(0, DAMAGED, 100):
            calls = [
                stub.future(damaged_message(seed, original), timeout=60)
                for seed in range(first, min(first + 100, DAMAGED))
            ]
            counts.update(call.code() for call in calls)
        assert stub(original.SerializeToString(), timeout=60)
    assert counts[codes.INVALID_ARGUMENT] + counts[codes.OK] > 0
    allowed = {codes.OK, codes.INVALID_ARGUMENT, codes.NOT_FOUND}
    # Rows that one value stands for may be more than is taken.
    assert set(counts) <= allowed | {codes.DEADLINE_EXCEEDED, codes.RESOURCE_EXHAUSTED}, counts


def test_a_name_of_any_length_gets_a_status(server: ServerProcess) -> None:
    method, original = next(iter(grpc_originals().items()))
    with grpc.insecure_channel(server.url.removeprefix("http://")) as channel:
        for length in (1000, 10_000, 400_000):
            original.model_name = "m" * length
            call = channel.unary_unary(method).future(original.SerializeToString(), timeout=60)
            assert call.code() is grpc.StatusCode.NOT_FOUND
            assert "is not served" in call.details()
            assert call.details().endswith("]")
            original.model_name = "m"
            original.inputs[0].name = "\u00e9" * length
            call = channel.unary_unary(method).future(original.SerializeToString(), timeout=60)
            assert call.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "[request " in call.details()


def test_http2_that_is_none_ends_its_connection_alone(server: ServerProcess) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    settings = struct.pack("!BHBBI", 0, 0, 4, 0, 0)
    frames = [
        settings,
        struct.pack("!BHBBI", 255, 65535, 1, 5, 1),  # headers of 16 MB
        struct.pack("!BHBBI", 0, 5, 1, 4, 1) + b"\xff" * 5,  # headers that do not unpack
        struct.pack("!BHBBI", 0, 4, 8, 0, 0) + bytes(4),  # a window that opens by nothing
        struct.pack("!BHBBI", 0, 8, 6, 0, 0) + bytes(8),
        struct.pack("!BHBBI", 0, 1, 0, 8, 0) + b"\xff",  # data of no stream
        struct.pack("!BHBBI", 0, 0, 9, 0, 1),
    ]
    for seed in range(DAMAGED):
        chance = random.Random(seed)
        sent = preface + settings + b"".join(chance.choices(frames, k=3))
        if seed % 2:
            sent = damaged(seed, sent)
        with connect(server) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            received = said(connection)
        assert not received.startswith(b"HTTP/1.1 5"), (seed, received)


# -- bRPC ------------------------------------------------------------


def test_a_damaged_frame_is_answered_or_ends_its_connection(server: ServerProcess) -> None:
    codes: collections.Counter[int] = collections.Counter()
    body = GENERAL.SerializeToString()
    for seed in range(DAMAGED):
        with brpc_client.Connection(server.url, 60) as connection:
            try:
                connection.send(damaged_frame(seed, body))
                connection.socket.shutdown(socket.SHUT_WR)
                meta, answer = connection.read()
            except OSError:
                continue
            except AssertionError:  # damaged magic is HTTP's to refuse
                codes[-1] += 1
                continue
        codes[meta.response.error_code] += 1
        assert bool(answer) == (meta.response.error_code == 0)
        if meta.response.error_code:
            assert re.search(r"\[request [\w.-]+\]$", meta.response.error_text)
    assert set(codes) <= {-1, 0, 1001, 1002, 1003, 1008}, codes
    assert codes[1003] > 0
