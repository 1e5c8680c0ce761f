"""bRPC on the shared port, by frames made by hand."""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paddlesrv_client.wire.compression import BRPC_CODES, compress, decompress

from tests.cli.program import run
from tests.protocols.brpc_client import Connection, Response, array_of, frame, rows
from tests.server.process import ServerProcess, serve
from tests.standins import linear, nets

EREQUEST, ENOSERVICE, ENOMETHOD, ERPCTIMEDOUT = 1003, 1001, 1002, 1008
DAMAGED = int(os.environ.get("PADDLESRV_FUZZ_EXAMPLES", "300"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    root = tmp_path_factory.mktemp("brpc")
    linear.write_onnx(root / "linear")
    nets.write_lookup(root / "lookup")
    nets.write_slow(root / "slow")
    models = [str(root / name) for name in ("linear", "lookup", "slow")]
    with serve(*models, "--engine", "onnxruntime", "--max-body", "1", home=root) as running:
        yield running


@pytest.fixture
def connection(server: ServerProcess) -> Iterator[Connection]:
    with Connection(server.url) as connected:
        yield connected


def features(count: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 13)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("service", ["GeneralModelService", None])
def test_a_call_is_answered(connection: Connection, count: int, service: str | None) -> None:
    x = features(count)
    said = connection.call(rows(x), **({"service": service} if service else {}))
    (tensor,) = said.outputs[0].tensor
    np.testing.assert_allclose(array_of(tensor), linear.expected(x), rtol=1e-5)
    assert (tensor.name, tensor.alias_name) == ("y", "y")
    assert said.outputs[0].engine_name == "general_infer_0"
    began, ended = said.profile_time
    assert 0 < began <= ended


@pytest.mark.parametrize("code", BRPC_CODES)
def test_an_answer_is_compressed_as_its_request(connection: Connection, code: int) -> None:
    x = features(3)
    body = compress(BRPC_CODES[code], rows(x).SerializeToString())
    connection.send(frame(4, body, compress=code))
    meta, answer = connection.read()
    assert (meta.correlation_id, meta.compress_type) == (4, code)
    said = Response.FromString(decompress(BRPC_CODES[code], answer, 1 << 20))
    np.testing.assert_allclose(array_of(said.outputs[0].tensor[0]), linear.expected(x), rtol=1e-5)


def test_calls_on_one_connection_are_each_answered_under_their_own_number(
    connection: Connection,
) -> None:
    sent = {number: features(1 + number % 3, number) for number in range(1, 41)}
    connection.send(b"".join(frame(n, rows(x).SerializeToString()) for n, x in sent.items()))
    answered = {}
    for _ in sent:
        meta, body = connection.read()
        answered[meta.correlation_id] = array_of(Response.FromString(body).outputs[0].tensor[0])
    assert answered.keys() == sent.keys()
    for number, x in sent.items():
        np.testing.assert_allclose(answered[number], linear.expected(x), rtol=1e-5)


def test_a_quick_answer_does_not_wait_for_a_slow_one(connection: Connection) -> None:
    slow = rows(np.ones((1, 4), np.float32))
    connection.send(frame(1, slow.SerializeToString()))
    connection.send(frame(2, rows(features()).SerializeToString()))
    assert [connection.read()[0].correlation_id for _ in range(2)] == [2, 1]


def test_a_frame_may_come_byte_by_byte(connection: Connection) -> None:
    for byte in frame(9, rows(features()).SerializeToString()):
        connection.send(bytes([byte]))
    assert connection.read()[0].correlation_id == 9


@pytest.mark.parametrize(
    ("how", "body", "code", "words"),
    [
        ({"service": "Nope"}, b"", ENOSERVICE, "no service 'Nope'"),
        ({"method": "nope"}, b"", ENOMETHOD, "no method 'nope'"),
        ({}, b"\xff\xff", EREQUEST, "not a Request"),
        ({"compress": 4}, b"x", EREQUEST, "compress_type 4"),
        ({"compress": 2}, b"no gzip", EREQUEST, "not gzip"),
        ({}, rows(np.ones((1, 13)), name="q").SerializeToString(), EREQUEST, "takes these tensors"),
        ({}, rows(np.ones((1, 12)), name="x", fetch=["y"]).SerializeToString(), EREQUEST, "'x'"),
    ],
)
def test_an_error_has_its_number_and_words_and_the_connection_goes_on(
    connection: Connection, how: dict[str, object], body: bytes, code: int, words: str
) -> None:
    connection.send(frame(6, body, **how))
    meta, answer = connection.read()
    assert (meta.correlation_id, answer) == (6, b"")
    assert meta.response.error_code == code
    assert words in meta.response.error_text
    assert re.search(r"\[request \w+\]$", meta.response.error_text)
    assert connection.call(rows(features())).outputs


def test_a_time_limit_is_kept(connection: Connection) -> None:
    slow = rows(np.ones((1, 4), np.float32))
    connection.send(frame(3, slow.SerializeToString(), timeout_ms=1))
    meta, _ = connection.read()
    assert meta.response.error_code == ERPCTIMEDOUT


def test_what_is_too_large_is_refused_before_it_has_come(connection: Connection) -> None:
    whole = frame(8, bytes(2_000_000))
    connection.send(whole[:500])
    meta, _ = connection.read()
    assert meta.correlation_id == 8
    assert "limit is 1000000" in meta.response.error_text
    assert connection.closed()


@pytest.mark.parametrize(
    "data",
    [struct.pack("!4sII", b"PRPC", 3, 9), b"PRPC" + b"\xff" * 8, b"PRPX" * 9],
)
def test_what_is_no_frame_ends_its_connection_alone(server: ServerProcess, data: bytes) -> None:
    with Connection(server.url) as broken, Connection(server.url) as other:
        broken.send(frame(1, rows(features()).SerializeToString()) + data)
        assert broken.read()[0].correlation_id == 1
        assert broken.closed()
        assert other.call(rows(features())).outputs


def test_a_frame_with_nothing_in_it_is_a_call_of_no_service(connection: Connection) -> None:
    connection.send(b"PRPC" + bytes(8))
    assert connection.read()[0].response.error_code == ENOSERVICE


def test_a_port_of_its_own_speaks_bRPC_alone(tmp_path: Path) -> None:
    linear.write_onnx(tmp_path / "linear")
    arguments = (str(tmp_path / "linear"), "--engine", "onnxruntime", "--brpc-port")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run(tmp_path, "serve", *arguments, port, "--port", "0")
        assert ended.returncode == 7
        assert f"port {port} on 127.0.0.1 is in use" in ended.stderr
    with serve(*arguments, port, home=tmp_path) as server:
        with Connection(f"http://127.0.0.1:{port}") as connected:
            x = features(2)
            (tensor,) = connected.call(rows(x)).outputs[0].tensor
            np.testing.assert_allclose(array_of(tensor), linear.expected(x), rtol=1e-5)
        with Connection(f"http://127.0.0.1:{port}") as connected:
            connected.send(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert connected.closed()
        # Stopped with a call on its way, it answers that first.
        with Connection(f"http://127.0.0.1:{port}") as connected:
            connected.send(frame(1, rows(x).SerializeToString()))
            assert server.terminate() == 0
            assert connected.read()[0].correlation_id == 1


def test_a_client_that_goes_is_not_computed_for(server: ServerProcess) -> None:
    slow = rows(np.ones((8, 4), np.float32)).SerializeToString()
    before = _rows(server, "slow")
    with Connection(server.url) as first, Connection(server.url) as gone:
        # One runs, one is prepared; the rest of them queue.
        first.send(b"".join(frame(n, slow) for n in (1, 2)))
        gone.send(b"".join(frame(n, slow) for n in range(20)))
        first.read()
        gone.socket.close()
        first.send(frame(3, slow))
        for _ in range(2):
            first.read()
    # All that came before would have been computed first.
    assert _rows(server, "slow") - before < 22 * 8


def _rows(server: ServerProcess, model: str) -> int:
    with server.client() as client:
        text = client.get("/metrics").text
    found = re.search(rf'^paddlesrv_batch_rows_sum\{{model="{model}"\}} (\S+)$', text, re.M)
    return round(float(found[1])) if found else 0


@settings(max_examples=DAMAGED, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_damaged_frames_never_harm_the_server(server: ServerProcess, data: st.DataObject) -> None:
    whole = bytearray(frame(5, rows(features()).SerializeToString()))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with Connection(server.url) as damaged:
        damaged.send(bytes(whole))
        damaged.socket.shutdown(1)  # so that nobody waits for what will not come
        try:
            meta, body = damaged.read()
            assert meta.response.error_code != 2001, meta.response.error_text
            assert bool(body) == (meta.response.error_code == 0)
        except (ConnectionError, AssertionError) as error:
            # Damaged magic is HTTP's to refuse.
            if isinstance(error, AssertionError) and whole[:4] == b"PRPC":
                raise


def test_after_all_that_it_still_answers(connection: Connection) -> None:
    assert connection.call(rows(features())).outputs
