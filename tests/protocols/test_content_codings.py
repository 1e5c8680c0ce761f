"""Compressed bodies over HTTP: tritonclient's, those of other clients, and bombs."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
import zstandard

from tests.server.process import ServerProcess, serve
from tests.standins import linear

PATH = "/v2/models/linear/infer"
CODINGS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    root = tmp_path_factory.mktemp("codings")
    linear.write_onnx(root / "linear")
    arguments = (str(root / "linear"), "--engine", "onnxruntime", "--max-body", "1")
    with serve(*arguments, home=root) as running:
        yield running


def features(count: int) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, 13)).astype(np.float32)


def body(x: np.ndarray) -> bytes:
    tensor = {"name": "x", "shape": list(x.shape), "datatype": "FP32", "data": x.ravel().tolist()}
    return json.dumps({"inputs": [tensor]}).encode()


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("request_coding", [None, "gzip", "deflate"])
@pytest.mark.parametrize("response_coding", [None, "gzip", "deflate"])
def test_tritonclient_gets_the_same_numbers(
    server: ServerProcess, binary: bool, request_coding: str | None, response_coding: str | None
) -> None:
    x = features(900)
    client = triton.InferenceServerClient(server.url.removeprefix("http://"))
    given = triton.InferInput("x", x.shape, "FP32")
    given.set_data_from_numpy(x, binary_data=binary)
    answer = client.infer(
        "linear",
        [given],
        outputs=[triton.InferRequestedOutput("y", binary_data=binary)],
        request_compression_algorithm=request_coding,
        response_compression_algorithm=response_coding,
    )
    np.testing.assert_allclose(answer.as_numpy("y"), linear.expected(x), rtol=1e-4, atol=1e-5)
    client.close()


@pytest.mark.parametrize("coding", CODINGS)
def test_a_body_may_be_compressed(server: ServerProcess, coding: str) -> None:
    x = features(4)
    with server.client() as client:
        answer = client.post(
            PATH, content=CODINGS[coding](body(x)), headers={"content-encoding": coding}
        )
    np.testing.assert_allclose(
        answer.json()["outputs"][0]["data"], linear.expected(x)[:, 0], rtol=1e-4
    )


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("gzip", "gzip"), ("gzip, deflate, br, zstd", "zstd"), ("deflate;q=1, gzip;q=0", "deflate"),
        ("*", "zstd"), ("br", None), ("identity", None), ("gzip;q=x", None), (",;=,", None),
    ],
)  # fmt: skip
def test_a_long_answer_is_compressed_as_is_accepted(
    server: ServerProcess, accept: str, coding: str | None
) -> None:
    request = httpx.Request(
        "POST", server.url + PATH, content=body(features(300)), headers={"accept-encoding": accept}
    )
    with httpx.Client(trust_env=False) as client:
        answer = client.send(request, stream=True)
        raw = b"".join(answer.iter_raw())
    assert answer.headers.get("content-encoding") == coding
    undone = {"gzip": gzip.decompress, "deflate": zlib.decompress,
              "zstd": zstandard.ZstdDecompressor().decompressobj().decompress}  # fmt: skip
    plain = undone[coding](raw) if coding else raw
    assert len(json.loads(plain)["outputs"][0]["data"]) == 300
    if coding:
        assert answer.headers["vary"] == "accept-encoding"


def test_a_short_answer_and_tensors_for_who_reads_everything_go_as_they_are(
    server: ServerProcess,
) -> None:
    with server.client() as client:  # accepts all that httpx can read
        assert "content-encoding" not in client.post(PATH, content=body(features(1))).headers
        asked = json.loads(body(features(900))) | {"parameters": {"binary_data_output": True}}
        assert "content-encoding" not in client.post(PATH, json=asked).headers


@pytest.mark.parametrize("coding", CODINGS)
def test_a_bomb_is_refused(server: ServerProcess, coding: str) -> None:
    bomb = CODINGS[coding](bytes(50_000_000))
    assert len(bomb) < 1_000_000
    with server.client() as client:
        answer = client.post(PATH, content=bomb, headers={"content-encoding": coding})
    assert answer.status_code == 413
    assert "more than 1000000 bytes" in answer.json()["error"]


@pytest.mark.parametrize("coding", CODINGS)
def test_what_is_not_compressed_as_was_said_is_refused(server: ServerProcess, coding: str) -> None:
    whole = CODINGS[coding](body(features(1)))
    with server.client() as client:
        for data in (b"plain", whole[:-3], whole + b"behind"):
            answer = client.post(PATH, content=data, headers={"content-encoding": coding})
            assert answer.status_code == 400, answer.text
