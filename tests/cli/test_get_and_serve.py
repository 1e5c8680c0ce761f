"""`get`, `serve` and `predict` on stand-in models: real files, a real server."""

import json

import httpx
import numpy as np
import pytest

from tests.cli.program import run
from tests.server.process import serve
from tests.standins import linear


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A directory with a linear model."""
    directory = tmp_path_factory.mktemp("models") / "linear"
    linear.write_onnx(directory)
    return directory


def test_a_directory_is_served_with_one_command(model, tmp_path):
    with serve(str(model), "--engine", "onnxruntime", home=tmp_path) as server:
        x = np.ones((2, linear.FEATURES), np.float32)
        request = {
            "inputs": [
                {
                    "name": "x",
                    "datatype": "FP32",
                    "shape": list(x.shape),
                    "data": x.ravel().tolist(),
                }
            ]
        }
        with server.client() as client:
            answer = client.post("/v2/models/linear/infer", json=request).json()
        np.testing.assert_allclose(
            answer["outputs"][0]["data"], linear.expected(x).ravel(), rtol=1e-5
        )
        text = "".join(server.output)
        assert f"model    {model}" in text
        assert "POST /v2/models/linear/infer" in text
        assert "POST /predict/" not in text
        assert server.terminate() == 0


def test_quiet_and_json_tell_the_address_alone(model, tmp_path):
    import subprocess

    from tests.cli.program import command, environment

    process = subprocess.Popen(
        command("serve", str(model), "--engine", "onnxruntime", "--port", "0", "-q"),
        stdout=subprocess.PIPE,
        env=environment(tmp_path),
        text=True,
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert httpx.get(f"{url}/v2/health/ready", trust_env=False).status_code == 200
    process.terminate()
    assert process.stdout.read() == ""
    process.stdout.close()
    assert process.wait(60) == 0


def test_a_served_model_without_a_task_says_where_tensors_go(model, tmp_path):
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n")
    with serve(str(model), "--engine", "onnxruntime", home=tmp_path) as server:
        ended = run(tmp_path, "predict", "linear", str(picture), "--url", server.url)
    assert ended.returncode == 1
    assert "error: model 'linear' has no task; it takes tensors" in ended.stderr
    assert "hint: POST tensors to /v2/models/linear/infer" in ended.stderr


def test_in_process_a_model_without_a_task_is_refused(model, tmp_path):
    ended = run(tmp_path, "predict", str(model), "x")
    assert ended.returncode == 2
    assert "takes tensors" in ended.stderr


def test_no_server_is_exit_3_and_names_the_way_to_start_one(tmp_path):
    ended = run(tmp_path, "predict", "lac", "文字", "--url", "http://127.0.0.1:1", "--json")
    assert ended.returncode == 3
    error = json.loads(ended.stdout)["error"]
    assert error["code"] == "server-not-found"
    assert error["hint"] == "start one: paddlesrv serve lac"
