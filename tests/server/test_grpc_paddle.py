"""Paddle Serving over gRPC, asked by its own client; and sequences, over every service."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from paddlesrv_client.wire.messages import message

from tests.protocols.brpc_client import Request, Response, array_of, rows
from tests.protocols.old_client import messages, old_client
from tests.server.grpc_server import GrpcProcess, grpc_serving
from tests.server.harness import local_spec, setup
from tests.standins import linear, nets, serving_conf
from tests.standins.serving_conf import Variable

METHODS = "/baidu.paddle_serving.predictor.general_model.GeneralModelService"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GrpcProcess]:
    root = tmp_path_factory.mktemp("general")
    linear.write_onnx(root / "uci")
    linear.write_onnx(root / "twin")
    nets.write_lookup(root / "lookup")
    aliases = {"ex": "x", "price": "y"}
    with grpc_serving(
        setup(local_spec(root / "uci", "uci", aliases=aliases), root / "uci"),
        setup(local_spec(root / "twin", "twin"), root / "twin"),
        setup(local_spec(root / "lookup", "lookup"), root / "lookup"),
    ) as running:
        yield running


@pytest.fixture
def channel(server: GrpcProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address) as channel:
        yield channel


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory, server: GrpcProcess) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("client")
    variables = [Variable("x", "ex", (13,))], [Variable("y", "price", (1,))]
    serving_conf.write_client(folder, *variables)
    with old_client() as module:
        client = module.HttpClient()
        client.set_use_grpc_client(True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it leaves the file open
            client.load_client_config(str(folder))
            gc.collect()
        client.connect([server.address])
        yield client
        client.channel_.close()


def features(count: int = 1) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, 13)).astype(np.float32)


def ask(channel: grpc.Channel, request: Any, method: str = "inference", **options: Any) -> Any:
    stub = channel.unary_unary(
        f"{METHODS}/{method}",
        request_serializer=lambda m: m if isinstance(m, bytes) else m.SerializeToString(),
        response_deserializer=Response.FromString,
    )
    return stub(request, timeout=60, **options)


@pytest.mark.parametrize("count", [1, 8])
def test_the_old_client_gets_its_answer_over_grpc(old: Any, count: int) -> None:
    x = features(count)
    said = old.predict(feed={"ex": x}, fetch=["price"], batch=True)
    (tensor,) = said.outputs[0].tensor
    assert (tensor.name, tensor.alias_name) == ("y", "price")
    np.testing.assert_allclose(array_of(tensor), linear.expected(x), rtol=1e-4)


@pytest.mark.parametrize("method", ["inference", "debug"])
def test_the_published_messages_can_be_asked_with(channel: grpc.Channel, method: str) -> None:
    theirs = messages("general_model_service")
    x = features(2)
    request = theirs["Request"](fetch_var_names=["price"])
    request.tensor.add(name="x", elem_type=1, shape=[2, 13], float_data=x.ravel().tolist())
    said = ask(channel, request, method)
    np.testing.assert_allclose(array_of(said.outputs[0].tensor[0]), linear.expected(x), rtol=1e-4)


def test_metadata_names_the_model_where_several_would_do(channel: grpc.Channel) -> None:
    request = rows(features(), fetch=[])
    with pytest.raises(grpc.RpcError) as raised:
        ask(channel, request)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "several models" in raised.value.details()
    said = ask(channel, request, metadata=(("model", "twin"),))
    assert said.outputs[0].tensor[0].alias_name == "y"
    with pytest.raises(grpc.RpcError) as raised:
        ask(channel, request, metadata=(("model", "?"),))
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


def test_requests_are_counted_for_the_model_that_takes_them(
    server: GrpcProcess, channel: grpc.Channel
) -> None:
    def count(code: str) -> float:
        labels = {"model": "lookup", "protocol": "grpc", "code": code}
        return server.metric("paddlesrv_requests_total", **labels)

    before = count("200"), count("400")
    request = Request()
    request.tensor.add(name="ids", elem_type=0, shape=[1, 2], int64_data=[1, 2])
    ask(channel, request)
    request.tensor[0].shape[:] = [2]
    with pytest.raises(grpc.RpcError):
        ask(channel, request)
    assert (count("200"), count("400")) == (before[0] + 1, before[1] + 1)


def test_what_is_no_message_is_the_clients_error(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        ask(channel, b"\xff" * 9)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


# -- sequences -----------------------------------------------------------------------------------

WORDS = np.arange(2, 11, dtype=np.int64).reshape(9, 1)
OFFSETS = [0, 4, 9]


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GrpcProcess]:
    root = tmp_path_factory.mktemp("sequences")
    # In a process of its own, so that this one need not import paddle.
    code = "import sys, pathlib; from tests.standins.language import write_lac; "
    code += "write_lac(pathlib.Path(sys.argv[1]))"
    subprocess.run(
        [sys.executable, "-c", code, str(root)],
        check=True,
        capture_output=True,
        env={**os.environ, "FLAGS_enable_pir_api": "0"},
        cwd=Path(__file__).parents[2],
    )
    spec = local_spec(root / "lac_model", "lac")
    with grpc_serving(setup(spec, root / "lac_model", engine="paddle")) as running:
        yield running


def test_sequences_mean_the_same_to_every_service(sequences: GrpcProcess) -> None:
    with triton.InferenceServerClient(sequences.address) as client:
        inputs = []
        for name, array in (("words", WORDS), ("words.lod", np.array(OFFSETS))):
            inputs.append(triton.InferInput(name, list(array.shape), "INT64"))
            inputs[-1].set_data_from_numpy(array)
        answer = client.infer("lac", inputs)
        name = answer.get_response().outputs[0].name
        tags = answer.as_numpy(name)
        assert answer.as_numpy(f"{name}.lod").tolist() == OFFSETS
    assert tags.shape[0] == len(WORDS)

    with grpc.insecure_channel(sequences.address) as channel:
        request = Request()
        request.tensor.add(
            name="words", elem_type=0, shape=WORDS.shape, int64_data=WORDS.ravel(), lod=OFFSETS
        )
        (tensor,) = ask(channel, request).outputs[0].tensor
        assert list(tensor.int64_data) == tags.ravel().tolist()
        assert list(tensor.lod) == OFFSETS

        predict = channel.unary_unary(
            "/tensorflow.serving.PredictionService/Predict",
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=message("tensorflow.serving.PredictResponse").FromString,
        )
        asked = message("tensorflow.serving.PredictRequest")(model_spec={"name": "lac"})
        for word, array in (("words", WORDS), ("words.lod", np.array(OFFSETS))):
            proto = asked.inputs[word]
            proto.dtype = 9
            for size in array.shape:
                proto.tensor_shape.dim.add(size=size)
            proto.tensor_content = array.tobytes()
        outputs = predict(asked, timeout=60).outputs
        assert list(outputs[name].int64_val) == tags.ravel().tolist()
        assert list(outputs[f"{name}.lod"].int64_val) == OFFSETS


def test_impossible_offsets_are_refused(sequences: GrpcProcess) -> None:
    with triton.InferenceServerClient(sequences.address) as client:
        inputs = []
        for name, array in (("words", WORDS), ("words.lod", np.array([0, 4, 4, 9]))):
            inputs.append(triton.InferInput(name, list(array.shape), "INT64"))
            inputs[-1].set_data_from_numpy(array)
        with pytest.raises(triton.InferenceServerException, match="sequence 1 empty"):
            client.infer("lac", inputs)
