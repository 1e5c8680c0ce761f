"""A server with keys as users run it: asked by our own clients, its keys changed on SIGHUP."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import paddlesrv_client
import pytest

from tests.cli.program import run
from tests.server.process import ServerProcess, serve
from tests.standins import linear


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def new_key(home: Path, keys: Path, name: str, *limits: str) -> str:
    made = run(home, "key", "new", name, *limits, "--api-key-file", str(keys), "-q")
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    linear.write_onnx(tmp_path / "linear")
    return tmp_path / "linear"


@pytest.fixture
def key(tmp_path: Path, keys: Path) -> str:
    return new_key(tmp_path, keys, "alice")


@pytest.fixture
def server(model: Path, keys: Path, key: str) -> Iterator[ServerProcess]:
    arguments = (str(model), "--engine", "onnxruntime", "--api-key-file", str(keys), "-v")
    with serve(*arguments, home=model.parent) as running:
        yield running


def status(server: ServerProcess, key: str) -> int:
    headers = {"authorization": f"Bearer {key}"}
    return httpx.get(f"{server.url}/v2", headers=headers, trust_env=False).status_code


@pytest.mark.parametrize("protocol", ["http", "grpc", "brpc"])
def test_our_client_asks_with_a_key(server: ServerProcess, key: str, protocol: str) -> None:
    x = np.ones((1, 13), np.float32)
    headers = {"authorization": f"Bearer {key}"}
    with paddlesrv_client.Client(server.url, protocol, headers=headers) as client:  # type: ignore[arg-type]
        found = client.infer("linear", {"x": x})["y"]
    np.testing.assert_allclose(found, linear.expected(x), rtol=1e-5)
    with (
        paddlesrv_client.Client(server.url, protocol) as client,  # type: ignore[arg-type]
        pytest.raises(paddlesrv_client.PaddlesrvClientError, match="API key"),
    ):
        client.infer("linear", {"x": x})


def test_sighup_changes_the_keys_and_ends_nothing(
    server: ServerProcess, tmp_path: Path, keys: Path, key: str
) -> None:
    assert (status(server, key), status(server, "psk_other")) == (200, 401)
    other = new_key(tmp_path, keys, "bob")
    assert run(tmp_path, "key", "rm", "alice", "-y", "--api-key-file", str(keys)).returncode == 0
    server.process.send_signal(signal.SIGHUP)
    assert server.prints("1 API keys in force")
    assert (status(server, key), status(server, other)) == (401, 200)
    assert server.terminate() == 0


def test_no_key_stands_in_what_a_server_prints_or_ps_shows(
    server: ServerProcess, tmp_path: Path, key: str
) -> None:
    assert status(server, key) == 200
    assert status(server, key + "x") == 401
    shown = run(tmp_path, "ps", "--json")
    assert json.loads(shown.stdout)["servers"][0]["state"] == "ready"
    environ = Path(f"/proc/{server.process.pid}/environ").read_bytes()
    line = Path(f"/proc/{server.process.pid}/cmdline").read_bytes()
    assert server.terminate() == 0
    for text in (shown.stdout, "".join(server.output), environ.decode(), line.decode()):
        assert key not in text


def test_predict_asks_with_a_key_from_a_file(
    server: ServerProcess, tmp_path: Path, key: str
) -> None:
    (tmp_path / "alice.key").write_text(key + "\n")
    asked = ("predict", "linear", "--text", "hello", "--url", server.url)
    refused = run(tmp_path, *asked)
    assert "API key" in refused.stderr
    other = run(tmp_path, *asked, "--api-key-from", str(tmp_path / "alice.key"))
    assert "API key" not in other.stderr
    typed = run(tmp_path, *asked, "--api-key-from", key)
    assert typed.returncode == 2
    assert key not in typed.stdout + typed.stderr


def test_a_server_that_anybody_reaches_says_so(model: Path) -> None:
    arguments = (str(model), "--host", "0.0.0.0", "--port", "0", "--dry-run")
    told = run(model.parent, "serve", *arguments)
    assert told.returncode == 0
    assert "WHOEVER REACHES 0.0.0.0" in told.stderr
    refused = run(model.parent, "serve", *arguments, "--admin")
    assert refused.returncode == 2
    assert "--api-key-file" in refused.stderr


def test_a_terminal_that_goes_still_ends_a_server_with_keys(
    model: Path, keys: Path, key: str
) -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "paddlesrv", "serve", str(model), "--engine", "onnxruntime",
               "--port", "0", "--api-key-file", str(keys)]  # fmt: skip
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *command],
        stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=dict(os.environ, PADDLESRV_HOME=str(model.parent), PYTHONUNBUFFERED="1"),
    )  # fmt: skip
    os.close(follower)
    assert process.stdout is not None
    with process.stdout:
        assert any(line.startswith("ready in") for line in process.stdout)
        os.close(leader)
        process.stdout.read()
    assert process.wait(60) == 0
