"""gRPC as clients see it that others wrote: Triton's, in its three forms, and plain stubs."""

from __future__ import annotations

import asyncio
import collections
import os
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from paddlesrv_client.wire.messages import message
from tritonclient.utils import np_to_triton_dtype

from paddlesrv.server.scheduler import Limits
from tests.server.grpc_server import GrpcProcess, grpc_serving
from tests.server.harness import local_spec, setup
from tests.standins import linear, nets
from tests.unit.server.damage import damaged

DTYPES = (
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
    "float16", "float32", "float64",
)  # fmt: skip

DAMAGED = int(os.environ.get("PADDLESRV_FUZZ_EXAMPLES", "300"))

INFER = "/inference.GRPCInferenceService/ModelInfer"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GrpcProcess]:
    root = tmp_path_factory.mktemp("grpc")
    setups = []
    for dtype in DTYPES:
        nets.write_identity(root / dtype, dtype)
    linear.write_onnx(root / "linear")
    nets.write_mixed(root / "mixed")
    nets.write_lookup(root / "lookup")
    for directory in sorted(root.iterdir()):
        setups.append(setup(local_spec(directory, directory.name), directory))
    with grpc_serving(*setups) as running:
        yield running


@pytest.fixture
def client(server: GrpcProcess) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.address) as client:
        yield client


@pytest.fixture
def channel(server: GrpcProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address) as channel:
        yield channel


def sample(dtype: str, rows: int) -> np.ndarray:
    random = np.random.default_rng(rows)
    if dtype == "bool":
        return random.integers(0, 2, (rows, 3)).astype(bool)
    if dtype.startswith("float"):
        return random.standard_normal((rows, 3)).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, (rows, 3), dtype=dtype, endpoint=True)


def tensor(name: str, array: np.ndarray) -> triton.InferInput:
    made = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    made.set_data_from_numpy(array)
    return made


def features(count: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 13)).astype(np.float32)


def test_health_and_metadata(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("linear", "1")
    assert client.get_server_metadata().name == "paddlesrv"
    found = client.get_model_metadata("linear")
    assert list(found.versions) == ["1"]
    (x,) = found.inputs
    assert (x.name, x.datatype, list(x.shape)) == ("x", "FP32", [-1, 13])
    config = client.get_model_config("linear").config
    assert (config.max_batch_size, list(config.input[0].dims)) == (8, [13])
    assert config.input[0].data_type == 11  # TYPE_FP32


@pytest.mark.parametrize("rows", [1, 8])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_comes_back_bit_for_bit(
    client: triton.InferenceServerClient, dtype: str, rows: int
) -> None:
    x = sample(dtype, rows)
    answer = client.infer(dtype, [tensor("x", x)]).as_numpy("y")
    assert answer.dtype == x.dtype
    assert answer.tobytes() == x.tobytes()


CONTENTS = {
    "bool": "bool",
    "float32": "fp32",
    "float64": "fp64",
    "int64": "int64",
    "uint64": "uint64",
}


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d != "float16"])
def test_typed_contents_mean_what_raw_ones_mean(channel: grpc.Channel, dtype: str) -> None:
    x = sample(dtype, 2)
    request = message("inference.ModelInferRequest")(model_name=dtype)
    part = request.inputs.add(name="x", datatype=np_to_triton_dtype(x.dtype), shape=x.shape)
    kind = CONTENTS.get(dtype, "int" if dtype.startswith("int") else "uint")
    getattr(part.contents, f"{kind}_contents").extend(x.ravel().tolist())
    answer = infer(channel, request)
    assert answer.raw_output_contents[0] == x.tobytes()


def infer(channel: grpc.Channel, request: Any, **options: Any) -> Any:
    stub = channel.unary_unary(
        INFER,
        request_serializer=lambda m: m if isinstance(m, bytes) else m.SerializeToString(),
        response_deserializer=message("inference.ModelInferResponse").FromString,
    )
    return stub(request, timeout=30, **options)


