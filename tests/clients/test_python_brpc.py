"""The Python client over bRPC and gRPC, and servers that do wrong there."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paddlesrv_client import (
    Client,
    ConnectionFailed,
    DeadlineExceeded,
    MalformedAnswer,
    RetryPolicy,
    ServerError,
)
from paddlesrv_client.general_model import BrpcCodec
from paddlesrv_client.open_inference_proto import GrpcCodec
from paddlesrv_client.tensors import prepare
from paddlesrv_client.wire.baidu_std import Frame, FrameReader, RpcMeta, encode
from paddlesrv_client.wire.messages import message

from tests.clients.handmade_frames import Answer, frames

X = {"x": np.float32([[1, 2]])}
AT_ONCE = RetryPolicy(attempts=3, first_delay=0, max_delay=0)
GENERAL = "baidu.paddle_serving.predictor.general_model"


def good(frame: Frame, scale: float = 2) -> bytes:
    """Twice what was asked."""
    asked = message(f"{GENERAL}.Request").FromString(frame.body).tensor[0]
    said = message(f"{GENERAL}.Response")()
    part = said.outputs.add().tensor.add(name="y", elem_type=1, shape=asked.shape)
    part.float_data.extend(scale * value for value in asked.float_data)
    return encode(RpcMeta(correlation_id=frame.meta.correlation_id), said.SerializeToString())


def refused(code: int, text: str) -> Answer:
    """An error."""

    def answer(frame: Frame) -> bytes:
        meta = RpcMeta(correlation_id=frame.meta.correlation_id)
        meta.response.error_code, meta.response.error_text = code, text
        return encode(meta, b"")

    return answer


def gone(frame: Frame) -> bytes:
    return b""


@pytest.mark.parametrize(
    "first",
    [refused(2004, "too much"), refused(2003, "ending"), gone],
    ids=["limit", "logoff", "closed"],
)
def test_brpc_tries_again_what_may_pass(first: Answer) -> None:
    with frames(first, first, good) as (url, came):
        with Client(url, "brpc", retries=AT_ONCE) as client:
            np.testing.assert_array_equal(client.infer("m", X)["y"], 2 * X["x"])
        assert len(came) == 3
        assert 0 < came[0].meta.request.timeout_ms <= 60_000


def test_brpc_tells_text_hint_and_request_of_an_error() -> None:
    answer = refused(1003, "no input 'x'; hint: see its metadata [request ab12]")
    with frames(answer) as (url, came), Client(url, "brpc", retries=AT_ONCE) as client:
        with pytest.raises(ServerError) as raised:
            client.infer("m", X)
        assert len(came) == 1
    error = raised.value
    assert (error.message, error.status) == ("no input 'x'", 1003)
    assert (error.hint, error.request_id) == ("see its metadata", "ab12")


def test_brpc_answers_find_their_requests_whatever_their_order() -> None:
    held: list[Frame] = []

    def reversed_order(frame: Frame) -> bytes:
        held.append(frame)
        if len(held) < 4:
            return encode(RpcMeta(correlation_id=1 << 40), b"")  # an answer to nobody
        return b"".join(good(each) for each in reversed(held))

    with frames(reversed_order) as (url, _), Client(url, "brpc") as client:
        asked = [{"x": np.full((1, 2), number, np.float32)} for number in range(4)]
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda each: client.infer("m", each)["y"], asked))
    for each, answer in zip(asked, found, strict=True):
        np.testing.assert_array_equal(answer, 2 * each["x"])


def test_brpc_leaves_a_silent_server_at_the_deadline() -> None:
    nothing = encode(RpcMeta(correlation_id=1 << 40), b"")
    with frames(lambda _: nothing) as (url, came), Client(url, "brpc") as client:
        with pytest.raises(DeadlineExceeded):
            client.infer("m", X, timeout=0.3)
        assert len(came) == 1


def test_a_client_that_is_closed_lets_its_waiting_threads_go() -> None:
    arrived = threading.Event()

    def silent(frame: Frame) -> bytes:
        arrived.set()
        return encode(RpcMeta(correlation_id=1 << 40), b"")

    once = RetryPolicy(attempts=1)
    with frames(silent) as (url, _), ThreadPoolExecutor(1) as pool:
        client = Client(url, "brpc", retries=once)
        asked = pool.submit(client.infer, "m", X)
        assert arrived.wait(30)
        client.close()
        with pytest.raises(ConnectionFailed):
            asked.result(30)
        with pytest.raises(ConnectionFailed):
            client.infer("m", X)


def test_brpc_names_an_answer_that_is_none() -> None:
    with frames(lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n") as (url, _):
        with Client(url, "brpc") as client, pytest.raises(MalformedAnswer):
            client.infer("m", X)


@pytest.mark.parametrize("protocol", ["grpc", "brpc"])
def test_nobody_listening_is_a_failed_connection(protocol: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"127.0.0.1:{taken.getsockname()[1]}"
        with Client(url, protocol, retries=AT_ONCE) as client:  # type: ignore[arg-type]
            with pytest.raises(ConnectionFailed):
                client.infer("m", X)


@contextlib.contextmanager
def grpc_answers(*steps: bytes | grpc.StatusCode) -> Iterator[tuple[str, list[float]]]:
    """A gRPC server that answers these in turn; its address, and the time that each call had."""
    left, came = list(steps), []

    def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
        came.append(context.time_remaining())
        step = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(step, grpc.StatusCode):
            context.set_trailing_metadata((("request-id", "ab12"),))
            context.abort(step, "not now; hint: wait [request ab12]")
        return step

    handler = grpc.unary_unary_rpc_method_handler(answer)
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        methods = {"ModelInfer": handler}
        service = "inference.GRPCInferenceService"
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}", came
        finally:
            server.stop(0).wait()


def grpc_good() -> bytes:
    said = message("inference.ModelInferResponse")(model_name="m")
    said.outputs.add(name="y", datatype="FP32", shape=[1, 2])
    said.raw_output_contents.append(np.float32([[3, 4]]).tobytes())
    return bytes(said.SerializeToString())


@pytest.mark.parametrize("status", ["UNAVAILABLE", "RESOURCE_EXHAUSTED"])
def test_grpc_tries_again_what_may_pass_within_its_deadline(status: str) -> None:
    busy = grpc.StatusCode[status]
    with grpc_answers(busy, busy, grpc_good()) as (url, came):
        with Client(url, "grpc", retries=AT_ONCE) as client:
            found = client.infer("m", X, timeout=40)
    np.testing.assert_array_equal(found["y"], np.float32([[3, 4]]))
    assert len(came) == 3
    # gRPC's wire rounds the time up, by less than a tenth of it.
    assert all(0 < left <= 44 for left in came), came


def test_grpc_tells_text_hint_and_request_of_an_error() -> None:
    with grpc_answers(grpc.StatusCode.INVALID_ARGUMENT) as (url, came):
        with Client(url, "grpc", retries=AT_ONCE) as client:
            with pytest.raises(ServerError) as raised:
                client.infer("m", X)
    error = raised.value
    assert len(came) == 1
    assert (error.message, error.status) == ("not now", "INVALID_ARGUMENT")
    assert (error.hint, error.request_id) == ("wait", "ab12")


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_any_damage_to_a_message_is_survived(data: st.DataObject) -> None:
    x = prepare(X, None)
    asked = BrpcCodec().infer("m", x, (), None, 1.0)
    framed = good(Frame(RpcMeta(), asked.request.body, b""))
    (whole,) = FrameReader(1 << 20).feed(framed)
    grpcs = data.draw(st.booleans())
    damaged = bytearray(grpc_good() if grpcs else whole.body)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    try:
        if grpcs:
            found = GrpcCodec().infer("m", x, (), None, 1.0).read(cut)
        else:
            found = asked.read(Frame(RpcMeta(), cut, b""))
    except MalformedAnswer:
        return
    assert all(isinstance(array, np.ndarray) for array in found.values())
