"""The repository of a running server: over HTTP and gRPC on one port, with installed models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from tests.cli.program import run
from tests.server.process import ServerProcess, serve
from tests.standins import linear, nets


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one own model, `price`; beside it the directory of another."""
    home = tmp_path_factory.mktemp("repository")
    linear.write_onnx(home / "own" / "price")
    nets.write_lookup(home / "own" / "lookup")
    ended = run(home, "import", str(home / "own" / "price"))
    assert ended.returncode == 0, ended.stderr
    return home


@pytest.fixture
def server(home: Path) -> Iterator[ServerProcess]:
    with serve(str(home / "own" / "lookup"), "--admin", home=home) as running:
        yield running


@pytest.fixture
def client(server: ServerProcess) -> Iterator[triton_http.InferenceServerClient]:
    client = triton_http.InferenceServerClient(server.url.removeprefix("http://"))
    yield client
    client.close()


def ask(client: triton_http.InferenceServerClient, x: np.ndarray) -> np.ndarray:
    given = triton_http.InferInput("x", x.shape, "FP32")
    given.set_data_from_numpy(x)
    found: np.ndarray = client.infer("price", [given]).as_numpy("y")
    return found


def test_an_installed_model_is_loaded_asked_counted_and_unloaded(
    server: ServerProcess, client: triton_http.InferenceServerClient
) -> None:
    states = {m["name"]: m["state"] for m in client.get_model_repository_index()}
    assert states == {"lookup": "READY", "price": "UNAVAILABLE"}
    with pytest.raises(InferenceServerException, match="not served"):
        ask(client, np.ones((1, 13), np.float32))
    client.load_model("price")
    assert client.is_model_ready("price")
    x = np.random.default_rng(0).standard_normal((8, 13)).astype(np.float32)
    np.testing.assert_allclose(ask(client, x), linear.expected(x), rtol=1e-4)
    (sums,) = client.get_inference_statistics("price")["model_stats"]
    assert sums["inference_stats"]["success"]["count"] == 1
    assert (sums["inference_count"], sums["execution_count"]) == (8, 1)
    every = client.get_inference_statistics()["model_stats"]
    assert {each["name"] for each in every} == {"lookup", "price"}
    with triton_grpc.InferenceServerClient(server.url.removeprefix("http://")) as other:
        assert other.is_model_ready("price")
        workers = psutil.Process(server.process.pid).children(recursive=True)
        other.unload_model("price")
        gone, _ = psutil.wait_procs(workers, 0)
        assert len(gone) == 1
        assert not other.is_model_ready("price")
        assert other.is_server_ready()
    assert not client.is_model_ready("price")
    with pytest.raises(InferenceServerException, match="is unloaded"):
        ask(client, x)
    with server.client() as plain:
        ready = plain.post("/v2/repository/index", json={"ready": True}).json()
    assert [each["name"] for each in ready] == ["lookup"]
    client.load_model("price")
    np.testing.assert_allclose(ask(client, x), linear.expected(x), rtol=1e-4)


def test_loading_takes_names_of_installed_models_alone(server: ServerProcess, home: Path) -> None:
    with server.client() as client:

        def load(name: str, **body: object) -> httpx.Response:
            return client.post(f"/v2/repository/models/{name}/load", json=body)

        for path in (home / "own" / "price", "./price", "../models/price", "nothing"):
            answer = load(str(path).replace("/", "%2F"))
            assert answer.status_code == 404, path
            assert "is not installed" in answer.json()["error"]
        answer = load("price", parameters={"file:1/model.onnx": "AAAA"})
        assert answer.status_code == 400
        assert "no parameters" in answer.json()["error"]
        assert client.post("/v2/repository/index", content=b"[").status_code == 400
        assert client.get("/v2/repository/index").status_code == 405
        assert client.post("/v2/repository/models/price/reload").status_code == 404
        index = {m["name"]: m for m in client.post("/v2/repository/index").json()}
        assert index["price"]["reason"] == "installed, not loaded"


def test_a_model_that_cannot_be_loaded_leaves_nothing_behind(home: Path, tmp_path: Path) -> None:
    with serve(str(home / "own" / "lookup"), "--admin", home=home) as server:
        (file,) = (f for f in home.rglob("model.onnx") if "own" not in f.parts)
        content = file.read_bytes()
        file.chmod(0o644)
        try:
            file.write_bytes(content[:-1] + b"?")
            before = psutil.Process(server.process.pid).children(recursive=True)
            with server.client() as client:
                answer = client.post("/v2/repository/models/price/load")
                assert answer.status_code == 500, answer.text
                assert "price" in answer.text
                assert client.get("/v2/health/ready").json() == {"ready": True}
                index = {m["name"]: m["state"] for m in client.post("/v2/repository/index").json()}
                assert index["price"] == "UNAVAILABLE"
            after = psutil.Process(server.process.pid).children(recursive=True)
            assert len(after) == len(before)
        finally:
            file.write_bytes(content)


def test_only_administrators_may_change_what_is_served(home: Path) -> None:
    with serve(str(home / "own" / "lookup"), home=home) as server, server.client() as client:
        for change in ("load", "unload"):
            answer = client.post(f"/v2/repository/models/lookup/{change}")
            assert answer.status_code == 403
            assert "--admin" in answer.json()["hint"]
        assert [m["name"] for m in client.post("/v2/repository/index").json()] == ["lookup"]
