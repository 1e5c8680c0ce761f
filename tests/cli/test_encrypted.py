"""Encrypted models as users have them: encrypted, served with the key, and nowhere in clear."""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from paddlesrv.settings import Settings
from paddlesrv.zoo.store import Store
from tests.cli.program import run
from tests.cli.servers import Servers, tree
from tests.cli.test_running import infer
from tests.server.process import serve
from tests.standins import linear

PICTURES = Path(__file__).parent.parent / "data" / "ocr"
WRITERS = {
    "paddle-pir": linear.write_paddle,
    "paddle-program": linear.write_program,
    "onnx": linear.write_onnx,
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where processes put what they need for a while."""
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    return place


@pytest.fixture
def sealed(tmp_path: Path, home: Path) -> Path:
    """A linear ONNX model, encrypted with the key in `key` beside it."""
    return encrypted(home, tmp_path, "onnx")


@pytest.fixture
def servers(home: Path, sealed: Path) -> Iterator[Servers]:
    found = Servers(home, sealed)
    yield found
    found.close()


def encrypted(home: Path, place: Path, format_: str) -> Path:
    model = place / "linear"
    model.mkdir(exist_ok=True)
    WRITERS[format_](model)
    out = place / "linear.sealed"
    ended = run(home, "encrypt", str(model), "--key-file", str(place / "key"), "-o", str(out))
    assert ended.returncode == 0, ended.stderr
    return out


def key_of(sealed: Path) -> str:
    return str(sealed.with_name("key"))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def until_ready(url: str) -> None:
    deadline = time.monotonic() + 60
    while httpx.get(f"{url}/v2/models/linear/ready", trust_env=False).status_code != 200:
        assert time.monotonic() < deadline, "the worker did not start again"


def in_clear(places: list[Path], secrets: list[bytes]) -> list[Path]:
    """The files below these places that hold one of the secrets."""
    found = []
    for place in places:
        for path in place.rglob("*"):
            if path.is_file() and not path.is_symlink():
                data = path.read_bytes()
                found += [path for secret in secrets if secret in data]
    return found


@pytest.mark.parametrize("format_", sorted(WRITERS))
def test_an_encrypted_model_answers_as_the_open_one_and_lies_nowhere_in_clear(
    format_: str, tmp_path: Path, home: Path, temporary: Path
) -> None:
    sealed = encrypted(home, tmp_path, format_)
    open_model = tmp_path / "linear"
    network = [path for path in open_model.iterdir() if path.suffix != ".info"]
    # Any part of the network would be one too many; names of tensors stand in descriptions too.
    secrets = [data[len(data) // 2 :][:48] for data in (path.read_bytes() for path in network)]
    key = Path(key_of(sealed)).read_text().strip()
    secrets.append(key.encode())
    Path(key_of(sealed)).unlink()
    for path in network:
        path.unlink()
    servers = Servers(home, sealed)
    try:
        ended = servers.run(
            "serve", str(sealed), "-d", "--json", "--port", "0", PADDLESRV_MODEL_KEY=key
        )
        assert ended.returncode == 0, ended.stderr
        shown = json.loads(ended.stdout)
        infer(shown["url"], 3)
        processes = tree(shown["pid"])
        assert len(processes) >= 3
        assert in_clear([tmp_path], secrets) == []
        for process in processes:
            everything = Path(f"/proc/{process.pid}/environ").read_bytes()
            everything += " ".join(process.cmdline()).encode()
            assert key.encode() not in everything
            assert base64.b64decode(key).hex().encode() not in everything
        server, worker = processes[0], processes[-1]
        for process in (server, worker):
            assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0)

        os.kill(worker.pid, signal.SIGKILL)
        psutil.wait_procs([worker], timeout=30)
        until_ready(shown["url"])
        infer(shown["url"], 2)  # by one that was started since, and had to decrypt it again
        assert servers.run("stop", "--all").returncode == 0
        assert in_clear([tmp_path], secrets) == []
        assert list(temporary.glob("paddlesrv-*")) == []
    finally:
        servers.close()


def test_encrypt_makes_a_key_once_and_says_so(tmp_path: Path, home: Path, sealed: Path) -> None:
    key = tmp_path / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    made = key.read_bytes()
    ended = run(home, "encrypt", str(tmp_path / "linear"), "--key-file", str(key), "-o",
                str(tmp_path / "again.sealed"), "--json")  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert (document["model"], document["new_key"]) == ("linear", False)
    assert document["size_bytes"] == (tmp_path / "again.sealed").stat().st_size
    assert key.read_bytes() == made
    assert made.strip().decode() not in ended.stdout + ended.stderr

    ended = run(home, "encrypt", str(tmp_path / "linear"), "--key-file", str(key), "-o",
                str(sealed))  # fmt: skip
    assert ended.returncode == 2
    assert "is there already" in ended.stderr
    assert "--force" in ended.stderr
    ended = run(home, "encrypt", str(tmp_path / "linear"), "--key-file",
                str(tmp_path / "other"), "-o", str(tmp_path / "x.sealed"), "--dry-run")  # fmt: skip
    assert ended.returncode == 0
    assert not (tmp_path / "other").exists()
    assert not (tmp_path / "x.sealed").exists()


def test_a_damaged_model_is_not_encrypted(tmp_path: Path, home: Path) -> None:
    model = tmp_path / "linear"
    model.mkdir()
    linear.write_onnx(model)
    ended = run(home, "import", str(model), "--name", "mine")
    assert ended.returncode == 0, ended.stderr
    (home / "cache" / "models" / "mine" / "model.onnx").chmod(0o644)
    installed = Store(Settings(home=home).cache_dir).installed("mine")
    assert installed is not None
    program = installed.directory / "model.onnx"
    program.chmod(0o644)
    program.write_bytes(program.read_bytes()[:-1] + b"!")
    ended = run(home, "encrypt", "mine", "--key-file", str(tmp_path / "key"))
    assert ended.returncode == 5
    assert "paddlesrv verify mine" in ended.stderr
    assert not (tmp_path / "mine.sealed").exists()


def test_without_a_key_nothing_is_served(sealed: Path, home: Path) -> None:
    ended = run(home, "serve", str(sealed), "--port", "0")
    assert ended.returncode == 2
    assert "linear is encrypted, and there is no key" in ended.stderr
    assert f"paddlesrv serve {sealed} --key-file FILE" in ended.stderr


@pytest.mark.parametrize("detached", [[], ["-d"]])
def test_another_key_is_exit_code_5(
    detached: list[str], sealed: Path, home: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.write_text(base64.b64encode(bytes(32)).decode())
    other.chmod(0o600)
    ended = run(home, "serve", str(sealed), "--port", "0", "--key-file", str(other), *detached)
    assert ended.returncode == 5
    assert "another key" in ended.stderr


@pytest.mark.parametrize("where", ["magic", "head", "first chunk", "end"])
def test_a_flipped_bit_is_exit_code_5(where: str, sealed: Path, home: Path) -> None:
    data = bytearray(sealed.read_bytes())
    place = {"magic": 2, "head": 40, "first chunk": len(data) // 2, "end": len(data) - 1}[where]
    data[place] ^= 1 << random.Random(where).randrange(8)
    sealed.write_bytes(data)
    ended = run(home, "serve", str(sealed), "--port", "0", "--key-file", key_of(sealed))
    assert ended.returncode == 5, ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_truncated_file_is_exit_code_5(sealed: Path, home: Path) -> None:
    sealed.write_bytes(sealed.read_bytes()[:-1])
    ended = run(home, "serve", str(sealed), "--port", "0", "--key-file", key_of(sealed))
    assert ended.returncode == 5
    assert "is damaged, or was tampered with" in ended.stderr


def test_a_key_file_that_everybody_can_read_is_refused(sealed: Path, home: Path) -> None:
    Path(key_of(sealed)).chmod(0o644)
    ended = run(home, "serve", str(sealed), "--port", "0", "--key-file", key_of(sealed))
    assert ended.returncode == 2
    assert f"chmod 600 {key_of(sealed)}" in ended.stderr


@pytest.mark.parametrize(
    "flags", [["--precision", "int8"], ["--engine", "openvino"], ["--engine", "onnxruntime"]]
)
def test_what_would_be_written_in_clear_is_refused(
    flags: list[str], tmp_path: Path, home: Path
) -> None:
    sealed = encrypted(home, tmp_path, "paddle-program")
    given = ["--port", "0", "--key-file", key_of(sealed), *flags, "--dry-run"]
    ended = run(home, "serve", str(sealed), *given)
    assert ended.returncode == 6, ended.stderr
    assert "would be written to the disk in clear" in ended.stderr


def test_a_command_gives_the_key_and_a_config_file_its_place(
    servers: Servers, sealed: Path, tmp_path: Path
) -> None:
    ended = servers.run("serve", str(sealed), "-d", "--json", "--port", "0", "--key-command",
                        f"cat {key_of(sealed)}")  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    infer(json.loads(ended.stdout)["url"], 1)

    config = tmp_path / "paddlesrv.yaml"
    config.write_text(
        f"key_file: {key_of(sealed)}\nport: 0\n"
        f"models: [{{name: mine, path: {sealed}, engine: onnxruntime}}]\n"
    )
    ended = servers.run("serve", "--config", str(config), "-d", "--json")
    assert ended.returncode == 0, ended.stderr
    url = json.loads(ended.stdout)["url"]
    assert httpx.get(f"{url}/v2/models/mine", trust_env=False).status_code == 200


@pytest.mark.models
def test_a_pipeline_goes_with_its_parts_and_labels(model_home: Path, tmp_path: Path) -> None:
    out, key = tmp_path / "ocr.sealed", tmp_path / "key"
    ended = run(model_home, "encrypt", "ocr", "--key-file", str(key), "-o", str(out), "--json")
    assert ended.returncode == 0, ended.stderr
    assert len(json.loads(ended.stdout)["models"]) >= 3
    picture = str(PICTURES / "phone.png")
    plain = run(model_home, "predict", "ocr", picture)
    assert plain.returncode == 0, plain.stderr
    # Where nothing is installed: all of it comes out of the one file.
    with serve(
        str(out), "--key-file", str(key), "--threads", "1", home=tmp_path / "empty"
    ) as server:
        asked = run(tmp_path / "empty", "predict", "ocr", picture, "--url", server.url)
    assert asked.returncode == 0, asked.stderr
    assert asked.stdout == plain.stdout
