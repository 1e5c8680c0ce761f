"""`POST /{model}/prediction`: key and value, tensors, and the older feed and fetch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from tests.server.process import ServerProcess, serve
from tests.standins import linear, nets


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    root = tmp_path_factory.mktemp("pipeline-http")
    linear.write_onnx(root / "uci")
    nets.write_lookup(root / "lookup")
    with serve(str(root / "uci"), str(root / "lookup"), home=root) as running:
        yield running


@pytest.fixture
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def features(count: int = 1) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, 13)).astype(np.float32)


def right(found: Any, x: np.ndarray) -> None:
    np.testing.assert_allclose(found, linear.expected(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [1, 8])
def test_numbers_travel_as_text(client: httpx.Client, count: int) -> None:
    x = features(count)
    text = ";".join(", ".join(str(value) for value in row) for row in x)
    said = client.post("/uci/prediction", json={"key": ["x"], "value": [text]}).json()
    assert (said["err_no"], said["err_msg"], said["key"]) == (0, "", ["y"])
    right(json.loads(said["value"][0]), x)


def test_tensors_travel_as_protobuf_has_them_in_json(client: httpx.Client) -> None:
    ids = {"name": "ids", "elem_type": 0, "shape": [1, 2], "int64_data": ["3", 4]}
    said = client.post("/lookup/prediction", json={"tensors": [ids]}).json()
    assert json.loads(said["value"][0]) == nets.TABLE[[[3, 4]]].tolist()
    (tensor,) = said["tensors"]
    assert (tensor["name"], tensor["shape"]) == ("y", [1, 2, 2])
    assert tensor["float_data"] == nets.TABLE[[3, 4]].ravel().tolist()


@pytest.mark.parametrize("count", [1, 8])
def test_samples_are_a_batch(client: httpx.Client, count: int) -> None:
    x = features(count)
    feed = [{"x": row.tolist()} for row in x]
    said = client.post("/uci/prediction", json={"feed": feed, "fetch": ["y"]}).json()
    right(said["result"]["y"], x)
    assert client.post("/uci/prediction", json={"feed": feed}).json() == said


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"key": ["x"], "value": []}, "one value for each key"),
        ({"key": ["z"], "value": ["1"]}, "no input 'z'"),
        ({"key": ["x"], "value": ["1, 2"]}, "'x'"),
        ({"key": "x"}, "no request to a pipeline"),
        ({}, "needs input 'x'"),
    ],
)
def test_errors_have_the_ancestors_numbers(client: httpx.Client, body: dict, words: str) -> None:
    answer = client.post("/uci/prediction", json=body)
    said = answer.json()
    assert (answer.status_code, said["err_no"], said["key"]) == (400, 9, [])
    assert words in said["err_msg"]
    assert answer.headers["x-request-id"] in said["err_msg"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not a request to a pipeline"),
        (b"[1]", "not a request to a pipeline"),
        (b"\xff", "not a request to a pipeline"),
        (b'{"feed": [{"x": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"feed": [{"x": [1]}, {"z": [1]}]}', "not the same keys"),
        (b'{"feed": []}', "needs input 'x'"),
        (b'{"feed": [{"x": [1, 2]}]}', "'x'"),
        (json.dumps({"feed": [{"x": [1] * 13}], "fetch": ["q"]}).encode(), "no output 'q'"),
    ],
)
def test_what_is_no_request_is_refused(client: httpx.Client, body: bytes, words: str) -> None:
    answer = client.post("/uci/prediction", content=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_the_model_is_in_the_path(client: httpx.Client) -> None:
    assert client.post("/nothing/prediction", json={}).status_code == 404
    assert client.get("/uci/prediction").status_code == 405
