"""TensorFlow Serving's gRPC, asked with the messages and by the client of others."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from paddlesrv_client.wire.messages import POOL, message

from tests import packages
from tests.oracles import tensorflow_client
from tests.server.grpc_server import GrpcProcess, grpc_serving
from tests.server.harness import local_spec, setup
from tests.server.test_grpc import DTYPES, sample
from tests.standins import nets

PREDICT = "/tensorflow.serving.PredictionService/Predict"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GrpcProcess]:
    root = tmp_path_factory.mktemp("tensorflow")
    for dtype in DTYPES:
        nets.write_identity(root / dtype, dtype)
    nets.write_mixed(root / "mixed")
    setups = [setup(local_spec(d, d.name), d) for d in sorted(root.iterdir())]
    with grpc_serving(*setups, admin=True) as running:
        yield running


@pytest.fixture
def channel(server: GrpcProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address) as channel:
        yield channel


def ask_others_client(server: GrpcProcess, folder: Path, inputs: dict[str, np.ndarray]) -> Any:
    np.savez(folder / "inputs.npz", **inputs)
    path = [str(packages.unpacked(name)) for name in ("protobuf", "min-tfs-client")]
    files = [str(folder / "inputs.npz"), str(folder / "answers.npz")]
    done = subprocess.run(
        [sys.executable, tensorflow_client.__file__, *server.address.split(":"), *files],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    with np.load(folder / "answers.npz") as answers:
        return dict(answers), json.loads(done.stdout)


@pytest.mark.parametrize("rows", [1, 8])
def test_min_tfs_client_gets_every_type_back(
    server: GrpcProcess, tmp_path: Path, rows: int
) -> None:
    inputs = {dtype: sample(dtype, rows) for dtype in DTYPES}
    answers, told = ask_others_client(server, tmp_path, inputs)
    for dtype, x in inputs.items():
        assert answers[dtype].dtype == x.dtype
        assert answers[dtype].tobytes() == x.tobytes()
    fields = told.pop("fields")
    assert told == {
        "signatures": ["serving_default"],
        "method": "tensorflow/serving/predict",
        "input": [-1, 3],
        "dtype": 1,
        "version": [1, 30, 0],
    }
    assert same_fields(fields) >= 20


ENUM, INT32 = 14, 5


def same_fields(fields: dict[str, dict[str, list[int]]]) -> int:
    """Hold our messages against others'; how many there are of both."""
    compared = 0
    for name, theirs in fields.items():
        with contextlib.suppress(KeyError):
            values = {v.name: [v.number] for v in POOL.FindEnumTypeByName(name).values}
            assert values.items() <= theirs.items(), name
            compared += 1
        with contextlib.suppress(KeyError):
            ours = POOL.FindMessageTypeByName(name).fields
            compared += 1
            for field in ours:
                number, kind, label = theirs.get(field.name, [0, 0, 0])
                if field.type == INT32 and kind == ENUM:
                    kind = INT32  # the same on the wire
                wanted = [field.number, field.type, 3 if field.is_repeated else 1]
                assert [number, kind, label] == wanted, f"{name}.{field.name}"
    return compared


def predict(channel: grpc.Channel, request: Any) -> Any:
    stub = channel.unary_unary(
        PREDICT,
        request_serializer=lambda m: m if isinstance(m, bytes) else m.SerializeToString(),
        response_deserializer=message("tensorflow.serving.PredictResponse").FromString,
    )
    return stub(request, timeout=30)


def float_request(**fields: Any) -> Any:
    request = message("tensorflow.serving.PredictRequest")(
        model_spec=fields.pop("model_spec", {"name": "float32"})
    )
    tensor = {
        "dtype": 1,
        "tensor_shape": {"dim": [{"size": 1}, {"size": 3}]},
        "float_val": [1, 2, 3],
    }
    request.inputs["x"].MergeFrom(message("tensorflow.TensorProto")(**(tensor | fields)))
    return request


def test_several_inputs_and_chosen_outputs(channel: grpc.Channel) -> None:
    request = message("tensorflow.serving.PredictRequest")(
        model_spec={"name": "mixed", "version": {"value": 1}, "signature_name": "serving_default"}
    )
    for name in ("a", "b"):
        tensor = request.inputs[name]
        tensor.dtype = 1
        for size in (8, 4):
            tensor.tensor_shape.dim.add(size=size)
        tensor.float_val.append(2.5)  # the last value stands for all that follow
    tensor = request.inputs["ids"]
    tensor.dtype = 9
    for size in (8, 2):
        tensor.tensor_shape.dim.add(size=size)
    tensor.int64_val.extend(range(16))
    answer = predict(channel, request)
    assert list(answer.outputs["sum"].float_val) == [5.0] * 32
    assert list(answer.outputs["same"].int64_val) == list(range(16))
    assert answer.model_spec.version.value == 1
    request.output_filter.append("same")
    assert set(predict(channel, request).outputs) == {"same"}


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"model_spec": {"name": "nothing"}}, "NOT_FOUND", "not served"),
        ({"model_spec": {"name": "float32", "version": {"value": 2}}}, "NOT_FOUND", "version '2'"),
        (
            {"model_spec": {"name": "float32", "version_label": "stable"}},
            "NOT_FOUND",
            "labelled 'stable'",
        ),
        (
            {"model_spec": {"name": "float32", "signature_name": "other"}},
            "INVALID_ARGUMENT",
            "no signature 'other'",
        ),
        ({"dtype": 3}, "INVALID_ARGUMENT", "float_val"),
        ({"dtype": 14}, "INVALID_ARGUMENT", "DT_BFLOAT16"),
        ({"dtype": 99}, "INVALID_ARGUMENT", "found: 99"),
        ({"tensor_content": b"abcd"}, "INVALID_ARGUMENT", "tensor_content alone"),
        ({"float_val": [1, 2, 3, 4]}, "INVALID_ARGUMENT", "more values"),
        ({"tensor_shape": {"unknown_rank": True}}, "INVALID_ARGUMENT", "no shape"),
    ],
)
def test_what_is_wrong_is_named(channel: grpc.Channel, fields: dict, code: str, words: str) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        predict(channel, float_request(**fields))
    assert raised.value.code().name == code
    assert words in raised.value.details()


def test_few_bytes_do_not_ask_for_much_memory(channel: grpc.Channel) -> None:
    request = float_request()
    request.inputs["x"].tensor_shape.dim[0].size = 2**40
    with pytest.raises(grpc.RpcError) as raised:
        predict(channel, request)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "repeats its last value" in raised.value.details()


def test_the_state_of_a_model_is_told(server: GrpcProcess, channel: grpc.Channel) -> None:
    status = channel.unary_unary(
        "/tensorflow.serving.ModelService/GetModelStatus",
        request_serializer=lambda m: m.SerializeToString(),
        response_deserializer=message("tensorflow.serving.GetModelStatusResponse").FromString,
    )
    change = channel.unary_unary
    asked = message("tensorflow.serving.GetModelStatusRequest")(model_spec={"name": "uint8"})
    load = message("inference.RepositoryModelLoadRequest")(model_name="uint8").SerializeToString()

    def state() -> int:
        (version,) = status(asked, timeout=30).model_version_status
        return int(version.state)

    available, end = 30, 50
    assert state() == available
    change("/inference.GRPCInferenceService/RepositoryModelUnload")(load, timeout=60)
    assert state() == end
    change("/inference.GRPCInferenceService/RepositoryModelLoad")(load, timeout=60)
    assert state() == available
