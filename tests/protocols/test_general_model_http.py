"""Paddle Serving's general model service over HTTP, asked by its own client and by hand."""

from __future__ import annotations

import gc
import gzip
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from paddlesrv_client.wire.messages import POOL

from tests.protocols.brpc_client import Response, array_of, rows
from tests.protocols.old_client import messages, old_client, published
from tests.server.process import ServerProcess, serve
from tests.standins import linear, nets, serving_conf
from tests.standins.serving_conf import Variable

PATH = "/GeneralModelService/inference"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in Paddle's form as Paddle Serving's tool leaves it, with aliases; and another."""
    root = tmp_path_factory.mktemp("general")
    linear.write_program(root / "uci")
    spec = linear.spec(root / "uci")
    tensors = (
        [Variable(spec.inputs[0].name, "x", (13,))],
        [Variable(spec.outputs[0].name, "price", (1,))],
    )
    serving_conf.write(root / "uci", *tensors)
    serving_conf.write_client(root / "client", *tensors)
    nets.write_lookup(root / "lookup")
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[ServerProcess]:
    with serve(str(root / "uci"), str(root / "lookup"), "--max-body", "1", home=root) as running:
        yield running


@pytest.fixture
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def features(count: int = 1) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, 13)).astype(np.float32)


@pytest.fixture(scope="module")
def old(root: Path, server: ServerProcess) -> Iterator[Any]:
    with old_client() as module:
        client = module.HttpClient()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it leaves the file open
            client.load_client_config(str(root / "client"))
            gc.collect()
        client.connect([server.url.removeprefix("http://")])
        yield client
        client.channel_.close()
        client.requests_session.close()


@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("proto", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
def test_the_old_client_gets_its_answer(old: Any, count: int, proto: bool, zipped: bool) -> None:
    old.set_http_proto(proto)
    old.set_request_compress(zipped)
    old.set_response_compress(zipped)
    x = features(count)
    said = old.predict(feed={"x": x}, fetch=["price"], batch=True)
    if proto:
        (tensor,) = said.outputs[0].tensor
        assert tensor.alias_name == "price"
        found = array_of(tensor)
    else:
        (part,) = said["outputs"][0]["tensor"]
        assert part["alias_name"] == "price"
        found = np.array(part["float_data"], np.float32).reshape(part["shape"])
    np.testing.assert_allclose(found, linear.expected(x), rtol=1e-4)


def test_our_messages_are_the_published_ones() -> None:
    theirs = published("general_model_service")
    ours = POOL.FindFileByName("paddle_serving.proto")
    assert theirs.package == ours.package
    assert {message.name for message in theirs.message_type} == set(ours.message_types_by_name)
    for message in theirs.message_type:
        published_fields = {field.number: field for field in message.field}
        for own in ours.message_types_by_name[message.name].fields:
            field = published_fields[own.number]
            assert own.name == field.name
            # Texts are taken as bytes: old clients put whatever they like into them.
            assert own.type == field.type or (field.name, own.type) == ("data", 12)


def test_the_published_stubs_can_be_asked_with(client: httpx.Client) -> None:
    theirs = messages("general_model_service")
    x = features(2)
    request = theirs["Request"](fetch_var_names=["price"])
    request.tensor.add(
        name="x", alias_name="x", elem_type=1, shape=[2, 13], float_data=x.ravel().tolist()
    )
    answer = client.post(
        PATH, content=request.SerializeToString(), headers={"content-type": "application/proto"}
    )
    assert answer.headers["content-type"] == "application/proto"
    said = theirs["Response"].FromString(answer.content)
    np.testing.assert_allclose(array_of(said.outputs[0].tensor[0]), linear.expected(x), rtol=1e-4)


@pytest.mark.parametrize("content_type", ["application/json", None, "text/plain"])
def test_json_is_answered_whatever_it_is_called(
    client: httpx.Client, content_type: str | None
) -> None:
    x = features()
    tensor = {"float_data": x[0].tolist(), "elem_type": 1, "alias_name": "x", "shape": [1, 13]}
    body = json.dumps({"tensor": [tensor], "fetch_var_names": ["price"], "log_id": 0})
    headers = {"content-type": content_type} if content_type else {}
    said = client.post(PATH, content=body, headers=headers).json()
    (part,) = said["outputs"][0]["tensor"]
    assert part["shape"] == [1, 1]
    np.testing.assert_allclose(part["float_data"], linear.expected(x)[0], rtol=1e-4)


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        (rows(np.ones((1, 13)), name="q"), 400, ["takes these tensors", "'q'", "lookup: ids"]),
        (rows(np.ones((1, 12)), name="x"), 400, ["'x'", "[1, 12]", "13"]),
        (rows(np.ones((1, 13)), name="x", fetch=["cost"]), 400, ["takes these tensors"]),
    ],
)
def test_what_does_not_fit_is_said(
    client: httpx.Client, request_: Any, status: int, words: list[str]
) -> None:
    answer = client.post(
        PATH, content=request_.SerializeToString(), headers={"content-type": "application/proto"}
    )
    assert answer.status_code == status
    error = answer.json()
    assert all(word in error["error"] for word in words), error["error"]
    assert error["request_id"]


def test_a_header_names_the_model(client: httpx.Client) -> None:
    body = rows(np.ones((1, 13), np.float32)).SerializeToString()
    headers = {"content-type": "application/proto", "model": "uci"}
    answer = client.post(PATH, content=body, headers=headers)
    assert Response.FromString(answer.content).outputs
    assert client.post(PATH, content=body, headers=headers | {"model": "?"}).status_code == 404


def test_only_post_is_allowed(client: httpx.Client) -> None:
    assert client.get(PATH).status_code == 405
    assert client.post("/GeneralModelService/other").status_code == 404


@pytest.mark.parametrize("body", [b"", b"\xff" * 9, gzip.compress(b"x")])
def test_what_is_no_request_is_refused(client: httpx.Client, body: bytes) -> None:
    answer = client.post(PATH, content=body, headers={"content-type": "application/proto"})
    assert answer.status_code == 400