def test_several_inputs_and_chosen_outputs_and_the_id_comes_back(
    client: triton.InferenceServerClient,
) -> None:
    a, b = sample("float32", 8)[:, [0, 1, 2, 0]], sample("float32", 8)[:, [2, 1, 0, 1]]
    ids = np.arange(40, dtype=np.int64).reshape(8, 5)
    inputs = [tensor("ids", ids), tensor("b", b), tensor("a", a)]
    answer = client.infer("mixed", inputs, request_id="seven")
    assert answer.get_response().id == "seven"
    np.testing.assert_array_equal(answer.as_numpy("sum"), a + b)
    np.testing.assert_array_equal(answer.as_numpy("same"), ids)
    chosen = client.infer("mixed", inputs, outputs=[triton.InferRequestedOutput("same")])
    assert [o.name for o in chosen.get_response().outputs] == ["same"]


def test_tritons_asynchronous_clients_infer(
    server: GrpcProcess, client: triton.InferenceServerClient
) -> None:
    x = features(8)
    done: list[Any] = []
    called = threading.Event()

    def callback(result: Any, error: Any) -> None:
        done.append(error or result)
        called.set()

    client.async_infer("linear", [tensor("x", x)], callback)
    assert called.wait(30)
    np.testing.assert_allclose(done[0].as_numpy("y"), linear.expected(x), rtol=1e-4, atol=1e-5)

    async def main() -> None:
        async with triton_aio.InferenceServerClient(server.address) as aio:
            many = [features(1 + i % 8, i) for i in range(40)]
            answers = await asyncio.gather(*(aio.infer("linear", [tensor("x", x)]) for x in many))
            for x, answer in zip(many, answers, strict=True):
                y = answer.as_numpy("y")
                np.testing.assert_allclose(y, linear.expected(x), rtol=1e-4, atol=1e-5)

    asyncio.run(main())


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_a_compressed_request_is_a_request(
    client: triton.InferenceServerClient, algorithm: str
) -> None:
    x = features(8)
    answer = client.infer("linear", [tensor("x", x)], compression_algorithm=algorithm)
    np.testing.assert_allclose(answer.as_numpy("y"), linear.expected(x), rtol=1e-4, atol=1e-5)


# -- what is refused -----------------------------------------------------------------------------


def linear_request(**change: Any) -> Any:
    x = features()
    request = message("inference.ModelInferRequest")(model_name="linear")
    fields = {"name": "x", "datatype": "FP32", "shape": x.shape}
    request.inputs.add(**(fields | change))
    request.raw_input_contents.append(x.tobytes())
    return request


def refused(channel: grpc.Channel, request: Any, **options: Any) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as raised:
        infer(channel, request, **options)
    return raised.value


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": [1, 12]}, "48 bytes for FP32"),
        ({"shape": [13]}, "wrong shape"),
        ({"shape": [-1, 13]}, "impossible shape"),
        ({"shape": [2**62, 2**62, 2**62]}, "not as long as its shape"),
        ({"shape": [1] * 40}, "impossible shape"),
        ({"datatype": "INT32"}, "wrong type"),
        ({"datatype": "BF16"}, "send it as FP32"),
        ({"datatype": ""}, "unknown datatype"),
        ({"datatype": "BYTES"}, "elements of BYTES"),
        ({"name": "z"}, "needs input 'x'"),
        ({"contents": {"fp32_contents": [1.0]}}, "although the request has raw contents"),
        ({"parameters": {"shared_memory_region": {"string_param": "r"}}}, "is not served"),
    ],
)
def test_bad_tensors_are_named_with_what_came_and_what_was_expected(
    channel: grpc.Channel, change: dict, words: str
) -> None:
    error = refused(channel, linear_request(**change))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert words in error.details()


def test_typed_contents_are_checked(channel: grpc.Channel) -> None:
    def error(dtype: str, **contents: Any) -> str:
        request = message("inference.ModelInferRequest")(model_name=dtype)
        datatype = np_to_triton_dtype(np.dtype(dtype))
        request.inputs.add(name="x", datatype=datatype, shape=[1, 3], contents=contents)
        raised = refused(channel, request)
        assert raised.code() is grpc.StatusCode.INVALID_ARGUMENT
        return raised.details()

    assert "out of range for INT8" in error("int8", int_contents=[1, 2, 128])
    assert "2 values" in error("int8", int_contents=[1, 2])
    assert "of another type" in error("int8", uint_contents=[1, 2, 3])
    assert "raw_input_contents" in error("float16", fp32_contents=[1, 2, 3])
    assert "0 values" in error("float32")


