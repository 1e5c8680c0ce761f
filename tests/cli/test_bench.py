"""`bench`, on models that are served for it and on servers that run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.program import run
from tests.clients import networks
from tests.server.process import ServerProcess, serve
from tests.standins import linear

QUICK = ("--requests", "20", "--warmup", "0", "--duration", "60")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    root = tmp_path_factory.mktemp("bench")
    linear.write_onnx(root / "linear")
    networks.write_texts(root / "texts")
    arguments = (str(root / "linear"), str(root / "texts"), "--engine", "onnxruntime")
    with serve(*arguments, home=root) as running:
        yield running


def test_every_protocol_of_a_server_is_measured(server: ServerProcess, tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    ended = run(
        tmp_path, "bench", server.url, "--model", "linear", "--protocol", "all", "-c", "1,3",
        "--export", str(out), *QUICK,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0].split() == ["PROTOCOL", "CONC", "REQ/S", "P50", "MS", "P95", "MS", "P99", "MS",
                                "AVG", "BATCH", "ERRORS"]  # fmt: skip
    kinds = ["http", "http-binary", "grpc", "brpc", "tensorflow-rest", "tensorflow-grpc"]
    rows = [line.split() for line in lines[1:]]
    assert [(row[0], row[1]) for row in rows] == [(k, c) for k in kinds for c in ("1", "3")]
    assert {row[-1] for row in rows} == {"0"}
    document = json.loads(out.read_text())
    assert document["schema"] == 1
    assert document["model"] == "linear"
    for point in document["points"]:
        assert point["requests"] == 20
        assert 0 < point["p50_ms"] <= point["p95_ms"] <= point["p99_ms"] <= point["max_ms"]
        assert 1 <= point["batch"] <= 3
        assert point["errors"] == {}


def test_a_server_with_keys_is_measured_with_one(tmp_path: Path) -> None:
    linear.write_onnx(tmp_path / "linear")
    keys, own = tmp_path / "keys", tmp_path / "own.key"
    made = run(tmp_path, "key", "new", "me", "--api-key-file", str(keys), "-q")
    own.write_text(made.stdout)
    words = [str(tmp_path / "linear"), "--engine", "onnxruntime", "--api-key-file", str(keys)]
    with serve(*words, home=tmp_path) as server:
        asked = ["bench", server.url, "--model", "linear", "--protocol", "all", "-c", "2", *QUICK]
        without = run(tmp_path, *asked)
        assert without.returncode == 3
        assert "401" in without.stderr
        ended = run(tmp_path, *asked, "--api-key-from", str(own))
    assert ended.returncode == 0, ended.stderr
    rows = [line.split() for line in ended.stdout.splitlines()[1:]]
    assert len(rows) == 6
    assert {row[-1] for row in rows} == {"0"}
    assert made.stdout.strip() not in ended.stdout + ended.stderr


def test_texts_and_rows_go_too(server: ServerProcess, tmp_path: Path) -> None:
    ended = run(
        tmp_path, "bench", server.url, "--model", "texts", "--batch", "5", "-c", "1", "--json",
        "--protocol", "http,http-binary,grpc,tensorflow-rest,tensorflow-grpc", *QUICK,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    points = json.loads(ended.stdout)["points"]
    assert [(p["requests"], p["batch"]) for p in points] == [(20, 5.0)] * 5


def test_an_open_loop_asks_at_its_rate(server: ServerProcess, tmp_path: Path) -> None:
    ended = run(
        tmp_path, "bench", server.url, "--model", "linear", "--rate", "200", "--json",
        "--requests", "50", "--warmup", "0",
    )  # fmt: skip
    (point,) = json.loads(ended.stdout)["points"]
    assert (point["asked_rate"], point["requests"], point["errors"]) == (200.0, 50, {})


def test_a_model_is_served_for_it(tmp_path: Path) -> None:
    linear.write_onnx(tmp_path / "linear")
    ended = run(
        tmp_path, "bench", str(tmp_path / "linear"), "--engine", "onnxruntime", "--threads", "1",
        "-c", "2", *QUICK,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[1].split()[0] == "2"
    assert run(tmp_path, "ps", "-q").stdout == ""


def test_a_picture_is_sent_to_a_task_and_what_it_refuses_is_told(
    server: ServerProcess, tmp_path: Path
) -> None:
    ended = run(tmp_path, "bench", server.url, "--model", "linear", "--input", "a text", *QUICK)
    assert ended.returncode == 1
    assert "the server does not answer over predict: HTTP 400" in ended.stderr
    assert "has no task" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["{url}"], 2, "which model of"),
        (["{url}", "--model", "nonesuch"], 3, "describes no model 'nonesuch'"),
        (["http://127.0.0.1:1"], 4, "nobody answers"),
        (["ftp://x"], 3, "ftp://x"),
        (["http://x/y"], 2, "not the address of a server"),
        (["{url}", "--model", "linear", "--protocol", "smoke"], 2, "none that is known"),
        (["{url}", "--model", "linear", "-c", "0"], 2, "--concurrency takes numbers"),
        (["{url}", "--model", "linear", "--shape", "y=1"], 2, "no such input"),
        (["{url}", "--model", "linear", "--shape", "x=1,14"], 2, "not of this input"),
        (["{url}", "--model", "linear", "--shape", "x"], 2, "is not NAME=N,N"),
        (["{url}", "--threads", "2"], 2, "its server's business"),
        (["{url}", "--model", "linear", "--protocol", "predict"], 2, "to be asked with a picture"),
        (["nonesuch"], 3, "nonesuch"),
        (["nonesuch", "--model", "x"], 2, "of a server that runs"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    server: ServerProcess, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    ended = run(tmp_path, "bench", *(a.format(url=server.url) for a in arguments))
    assert words in ended.stderr
    assert ended.returncode == code
