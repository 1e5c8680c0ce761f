"""The compiled clients against a running server: the same numbers as numpy's, in each language."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.server.protocols import predict
from tests.clients import networks
from tests.clients.conftest import PICTURE, Asking
from tests.clients.driver import Driver, Refused, array, wire
from tests.clients.handmade import handmade, response
from tests.server.process import ServerProcess, serve
from tests.standins import linear


def features(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, linear.FEATURES)).astype(np.float32)


@pytest.mark.parametrize("rows", [1, 8])
def test_every_type_comes_back_bit_for_bit(rows: int, asking: Asking) -> None:
    inputs = networks.echoed(rows, seed=rows)
    answer = asking.infer("echo", inputs)
    assert list(answer["outputs"]) == [f"out_{name}" for name in networks.NUMBERS]
    for name in networks.NUMBERS:
        given, taken = inputs[f"in_{name}"], answer["outputs"][f"out_{name}"]
        assert taken.dtype.name == name
        assert taken.shape == (rows, networks.WIDTH)
        np.testing.assert_array_equal(taken.view("u1"), given.view("u1"), err_msg=name)


@pytest.mark.parametrize("rows", [1, 8])
def test_a_network_s_numbers_are_numpy_s(rows: int, asking: Asking) -> None:
    x = features(rows)
    answer = asking.infer("linear", {"x": x}, id="a/ü", version="1")
    np.testing.assert_allclose(answer["outputs"]["y"], linear.expected(x), rtol=1e-5, atol=1e-5)
    assert (answer["model"], answer["version"], answer["id"]) == ("linear", "1", "a/ü")


def test_outputs_are_those_asked_for_in_that_order(asking: Asking) -> None:
    wanted = ["out_int8", "out_bool"]
    answer = asking.infer("echo", networks.echoed(2), outputs=wanted)
    assert list(answer["outputs"]) == wanted


def test_sequences_go_and_come_with_their_offsets(asking: Asking) -> None:
    words = np.array([[1], [5], [0], [2], [2]], np.int64)
    answer = asking.infer("sequences", {"words": (words, [0, 2, 5])})
    (name,) = answer["lods"]
    np.testing.assert_array_equal(answer["outputs"][name], networks.TABLE[words[:, 0]])
    assert answer["lods"][name] == [0, 2, 5]


def test_a_model_s_name_may_hold_what_paths_may_not(asking: Asking) -> None:
    x = features(1)
    answer = asking.infer("deep&wide", {"x": x})
    np.testing.assert_allclose(answer["outputs"]["y"], linear.expected(x), rtol=1e-5, atol=1e-5)
    assert asking.driver.ask("model_ready", asking.settings, model="deep&wide") is True


def test_answers_of_one_client_s_threads_are_not_mixed_up(
    driver: Driver, clients_server: ServerProcess
) -> None:
    inputs = [features(1 + i % 3, seed=i) for i in range(60)]
    told = driver.ask("many", clients_server.url, each=[wire(x) for x in inputs])
    for x, y in zip(inputs, told, strict=True):
        np.testing.assert_allclose(array(y), linear.expected(x), rtol=1e-5, atol=1e-5)


def test_server_and_models_tell_what_they_are(
    driver: Driver, clients_server: ServerProcess
) -> None:
    url = clients_server.url
    name, version, extensions = driver.ask("server", url)
    with clients_server.client() as client:
        assert {"name": name, "version": version, "extensions": extensions} == client.get(
            "/v2"
        ).json()
        theirs = client.get("/v2/models/sequences").json()
    model = driver.ask("model", url, model="sequences")
    assert model["inputs"] == [list(each.values()) for each in theirs["inputs"]]
    assert model["properties"] == theirs["properties"]
    assert (model["platform"], model["versions"]) == (theirs["platform"], theirs["versions"])
    assert driver.ask("live", url) is True
    assert driver.ask("ready", url) is True
    with pytest.raises(Refused) as refused:
        driver.ask("model_ready", url, model="nothing")
    assert refused.value.told["status"] == 404


def test_a_picture_is_read_and_drawn_as_by_any_other_client(
    driver: Driver, clients_server: ServerProcess
) -> None:
    url = clients_server.url
    with clients_server.client() as client:
        kind = {"content-type": "image/png"}
        picture = PICTURE.read_bytes()
        one = client.post("/predict/reader", content=picture, headers=kind).json()
        drawn = client.post("/predict/reader?draw=1", content=picture, headers=kind).content
    asked = {"model": "reader", "pictures": [str(PICTURE)]}
    told = driver.ask("predict", url, **asked)
    assert (told["model"], told["task"]) == ("reader", "text-recognition")
    assert told["results"] == one["results"]
    two = driver.ask("predict", url, model="reader", pictures=[str(PICTURE)] * 2, top=3)
    assert two["results"] == one["results"] * 2
    png = base64.b64decode(driver.ask("draw", url, **asked))
    assert png.startswith(b"\x89PNG")
    assert png == drawn


def test_options_of_a_task_are_passed_on(driver: Driver, clients_server: ServerProcess) -> None:
    asked = {"model": "colours", "pictures": [str(PICTURE)]}
    (all_three,) = driver.ask("predict", clients_server.url, **asked)["results"]
    (best,) = driver.ask("predict", clients_server.url, **asked, top=1)["results"]
    assert len(all_three["classes"]) == 3
    assert best["classes"] == all_three["classes"][:1]


def test_texts_and_features_are_what_the_server_s_codec_reads(driver: Driver) -> None:
    asked = [
        ({"texts": ["今天", '"\\\n']}, [("text", "今天"), ("text", '"\\\n')]),
        ({"features": [0.1, -2e300]}, [("features", [0.1, -2e300])]),
        ({"named": {"C1": [7, 8], "I1": 0.5, "é": "x"}},
         [("features", {"C1": [7, 8], "I1": 0.5, "é": "x"})]),
    ]  # fmt: skip
    for what, wanted in asked:
        results = [{"score": 0.5}] * len(wanted)
        answer = json.dumps({"model": "m", "task": "t", "results": results}).encode()
        with handmade(response(answer, kind="application/json")) as server:
            told = driver.ask("predict", server.url, model="a/b", threshold=0.25, **what)
            assert told["results"] == results
            request = server.asked[0]
        assert request.line == "POST /predict/a%2Fb?threshold=0.25 HTTP/1.1"
        options = predict.decode_query(b"threshold=0.25")
        items, _ = predict.decode(request.headers["content-type"], request.body, options)
        assert [(item.kind, item.data) for item in items] == wanted


def test_a_refusal_has_status_code_hint_and_the_id_of_the_log(
    driver: Driver, clients_server: ServerProcess
) -> None:
    x = np.zeros((1, 12), np.float32)
    with pytest.raises(Refused) as refused:
        driver.infer(clients_server.url, "linear", {"x": x})
    told = refused.value.told
    assert (told["kind"], told["status"], told["code"]) == ("refused", 400, "invalid-input")
    assert "'x'" in told["message"]
    assert "[1, 12]" in told["message"]
    assert clients_server.prints(told["request_id"])
    with pytest.raises(Refused) as refused:
        driver.infer(clients_server.url, "linera", {"x": x})
    told = refused.value.told
    assert (told["status"], told["code"]) == (404, "not-found")
    assert clients_server.prints(told["request_id"])


def test_half_floats_are_those_of_numpy(driver: Driver) -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    with np.errstate(all="ignore"):
        exact = halves.astype(np.float32)
        between = (exact + np.roll(exact, 1)) / 2  # ties, where neighbours are neighbours
        random = np.random.default_rng(0).integers(0, 1 << 32, 200_000, np.uint32)
        given = np.concatenate(
            [exact, between, np.nextafter(between, 1), np.nextafter(between, -1),
             random.view(np.float32), np.float32([65519.99, 65520, 65536, 1e-8, 2**-25, 2**-24])]
        ).astype(np.float32)  # fmt: skip
        wanted = given.astype(np.float16)
    floats = base64.b64encode(given.astype(">f4").tobytes()).decode()
    widened, rounded = (base64.b64decode(each) for each in driver.ask("halves", floats=floats))
    same(np.frombuffer(widened, ">f4").astype(np.float32), exact)
    same(np.frombuffer(rounded, ">f2").astype(np.float16), wanted)


def same(found: np.ndarray, wanted: np.ndarray) -> None:
    """Bit for bit, signs of zeros too; any NaN is a NaN."""
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(wanted))


_INTEGERS = st.integers(-(1 << 63), (1 << 64) - 1)  # beyond them, C++ has the nearest double
_SCALARS = st.none() | st.booleans() | st.text() | _INTEGERS | st.floats(allow_nan=False)
_VALUES = st.recursive(
    _SCALARS.filter(lambda value: value not in (float("inf"), float("-inf"))),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(value=_VALUES, spaced=st.booleans(), ascii_only=st.booleans())
def test_json_survives_reading_and_writing(
    value: object, spaced: bool, ascii_only: bool, driver: Driver
) -> None:
    text = json.dumps(value, indent=1 if spaced else None, ensure_ascii=ascii_only)
    assert json.loads(json_of(driver, text.encode())) == value


@given(damage=st.data())
def test_what_python_takes_for_no_json_is_none(damage: st.DataObject, driver: Driver) -> None:
    text = bytearray(b'{"a": [1, -2.5e+3, "x\\u00e9\\n", true, null], "b": {"c": false}}')
    for _ in range(damage.draw(st.integers(1, 3))):
        text[damage.draw(st.integers(0, len(text) - 1))] = damage.draw(st.integers(0, 255))
    try:
        wanted = json.loads(bytes(text).decode(), parse_constant=_no_constant)
    except ValueError:
        with pytest.raises(Refused, match="not JSON"):
            json_of(driver, bytes(text))
        return
    try:
        found = json.loads(json_of(driver, bytes(text)))
    except Refused as refused:
        found = str(refused)
    # Stricter than Python: no name twice, no half of a character.
    assert found == wanted or "comes twice" in str(found) or "surrogate" in str(found)


@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b"01", b"1.", b".5", b"+1", b"-", b"1e", b"0x1", b"NaN", b"Infinity", b"nul",
        b"[1,]", b"[,1]", b'{"a":1,}', b'{"a"}', b"{a:1}", b"{'a':1}", b'"a', b'"\\x"',
        b'"\t"', b'"\\ud800"', b'"\xff"', b"\xef\xbb\xbf1", b"1 2", b"[1", b'{"a":1,"a":2}',
        b'"\\u12g4"', b"//1\n1",
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused(text: bytes, driver: Driver) -> None:
    with pytest.raises(Refused, match="not JSON") as refused:
        json_of(driver, text)
    assert refused.value.told["kind"] == "argument"


def json_of(driver: Driver, text: bytes) -> str:
    return driver.ask("json", text=base64.b64encode(text).decode())


def _no_constant(name: str) -> object:
    raise ValueError(name)


def test_over_tls_with_a_context_of_the_user_s(
    driver: Driver, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    public, key = certificate
    linear.write_onnx(tmp_path / "linear")
    arguments = [str(tmp_path / "linear"), "--engine", "onnxruntime"]
    with serve(
        *arguments, "--tls-cert", str(public), "--tls-key", str(key), home=tmp_path
    ) as server:
        x = features(2)
        assert server.url.startswith("https://")
        answer = driver.infer({"url": server.url, "trust": str(public)}, "linear", {"x": x})
        np.testing.assert_allclose(answer["outputs"]["y"], linear.expected(x), rtol=1e-5)
        with pytest.raises(Refused) as refused:
            driver.infer(server.url, "linear", {"x": x})
    assert refused.value.told["kind"] == "connection"
    told = refused.value.told
    assert "SSLHandshakeException" in told.get("cause", "") or "certificate" in told["message"]