def test_what_is_no_message_is_the_clients_error(channel: grpc.Channel) -> None:
    error = refused(channel, b"\xff\xff\xff")
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "no inference.ModelInferRequest" in error.details()


def test_statuses_are_those_of_the_error(channel: grpc.Channel) -> None:
    unknown = linear_request()
    unknown.model_name = "linaer"
    error = refused(channel, unknown)
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert "did you mean 'linear'?" in error.details()
    other = linear_request()
    other.model_version = "2"
    assert refused(channel, other).code() is grpc.StatusCode.NOT_FOUND
    lookup = message("inference.ModelInferRequest")(model_name="lookup")
    lookup.inputs.add(name="ids", datatype="INT64", shape=[1, 1], contents={"int64_contents": [99]})
    failed = refused(channel, lookup)
    assert failed.code() is grpc.StatusCode.INTERNAL
    assert "[request " in failed.details()


def test_a_request_id_comes_back_with_the_error(channel: grpc.Channel) -> None:
    bad = linear_request(shape=[13])
    error = refused(channel, bad, metadata=(("x-request-id", "mine-7"),))
    assert dict(error.trailing_metadata())["request-id"] == "mine-7"
    assert error.details().endswith("[request mine-7]")
    other = refused(channel, bad, metadata=(("x-request-id", "not mine"),))
    given = dict(other.trailing_metadata())["request-id"]
    assert len(given) == 16
    assert other.details().endswith(f"[request {given}]")


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_message_over_the_limit_is_refused(
    channel: grpc.Channel, compression: grpc.Compression
) -> None:
    request = linear_request()
    request.raw_input_contents[0] = bytes(1_000_001)  # compressed, it is a thousand bytes long
    error = refused(channel, request, compression=compression)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    infer(channel, linear_request())


def test_a_method_that_is_not_there_is_unimplemented(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/inference.GRPCInferenceService/TraceSetting")(b"", timeout=30)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


PREDICT = "/tensorflow.serving.PredictionService/Predict"
PIPELINE = "/baidu.paddle_serving.pipeline_serving.PipelineService/inference"
GENERAL = "/baidu.paddle_serving.predictor.general_model.GeneralModelService/inference"


def test_damaged_messages_get_their_protocols_error_and_nothing_else(
    server: GrpcProcess, channel: grpc.Channel
) -> None:
    predict = message("tensorflow.serving.PredictRequest")(model_spec={"name": "linear"})
    shape = {"dim": [{"size": 1}, {"size": 13}]}
    values = {"dtype": 1, "tensor_shape": shape, "float_val": range(13)}
    predict.inputs["x"].MergeFrom(message("tensorflow.TensorProto")(**values))
    general = message("baidu.paddle_serving.predictor.general_model.Request")()
    general.tensor.add(name="a", elem_type=1, shape=[1, 4], float_data=range(4))
    general.tensor.add(name="b", elem_type=1, shape=[1, 4], float_data=range(4))
    general.tensor.add(name="ids", elem_type=0, shape=[1, 2], int64_data=range(2))
    pipeline = message("baidu.paddle_serving.pipeline_serving.Request")(name="linear")
    pipeline.tensors.add(name="x", elem_type=1, shape=[1, 13], float_data=range(13))
    originals = (
        (INFER, linear_request()), (PREDICT, predict), (GENERAL, general), (PIPELINE, pipeline),
    )  # fmt: skip
    stubs = [(channel.unary_unary(m), request.SerializeToString()) for m, request in originals]
    counts: collections.Counter[grpc.StatusCode] = collections.Counter()
    calls = []
    for seed in range(DAMAGED):
        stub, body = stubs[seed % len(stubs)]
        calls.append(stub.future(damaged(seed, body) if seed >= len(stubs) else body, timeout=60))
        if len(calls) == 100 or seed == DAMAGED - 1:
            counts.update(call.code() for call in calls)
            calls.clear()
    codes = grpc.StatusCode
    assert counts[codes.OK] >= len(stubs)
    assert counts[codes.INVALID_ARGUMENT] > 0
    assert set(counts) <= {codes.OK, codes.INVALID_ARGUMENT, codes.NOT_FOUND}, counts
    assert server.service.ready
    assert infer(channel, linear_request()).outputs[0].name == "y"


# -- deadlines and clients that leave ------------------------------------------------------------


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GrpcProcess]:
    root = tmp_path_factory.mktemp("slow")
    nets.write_slow(root, rounds=400)
    spec = local_spec(root, "slow")
    limits = Limits(max_batch_size=1, max_delay=0.0, max_queue=4, timeout=60.0)
    with grpc_serving(setup(spec, root, limits=limits)) as running:
        yield running


