"""gRPC as clients see it that others wrote: Triton's, in its three forms, and plain stubs."""

from __future__ import annotations

import asyncio
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

from tests.server.grpc_server import GrpcProcess, grpc_serving
from tests.server.harness import local_spec, setup
from tests.standins import linear, nets

DTYPES = (
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
    "float16", "float32", "float64",
)  # fmt: skip

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
