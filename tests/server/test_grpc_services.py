"""gRPC's streams, health, reflection, statistics and repository, as others' clients see them."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from paddlesrv_client.wire.messages import message
from tritonclient.utils import InferenceServerException

from paddlesrv.errors import Busy
from paddlesrv.server.grpc.calls import Calls
from paddlesrv.server.grpc.server import GrpcServer
from paddlesrv.server.repository import Repository
from paddlesrv.server.scheduler import Limits
from paddlesrv.server.service import Service
from tests.server.grpc_server import GrpcProcess, grpc_serving
from tests.server.harness import local_spec, setup
from tests.standins import linear, nets

SERVICE = "inference.GRPCInferenceService"
STREAM = f"/{SERVICE}/ModelStreamInfer"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("services")
    linear.write_onnx(root / "linear")
    nets.write_identity(root / "wide", "float32", "n")
    return root


def start(root: Path, **options: Any) -> Any:
    setups = [setup(local_spec(root / name, name), root / name) for name in ("linear", "wide")]
    return grpc_serving(*setups, **options)


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[GrpcProcess]:
    with start(root) as running:
        yield running


@pytest.fixture
def client(server: GrpcProcess) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.address) as client:
        yield client


def features(count: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 13)).astype(np.float32)


def tensor(x: np.ndarray) -> triton.InferInput:
    made = triton.InferInput("x", list(x.shape), "FP32")
    made.set_data_from_numpy(x)
    return made


def request(x: np.ndarray, model: str = "linear", **fields: Any) -> bytes:
    made = message("inference.ModelInferRequest")(model_name=model, **fields)
    made.inputs.add(name="x", datatype="FP32", shape=x.shape)
    made.raw_input_contents.append(x.tobytes())
    content: bytes = made.SerializeToString()
    return content


# -- streams -------------------------------------------------------------------------------------


def test_a_stream_is_answered_in_order_and_an_error_does_not_end_it(
    client: triton.InferenceServerClient,
) -> None:
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    sent = [features(1 + i % 3, i) for i in range(60)]
    for i, x in enumerate(sent):
        bad = i % 7 == 3
        data = x[:, :12].copy() if bad else x
        client.async_stream_infer("linear", [tensor(data)], request_id=str(i))
    for i, x in enumerate(sent):
        result, error = answers.get(timeout=30)
        if i % 7 == 3:
            assert "input 'x' has the wrong shape" in str(error)
        else:
            assert error is None
            assert result.get_response().id == str(i)
            y = result.as_numpy("y")
            np.testing.assert_allclose(y, linear.expected(x), rtol=1e-4, atol=1e-5)
    client.stop_stream()


def test_the_final_answer_is_marked_for_who_asks(client: triton.InferenceServerClient) -> None:
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    inputs = [tensor(features())]
    client.async_stream_infer("linear", inputs, enable_empty_final_response=True)
    result, _ = answers.get(timeout=30)
    assert result.get_response().parameters["triton_final_response"].bool_param
    client.stop_stream()


def test_tritons_asyncio_client_streams(server: GrpcProcess) -> None:
    sent = [features(1 + i % 3, i) for i in range(40)]

    async def requests() -> Any:
        for x in sent:
            yield {"model_name": "linear", "inputs": [tensor(x)]}

    async def main() -> None:
        async with triton_aio.InferenceServerClient(server.address) as client:
            got = [pair async for pair in client.stream_infer(requests())]
        for x, (result, error) in zip(sent, got, strict=True):
            assert error is None
            y = result.as_numpy("y")
            np.testing.assert_allclose(y, linear.expected(x), rtol=1e-4, atol=1e-5)

    asyncio.run(main())


def test_what_is_no_message_is_an_error_in_the_stream(server: GrpcProcess) -> None:
    with grpc.insecure_channel(server.address) as channel:
        stub = channel.stream_stream(
            STREAM, response_deserializer=message("inference.ModelStreamInferResponse").FromString
        )
        first, second = stub(iter([b"\xff", request(features(), id="2")]), timeout=30)
    assert "is no inference.ModelInferRequest" in first.error_message
    assert not second.error_message
    assert second.infer_response.id == "2"


def test_requests_of_a_stream_are_batched_together(root: Path) -> None:
    nets.write_slow(root.parent / "batched", rounds=100)
    spec = local_spec(root.parent / "batched", "slow")
    with grpc_serving(setup(spec, root.parent / "batched")) as server:
        x = np.ones((1, 4), np.float32)
        with grpc.insecure_channel(server.address) as channel:
            stub = channel.stream_stream(STREAM)
            assert len(list(stub(iter([request(x, "slow")] * 24), timeout=60))) == 24
        assert server.metric("paddlesrv_batch_rows_count", model="slow") < 12


def test_who_does_not_read_holds_nobody_up_and_is_not_computed_ahead(root: Path) -> None:
    many = 300
    large = request(np.ones((1, 60_000), np.float32), "wide")  # 72 MB each way in all
    narrow = [("grpc.http2.bdp_probe", 0), ("grpc.use_local_subchannel_pool", 1)]
    with (
        start(root) as server,
        grpc.insecure_channel(server.address, narrow) as channel,
        grpc.insecure_channel(server.address) as other,
    ):
        scheduler = server.service.models["wide"].scheduler
        assert scheduler is not None
        stuck = channel.stream_stream(STREAM)(iter([large] * many), timeout=60)
        next(stuck)
        infer = other.unary_unary(f"/{SERVICE}/ModelInfer")
        for _ in range(50):
            infer(request(features()), timeout=30)
        wait_until(server, lambda: not scheduler.in_flight)
        assert scheduler.statistics.success.count < many / 2
        assert sum(1 for _ in stuck) == many - 1


def test_a_stream_that_is_cancelled_leaves_nothing_behind(server: GrpcProcess) -> None:
    gate = threading.Event()

    def requests() -> Iterator[bytes]:
        for _ in range(20):
            yield request(features())
        gate.wait(30)

    with grpc.insecure_channel(server.address) as channel:
        stream = channel.stream_stream(STREAM)(requests(), timeout=60)
        next(stream)
        stream.cancel()
        gate.set()
    wait_until(server, lambda: server.service.in_flight == 0)


def wait_until(server: GrpcProcess, condition: Any) -> None:
    async def wait() -> None:
        while not condition():
            await asyncio.sleep(0.001)

    server.call(asyncio.wait_for(wait(), 30))


# -- health and reflection -----------------------------------------------------------------------


def test_health_tells_the_truth(root: Path) -> None:
    serving, not_serving, unknown = 1, 2, 3
    with start(root, admin=True) as server, grpc.insecure_channel(server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        def check(name: str) -> int:
            asked = health_pb2.HealthCheckRequest(service=name)
            return stub.Check(asked, timeout=30).status

        names = ["", SERVICE, "grpc.health.v1.Health", "linear"]
        assert [check(name) for name in names] == [serving] * 4
        with pytest.raises(grpc.RpcError) as raised:
            check("nothing")
        assert raised.value.code() is grpc.StatusCode.NOT_FOUND
        watches = {}
        for name in ("", "linear", "nothing"):
            asked = health_pb2.HealthCheckRequest(service=name)
            watches[name] = stub.Watch(asked, timeout=60)
        assert next(watches[""]).status == serving
        assert next(watches["linear"]).status == serving
        assert next(watches["nothing"]).status == unknown

        with triton.InferenceServerClient(server.address) as client:
            client.unload_model("linear")
            assert next(watches["linear"]).status == not_serving
            assert check("linear") == not_serving
            client.load_model("linear")
            assert next(watches["linear"]).status == serving

        server.call(server.server.stop(5))
        assert [m.status for m in watches["linear"]] == [not_serving]
        assert [m.status for m in watches[""]] == [not_serving]


def test_reflection_describes_every_service(server: GrpcProcess) -> None:
    with grpc.insecure_channel(server.address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        names = set(database.get_services())
        assert {SERVICE, "grpc.health.v1.Health"} <= names
        pool = DescriptorPool(database)
        for name in names:
            found = pool.FindServiceByName(name)
            assert found.methods
        method = pool.FindServiceByName(SERVICE).FindMethodByName("ModelInfer")
        assert method.input_type.fields_by_name["raw_input_contents"].number == 7


def test_both_versions_of_reflection_answer(server: GrpcProcess) -> None:
    from grpc_reflection.v1alpha import reflection_pb2

    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    with grpc.insecure_channel(server.address) as channel:
        for version in ("v1", "v1alpha"):
            (answer,) = channel.stream_stream(
                f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                request_serializer=lambda m: m.SerializeToString(),
                response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
            )(iter([asked]), timeout=30)
            assert SERVICE in [s.name for s in answer.list_services_response.service]


# -- statistics and repository -------------------------------------------------------------------


def test_statistics_count_requests_and_runs(root: Path) -> None:
    with start(root) as server, triton.InferenceServerClient(server.address) as client:
        for i in range(5):
            client.infer("linear", [tensor(features(3, i))])
        limited = triton.InferInput("x", [1, 13], "FP32")
        limited.set_data_from_numpy(features())
        (found,) = client.get_inference_statistics("linear").model_stats
        assert (found.name, found.version) == ("linear", "1")
        assert (found.inference_count, found.execution_count) == (15, 5)
        sums = found.inference_stats
        assert (sums.success.count, sums.fail.count) == (5, 0)
        assert sums.success.ns >= sums.queue.ns + sums.compute_infer.ns > 0
        assert [(b.batch_size, b.compute_infer.count) for b in found.batch_stats] == [(3, 5)]
        assert found.last_inference > 1_600_000_000_000
        every = client.get_inference_statistics().model_stats
        assert {m.name for m in every} == {"linear", "wide"}
        with pytest.raises(InferenceServerException, match="not served"):
            client.get_inference_statistics("nothing")


def test_models_are_loaded_and_unloaded_for_administrators_alone(
    client: triton.InferenceServerClient,
) -> None:
    states = {m.name: m.state for m in client.get_model_repository_index().models}
    assert states == {"linear": "READY", "wide": "READY"}
    for change in (client.load_model, client.unload_model):
        with pytest.raises(InferenceServerException, match="--admin") as raised:
            change("linear")
        assert raised.value.status() == "StatusCode.PERMISSION_DENIED"


def test_an_unloaded_model_ends_and_can_be_loaded_again(root: Path) -> None:
    with (
        start(root, admin=True) as server,
        triton.InferenceServerClient(server.address) as client,
    ):
        pid = worker_of(server, "linear").pid
        client.unload_model("linear")
        client.unload_model("linear")
        assert pid != worker_of(server, "wide").pid
        assert not client.is_model_ready("linear")
        assert client.is_server_ready()
        entries = {m.name: m for m in client.get_model_repository_index().models}
        assert (entries["linear"].state, entries["linear"].reason) == ("UNAVAILABLE", "unloaded")
        with pytest.raises(InferenceServerException, match="unloaded") as raised:
            client.infer("linear", [tensor(features())])
        assert raised.value.status() == "StatusCode.UNAVAILABLE"
        client.infer("wide", [tensor(np.ones((1, 3), np.float32))])
        client.load_model("linear")
        client.load_model("linear")
        assert client.is_model_ready("linear")
        y = client.infer("linear", [tensor(features(2))]).as_numpy("y")
        np.testing.assert_allclose(y, linear.expected(features(2)), rtol=1e-4, atol=1e-5)
        with pytest.raises(InferenceServerException, match="not known"):
            client.load_model("nothing")
        with pytest.raises(InferenceServerException, match="no parameters"):
            client.load_model("linear", config="{}")


def worker_of(server: GrpcProcess, name: str) -> Any:
    scheduler = server.service.models[name].scheduler
    assert scheduler is not None
    return scheduler.workers[0]


def test_unloading_answers_what_was_taken(tmp_path: Path) -> None:
    nets.write_slow(tmp_path, rounds=100)
    limits = Limits(max_batch_size=1, max_delay=0.0, max_queue=100, timeout=60.0)
    spec = local_spec(tmp_path, "slow")
    x = np.ones((1, 4), np.float32)
    with grpc_serving(setup(spec, tmp_path, limits=limits), admin=True) as server:
        scheduler = server.service.models["slow"].scheduler
        assert scheduler is not None
        with grpc.insecure_channel(server.address) as channel:
            infer = channel.unary_unary(f"/{SERVICE}/ModelInfer")
            calls = [infer.future(request(x, "slow"), timeout=60) for _ in range(6)]
            wait_until(server, lambda: scheduler.in_flight == 6)
            with triton.InferenceServerClient(server.address) as client:
                client.unload_model("slow")
            assert all(call.done() for call in calls)
            assert all(call.exception() is None for call in calls)


# -- its beginning and its end -------------------------------------------------------------------


def test_calls_in_flight_are_answered_when_the_server_stops(tmp_path: Path) -> None:
    nets.write_slow(tmp_path, rounds=100)
    limits = Limits(max_batch_size=1, max_delay=0.0, max_queue=100, timeout=60.0)
    spec = local_spec(tmp_path, "slow")
    body = request(np.ones((1, 4), np.float32), "slow")
    more = threading.Event()

    def requests() -> Iterator[bytes]:
        yield from [body] * 3
        more.wait(60)

    with grpc_serving(setup(spec, tmp_path, limits=limits)) as server:
        scheduler = server.service.models["slow"].scheduler
        assert scheduler is not None
        with grpc.insecure_channel(server.address) as channel:
            stream = channel.stream_stream(STREAM)(requests(), timeout=60)
            infer = channel.unary_unary(f"/{SERVICE}/ModelInfer")
            calls = [infer.future(body, timeout=60) for _ in range(3)]
            wait_until(server, lambda: scheduler.in_flight == 6)
            assert server.call(server.server.stop(60))
            assert all(call.exception() is None for call in calls)
            for _ in range(3):
                next(stream)
            with pytest.raises(grpc.RpcError) as raised:
                next(stream)
            assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
            more.set()
            with pytest.raises(grpc.RpcError) as refused:
                infer(body, timeout=60)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_server_says_when_calls_were_left_unanswered(tmp_path: Path) -> None:
    nets.write_slow(tmp_path, rounds=400)
    body = request(np.ones((1, 4), np.float32), "slow")
    with grpc_serving(setup(local_spec(tmp_path, "slow"), tmp_path)) as server:
        with grpc.insecure_channel(server.address) as channel:
            call = channel.unary_unary(f"/{SERVICE}/ModelInfer").future(body, timeout=60)
            wait_until(server, lambda: server.service.in_flight == 1)
            assert not server.call(server.server.stop(0))
            assert call.code() is not grpc.StatusCode.OK
        wait_until(server, lambda: server.service.in_flight == 0)


def test_a_taken_port_is_told(server: GrpcProcess) -> None:
    async def start() -> None:
        other = GrpcServer(server.service, Repository(server.service), max_message_bytes=1000)
        try:
            with pytest.raises(Busy, match="in use"):
                await other.start([server.address])
        finally:
            await other.stop(0)

    server.call(start())


def test_a_mistake_of_ours_is_internal_and_tells_no_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(_: Any, __: Any) -> Any:
        raise ValueError("a secret")

    async def main() -> None:
        server = grpc.aio.server()
        ready = message("inference.ServerReadyRequest")
        handler = Calls(Service()).unary(ready, broken)
        generic = grpc.method_handlers_generic_handler("broken", {"Call": handler})
        server.add_generic_rpc_handlers((generic,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await channel.unary_unary("/broken/Call")(b"", timeout=30)
        await server.stop(0)
        assert raised.value.code() is grpc.StatusCode.INTERNAL
        assert (raised.value.details() or "").startswith("internal error [request ")
        request_id = dict(raised.value.trailing_metadata())["request-id"]
        assert f"request {request_id} failed" in caplog.text
        assert "a secret" in caplog.text

    asyncio.run(main())