def slow_request(**parameters: Any) -> Any:
    request = message("inference.ModelInferRequest")(model_name="slow")
    request.inputs.add(
        name="x", datatype="FP32", shape=[1, 4], contents={"fp32_contents": [1, 2, 3, 4]}
    )
    for name, value in parameters.items():
        request.parameters[name].int64_param = value
    return request


def runs(server: GrpcProcess) -> float:
    return server.metric("paddlesrv_batch_rows_count", model="slow")


def wait_for(server: GrpcProcess, condition: Any) -> None:
    async def wait() -> None:
        while not condition():
            await asyncio.sleep(0.001)

    server.call(asyncio.wait_for(wait(), 30))


def future(channel: grpc.Channel, request: Any, **options: Any) -> Any:
    stub = channel.unary_unary(
        INFER,
        request_serializer=lambda m: m.SerializeToString(),
        response_deserializer=message("inference.ModelInferResponse").FromString,
    )
    return stub.future(request, **options)


def idle(server: GrpcProcess) -> None:
    scheduler = server.service.models["slow"].scheduler
    assert scheduler is not None
    wait_for(server, lambda: not scheduler.in_flight)


@pytest.fixture
def busy(slow: GrpcProcess) -> Iterator[tuple[GrpcProcess, grpc.Channel]]:
    """A server whose worker runs, and whose next batch is made: what comes now is queued."""
    scheduler = slow.service.models["slow"].scheduler
    assert scheduler is not None
    idle(slow)
    with grpc.insecure_channel(slow.address) as channel:
        first = [future(channel, slow_request(), timeout=60) for _ in range(2)]
        wait_for(slow, lambda: scheduler.in_flight == 2 and not scheduler.queue.rows)
        yield slow, channel
        for call in first:
            assert call.result().outputs[0].name == "y"
    idle(slow)


def test_a_client_that_leaves_is_not_computed(busy: tuple[GrpcProcess, grpc.Channel]) -> None:
    slow, channel = busy
    scheduler = slow.service.models["slow"].scheduler
    assert scheduler is not None
    code = {"model": "slow", "protocol": "grpc", "code": "499"}
    before, left = runs(slow), slow.metric("paddlesrv_requests_total", **code)
    call = future(channel, slow_request(), timeout=60)
    wait_for(slow, lambda: scheduler.queue.rows == 1)
    call.cancel()
    wait_for(slow, lambda: scheduler.queue.rows == 0)
    assert slow.metric("paddlesrv_requests_total", **code) == left + 1
    idle(slow)
    assert runs(slow) <= before + 1  # the one that was made already, at most


@pytest.mark.parametrize("by", ["deadline", "parameter"])
def test_a_request_out_of_time_is_not_computed(
    busy: tuple[GrpcProcess, grpc.Channel], by: str
) -> None:
    slow, channel = busy
    before = runs(slow)
    parameters = {"timeout": 20_000} if by == "parameter" else {}
    call = future(channel, slow_request(**parameters), timeout=60 if parameters else 0.02)
    assert call.exception().code() is grpc.StatusCode.DEADLINE_EXCEEDED
    idle(slow)
    assert runs(slow) <= before + 1


def test_a_full_queue_is_resource_exhausted(busy: tuple[GrpcProcess, grpc.Channel]) -> None:
    slow, channel = busy
    scheduler = slow.service.models["slow"].scheduler
    assert scheduler is not None
    queued = [future(channel, slow_request(), timeout=60) for _ in range(4)]
    wait_for(slow, lambda: scheduler.queue.rows == 4)
    error = refused(channel, slow_request())
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    for call in queued:
        call.cancel()
