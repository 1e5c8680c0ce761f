"""Paddle Serving's pipelines: asked by its own client, over HTTP as curl does, and by web forms."""

from __future__ import annotations

import ast
import contextlib
import io
import re
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from paddlesrv_client.wire.messages import POOL

from tests.protocols.old_client import messages, published
from tests.protocols.old_pipeline import MODULE, old_pipeline_client
from tests.server.process import ServerProcess, serve
from tests.standins import linear, nets, serving_conf
from tests.standins.serving_conf import Variable

PATH = "/uci/prediction"
METHOD = "/baidu.paddle_serving.pipeline_serving.PipelineService/inference"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    root = tmp_path_factory.mktemp("pipeline")
    linear.write_program(root / "uci")
    spec = linear.spec(root / "uci")
    serving_conf.write(
        root / "uci",
        [Variable(spec.inputs[0].name, "x", (13,))],
        [Variable(spec.outputs[0].name, "price", (1,))],
    )
    nets.write_mixed(root / "mixed")
    nets.write_lookup(root / "lookup")
    models = [str(root / name) for name in ("uci", "mixed", "lookup")]
    with serve(*models, "--max-body", "1", home=root) as running:
        yield running


@pytest.fixture
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture
def old(server: ServerProcess) -> Iterator[Any]:
    with old_pipeline_client(server.url.removeprefix("http://")) as client:
        yield client


def features(count: int = 1) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, 13)).astype(np.float32)


def array_in(text: str) -> np.ndarray:
    """The array in numpy's `repr`, as old clients take it out."""
    inside = re.fullmatch(r"array\((.*?)(, dtype=\w+)?\)", text, re.DOTALL)
    assert inside is not None, text
    return np.array(ast.literal_eval(inside[1]))


def said(answer: Any) -> dict[str, str]:
    assert (answer.err_no, answer.err_msg) == (0, "")
    return dict(zip(answer.key, answer.value, strict=True))


def ask(old: Any, feed: dict[str, Any], **how: Any) -> Any:
    """What it answers; it takes the host's address from a name service, unless it is given."""
    with contextlib.redirect_stdout(io.StringIO()):
        return old.predict({"clientip": "127.0.0.1", **feed}, **how)


WAYS: list[dict[str, bool]] = [
    {},
    {"pack_tensor_format": True},
    {"pack_tensor_format": True, "use_tensor_bytes": True},
]


@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("way", WAYS, ids=["text", "tensors", "bytes"])
def test_the_old_client_gets_its_answer(old: Any, count: int, way: dict[str, bool]) -> None:
    x = features(count)
    found = said(ask(old, {"x": x}, fetch=["price"], **way))
    assert list(found) == ["price"]
    np.testing.assert_allclose(array_in(found["price"]), linear.expected(x), rtol=1e-4)


@pytest.mark.parametrize("way", WAYS, ids=["text", "tensors", "bytes"])
def test_several_inputs_of_several_types_find_their_model(old: Any, way: dict[str, bool]) -> None:
    a, b = np.random.default_rng(0).random((2, 3, 4), np.float32)
    ids = np.arange(6).reshape(3, 2)
    found = said(ask(old, {"a": a, "b": b, "ids": ids}, **way))
    np.testing.assert_allclose(array_in(found["sum"]), a + b, rtol=1e-5)
    assert array_in(found["same"]).tolist() == ids.tolist()


def test_the_old_client_is_told_what_is_wrong(old: Any) -> None:
    answer = ask(old, {"x": np.ones((1, 12), np.float32)})
    assert answer.err_no == 9
    assert "'x'" in answer.err_msg
    assert "[1, 12]" in answer.err_msg
    assert re.search(r"\[request \w+\]$", answer.err_msg)
    answer = ask(old, {"q": np.ones(3)})
    assert answer.err_no == 9
    assert "several models" in answer.err_msg


def test_a_pickle_is_not_loaded(old: Any) -> None:
    evil = np.array([[{"a": "dictionary"}]], dtype=object)
    answer = ask(old, {"x": evil}, pack_tensor_format=True, use_tensor_bytes=True)
    assert answer.err_no == 9
    assert "pickle" in answer.err_msg


def test_times_are_told_to_who_asks(old: Any) -> None:
    found = said(ask(old, {"x": features()}, profile=True))
    assert re.match(r"queue [\d.]+ ms, compute [\d.]+ ms", found["pipeline.profile"])


def test_our_messages_are_the_published_ones() -> None:
    theirs = published(*MODULE)
    ours = POOL.FindFileByName("paddle_pipeline.proto")
    assert theirs.package == ours.package
    assert {message.name for message in theirs.message_type} == set(ours.message_types_by_name)
    for message in theirs.message_type:
        own = ours.message_types_by_name[message.name].fields
        assert {(f.number, f.name, f.type, f.label) for f in message.field} == {
            (f.number, f.name, f.type, 3 if f.is_repeated else 1) for f in own
        }


