"""TensorFlow Serving's REST API: rows, columns, classify, status, metadata."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from paddlesrv.errors import InvalidInput
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.server.protocols.tensorflow_rest import (
    decode_classify,
    decode_predict,
    encode_predict,
)
from paddlesrv.server.request import InferResponse
from tests.cli.program import run
from tests.server.process import ServerProcess, serve
from tests.standins import linear, nets, zoo
from tests.zoo.rows.classification import picture

DAMAGED = int(os.environ.get("PADDLESRV_FUZZ_EXAMPLES", "300"))
TYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
         "float32", "float64")  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    root = tmp_path_factory.mktemp("tensorflow-rest")
    linear.write_onnx(root / "linear")
    nets.write_lookup(root / "lookup")
    models = [str(root / name) for name in ("linear", "lookup")]
    with serve(*models, "--engine", "onnxruntime", home=root) as running:
        yield running


@pytest.fixture
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def features(count: int) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, 13)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("path", ["linear", "linear/versions/1"])
def test_rows_and_columns_get_the_same_numbers(
    client: httpx.Client, count: int, named: bool, path: str
) -> None:
    x = features(count).tolist()
    right = linear.expected(features(count))
    rows = {"instances": [{"x": row} for row in x] if named else x}
    columns = {"inputs": {"x": x} if named else x, "signature_name": "serving_default"}
    by_rows = client.post(f"/v1/models/{path}:predict", json=rows).json()
    by_columns = client.post(f"/v1/models/{path}:predict", json=columns).json()
    np.testing.assert_allclose(by_rows["predictions"], right, rtol=1e-4)
    np.testing.assert_allclose(by_columns["outputs"], right, rtol=1e-4)


def test_status_and_metadata(client: httpx.Client) -> None:
    for path in ("/v1/models/linear", "/v1/models/linear/versions/1"):
        (version,) = client.get(path).json()["model_version_status"]
        assert (version["version"], version["state"]) == ("1", "AVAILABLE")
    told = client.get("/v1/models/linear/metadata").json()
    assert told["model_spec"]["name"] == "linear"
    signature = told["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    x = signature["inputs"]["x"]
    assert x["dtype"] == "DT_FLOAT"
    assert [side["size"] for side in x["tensor_shape"]["dim"]] == ["-1", "13"]


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("linear:predict", {}, 400, "either 'instances' or 'inputs'"),
        ("linear:predict", {"instances": [1], "inputs": [1]}, 400, "either"),
        ("linear:predict", {"instances": []}, 400, "no instances"),
        ("linear:predict", {"instances": [{"q": [1]}]}, 400, "no input 'q'"),
        ("linear:predict", {"instances": [{"x": [1]}, {"y": [1]}]}, 400, "instance 1 has other"),
        ("linear:predict", {"instances": [[1, 2], [1]]}, 400, "'x'"),
        ("linear:predict", {"instances": [["a"] * 13]}, 400, "'x'"),
        ("linear:predict", {"instances": [[1] * 12]}, 400, "any, 13"),
        ("linear:predict", {"instances": [[1] * 13], "signature_name": "q"}, 400, "signature 'q'"),
        ("lookup:predict", {"inputs": [[1.5]]}, 400, "not INT64"),
        ("linear:classify", {"examples": []}, 400, "no classifier"),
        ("linear:regress", {"examples": []}, 404, "nothing at that path"),
        ("nope:predict", {"instances": [1]}, 404, "'nope' is not served"),
        ("linear/versions/2:predict", {"instances": [1]}, 404, "no version '2'"),
        ("linear/labels/stable:predict", {"instances": [1]}, 404, "nothing at that path"),
    ],
)
def test_what_does_not_fit_is_said(
    client: httpx.Client, path: str, body: Any, status: int, words: str
) -> None:
    answer = client.post(f"/v1/models/{path}", json=body)
    assert answer.status_code == status, answer.text
    assert words.replace("any, 13", "13") in answer.json()["error"]


def test_a_method_that_is_not_allowed_is_said(client: httpx.Client) -> None:
    assert client.get("/v1/models/linear:predict").status_code == 405
    assert client.post("/v1/models/linear").status_code == 405


def test_pictures_are_classified(tmp_path: Path) -> None:
    archive = zoo.mirror(tmp_path / "mirror", ["MobileNetV1/MobileNetV1.tar"])
    with tarfile.open(archive / "MobileNetV1" / "MobileNetV1.tar") as packed:
        packed.extractall(tmp_path, filter="data")
    place = tmp_path / "MobileNetV1" / "ppcls_model"
    (tmp_path / "labels.txt").write_text("".join(f"class {i}\n" for i in range(1000)))
    ended = run(
        tmp_path, "import", str(place), "--name", "colours", "--task", "classification",
        "--labels", str(tmp_path / "labels.txt"),
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    examples = [
        {"image": {"b64": base64.b64encode(picture(300, 400, index)).decode()}}
        for index in (285, 698)
    ]
    with serve("colours", home=tmp_path) as server, server.client() as client:
        said = client.post("/v1/models/colours:classify", json={"examples": examples}).json()
        wrong = client.post("/v1/models/colours:classify", json={"examples": [{"x": 1}]})
    assert [result[0][0] for result in said["results"]] == ["class 285", "class 698"]
    assert all(result[0][1] > 0.9 for result in said["results"])
    assert wrong.status_code == 400
    assert "example 0 is not one picture" in wrong.json()["error"]


# -- the codec ---------------------------------------------------------------------------------


def spec(dtype: str, dimensions: int) -> ModelSpec:
    tensor = TensorSpec(name="x", dtype=dtype, shape=(-1,) * dimensions)  # type: ignore[arg-type]
    return ModelSpec(name="m", task="tensors", format="onnx", inputs=(tensor,), outputs=())


tensors = st.sampled_from(TYPES).flatmap(
    lambda dtype: arrays.arrays(
        dtype,
        arrays.array_shapes(min_dims=1, max_dims=3),
        elements=arrays.from_dtype(np.dtype(dtype), allow_nan=False, allow_infinity=False),
    )
)


@given(tensors, st.booleans())
def test_a_tensor_survives(data: np.ndarray, by_rows: bool) -> None:
    body = {"instances" if by_rows else "inputs": data.tolist()}
    request, told = decode_predict(
        spec(data.dtype.name, data.ndim), None, json.dumps(body).encode()
    )
    assert told == by_rows
    np.testing.assert_array_equal(request.inputs["x"].data, data)
    assert request.inputs["x"].data.dtype == data.dtype
    answer = json.loads(encode_predict(InferResponse("m", "1", request.inputs), by_rows))
    found = np.array(answer["predictions" if by_rows else "outputs"], data.dtype)
    np.testing.assert_array_equal(found, data)


def test_texts_and_bytes_survive() -> None:
    blob = b"\xff\x00"
    body = {"inputs": ["a", {"b64": base64.b64encode(blob).decode()}]}
    model = spec("bytes", 1)
    request, _ = decode_predict(model, None, json.dumps(body).encode())
    assert request.inputs["x"].data.tolist() == [b"a", blob]
    told = json.loads(encode_predict(InferResponse("m", "1", request.inputs), False))
    assert told == {"outputs": body["inputs"]}


def test_several_outputs_are_named_in_each_row() -> None:
    outputs = {"a": Tensor(np.array([1, 2])), "b": Tensor(np.array([[3], [4]]))}
    answer = InferResponse("m", "1", outputs)
    rows = json.loads(encode_predict(answer, True))["predictions"]
    assert rows == [{"a": 1, "b": [3]}, {"a": 2, "b": [4]}]
    assert json.loads(encode_predict(answer, False)) == {"outputs": {"a": [1, 2], "b": [[3], [4]]}}
    outputs["b"] = Tensor(np.array([1, 2, 3]))
    with pytest.raises(InvalidInput, match="not one for each row"):
        encode_predict(answer, True)


@settings(max_examples=DAMAGED)
@given(tensors, st.data())
def test_damage_is_refused_or_another_request(data: np.ndarray, choose: st.DataObject) -> None:
    body = bytearray(json.dumps({"instances": [{"x": row} for row in data.tolist()]}).encode())
    for _ in range(choose.draw(st.integers(1, 4))):
        body[choose.draw(st.integers(0, len(body) - 1))] = choose.draw(st.integers(0, 255))
    model = spec(data.dtype.name, data.ndim)
    for decode in (
        lambda raw: decode_predict(model, None, raw),
        lambda r: decode_classify(model, r),
    ):
        with contextlib.suppress(InvalidInput):
            decode(bytes(body))