def test_metadata_or_the_field_name_says_which_model(server: ServerProcess) -> None:
    theirs = messages(*MODULE)
    x = features()
    text = ", ".join(map(str, x[0].tolist()))
    with grpc.insecure_channel(server.url.removeprefix("http://")) as channel:
        stub = channel.unary_unary(
            METHOD,
            request_serializer=lambda m: m if isinstance(m, bytes) else m.SerializeToString(),
            response_deserializer=theirs["Response"].FromString,
        )
        named = stub(theirs["Request"](key=["x"], value=[text], name="uci"))
        np.testing.assert_allclose(array_in(said(named)["price"]), linear.expected(x), rtol=1e-4)
        asked = theirs["Request"](key=["0"], value=[text])
        assert "no input '0'" in stub(asked, metadata=(("model", "uci"),)).err_msg
        assert stub(theirs["Request"](name="nope", key=["x"], value=["1"])).err_no == 7
        assert stub(b"\xff" * 9).err_no == 9


# -- HTTP ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("word", ["prediction", "inference"])
def test_numbers_travel_as_text(client: httpx.Client, count: int, word: str) -> None:
    x = features(count)
    text = ";".join(", ".join(map(str, row)) for row in x.tolist())
    answer = client.post(f"/uci/{word}", json={"key": ["x"], "value": [text]})
    assert answer.status_code == 200
    found = answer.json()
    assert list(found) == ["err_no", "err_msg", "key", "value", "tensors"]
    assert (found["err_no"], found["err_msg"], found["key"]) == (0, "", ["price"])
    np.testing.assert_allclose(array_in(found["value"][0]), linear.expected(x), rtol=1e-4)


def test_tensors_may_be_sent_as_protobuf_writes_them_in_json(client: httpx.Client) -> None:
    ids = [[0, 1], [2, 0]]
    tensor = {"name": "ids", "int64_data": ["0", "1", 2, 0], "elem_type": 0, "shape": [2, 2]}
    answer = client.post("/lookup/prediction", json={"tensors": [tensor]})
    text = client.post("/lookup/prediction", json={"key": ["ids"], "value": [str(ids)]})
    assert answer.status_code == 200
    assert answer.json() == text.json()


@pytest.mark.parametrize("count", [1, 8])
def test_the_older_form_is_answered_with_lists(client: httpx.Client, count: int) -> None:
    x = features(count)
    body = {"feed": [{"x": row} for row in x.tolist()], "fetch": ["price"]}
    found = client.post(PATH, json=body).json()
    assert list(found) == ["result"]
    assert list(found["result"]) == ["price"]
    np.testing.assert_allclose(found["result"]["price"], linear.expected(x), rtol=1e-4)


@pytest.mark.parametrize(
    ("path", "body", "status", "number", "words"),
    [
        (PATH, {"key": ["x"], "value": ["1, 2"]}, 400, 9, "float32 [2]; wanted"),
        (PATH, {"key": ["x"], "value": ["1, two"]}, 400, 9, "'two'"),
        (PATH, {"key": ["x"], "value": []}, 400, 9, "1 keys, 0 values"),
        (PATH, {"key": ["x", "x"], "value": ["1", "1"]}, 400, 9, "twice"),
        (PATH, {"key": ["y"], "value": ["1"]}, 400, 9, "no input 'y'"),
        (PATH, {"key": [1], "value": ["1"]}, 400, 9, "key"),
        (PATH, {}, 400, 9, "no input"),
        (PATH, [], 400, 9, "object"),
        (PATH, {"feed": []}, 400, 9, "no sample"),
        (PATH, {"feed": {}}, 400, 9, "feed"),
        (PATH, {"feed": [{"x": "no numbers"}]}, 400, 9, "'x'"),
        (PATH, {"feed": [{"x": [1] * 13}], "fetch": ["cost"]}, 400, 9, "no output 'cost'"),
        ("/lookup/prediction", {"key": ["ids"], "value": ["0.5"]}, 400, 9, "'0.5'"),
        ("/nope/prediction", {"key": ["x"], "value": ["1"]}, 404, 7, "'nope' is not served"),
    ],
)
def test_an_error_has_the_pipelines_number_and_everyones_words(
    client: httpx.Client, path: str, body: Any, status: int, number: int, words: str
) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == status
    found = answer.json()
    assert found["err_no"] == number
    assert words in found["error"]
    assert found["error"] in found["err_msg"]
    assert found["request_id"] in found["err_msg"]
    assert answer.headers["x-request-id"] == found["request_id"]


def test_only_post_is_taken_and_other_paths_stay_what_they_are(client: httpx.Client) -> None:
    assert client.get(PATH).status_code == 405
    assert "nothing at" in client.post("/nope/other").json()["error"]
    assert client.get("/uci/other").status_code == 404


def test_answers_are_counted_for_the_model(client: httpx.Client) -> None:
    def count(code: int) -> float:
        line = rf'paddlesrv_requests_total{{code="{code}",model="uci",protocol="http"}} (\S+)'
        found = re.search(line, client.get("/metrics").text)
        return float(found[1]) if found else 0.0

    before = count(200), count(400)
    client.post(PATH, json={"feed": [{"x": [1] * 13}]})
    client.post(PATH, json={"feed": [{"x": [1] * 12}]})
    assert (count(200), count(400)) == (before[0] + 1, before[1] + 1)
