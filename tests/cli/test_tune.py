"""`tune` on a real model: it finds, keeps, is heeded by `serve`, and can be taken back."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from paddlesrv.engines.devices import describe
from tests.cli.program import SECONDS, command, environment, run
from tests.standins import linear

# Where each batch waits 50 ms for more, anything else is faster, however busy the machine is.
SLOW = {"PADDLESRV_SERVE_MAX_DELAY_MS": "50"}
QUICK = ("--budget", "4", "--concurrency", "2", "--engine", "onnxruntime")
# The converter itself warns.
TRIAL = {"PADDLESRV_CHOICE_SECONDS": "60", "PYTHONWARNINGS": "default"}
TUNED = ("engine", "precision", "threads", "instances", "max_batch_size", "max_delay_ms")


@pytest.fixture
def model(tmp_path: Path) -> str:
    """The directory of a model that takes tensors."""
    linear.write_onnx(tmp_path / "linear")
    return str(tmp_path / "linear")


def records(home: Path) -> list[Path]:
    return sorted((home / "cache" / "tuned").glob("*.json"))


def planned(home: Path, model: str, *flags: str) -> dict[str, Any]:
    """What a server would run with."""
    ended = run(home, "serve", model, "--port", "0", "--dry-run", "--json", *flags)
    assert ended.returncode == 0, ended.stderr
    document: dict[str, Any] = json.loads(ended.stdout)
    return document


def test_what_is_found_is_served_until_it_is_forgotten(tmp_path: Path, model: str) -> None:
    before = planned(tmp_path, model)
    ended = run(tmp_path, "tune", model, "--json", *QUICK, **SLOW)
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    (network,) = document["networks"]
    assert (document["schema"], document["model"], network["name"]) == (1, "linear", "linear")
    assert document["wishes"] == {"objective": "throughput", "limit_ms": None, "concurrency": 2}
    assert network["default"]["max_delay_ms"] == 50
    best = network["best"]
    assert best["max_delay_ms"] < 50
    assert network["gain"] > 1 + network["noise"]
    assert network["table"][0]["candidate"] == best
    assert network["written"] == str(records(tmp_path)[0])

    after = planned(tmp_path, model)
    assert {name: after["models"][0][name] for name in TUNED} == {n: best[n] for n in TUNED}
    assert set(after["tuned"][0]["fields"]) == set(TUNED)
    said = planned(tmp_path, model, "--max-batch-size", "3", "--engine", "auto")
    assert (said["models"][0]["max_batch_size"], said["models"][0]["engine"]) == (3, "auto")
    assert said["models"][0]["threads"] == best["threads"]

    dry = run(tmp_path, "tune", model, "--forget", "--dry-run")
    assert dry.stdout == "linear: would forget 1 record\n"
    assert len(records(tmp_path)) == 1
    assert run(tmp_path, "tune", model, "--forget").stdout == "linear: forgot 1 record\n"
    assert records(tmp_path) == []
    assert planned(tmp_path, model) == before
    assert run(tmp_path, "tune", model, "--forget").stdout == "linear: forgot 0 records\n"


@pytest.mark.skipif(
    importlib.util.find_spec("paddle2onnx") is None, reason="paddle2onnx is for Python before 3.13"
)
def test_the_choice_of_an_engine_is_forgotten_too(tmp_path: Path) -> None:
    linear.write_program(tmp_path / "linear")
    model = str(tmp_path / "linear")
    arguments = ("tune", model, "--budget", "3", "-c", "1", "--objective", "latency")
    ended = run(tmp_path, *arguments, **TRIAL)
    assert ended.returncode == 0, ended.stderr
    assert "engine   linear: comparing" in ended.stderr
    choices = tmp_path / "cache" / "choices"
    assert len(list(choices.iterdir())) == 1
    assert run(tmp_path, "tune", model, "--forget").returncode == 0
    assert list(choices.iterdir()) == []


def test_a_person_reads_the_table_the_verdict_and_what_to_do(tmp_path: Path, model: str) -> None:
    ended = run(tmp_path, "tune", model, *QUICK, **SLOW)
    assert ended.returncode == 0, ended.stderr
    name, header, first, *rest = ended.stdout.splitlines()
    assert name == "linear"
    assert " ".join(header.split()) == (
        "ENGINE THREADS INSTANCES BATCH DELAY REQ/S P50 MS P99 MS RATIO"
    )
    assert first.split()[0] == "onnxruntime"
    assert first.split()[-1] == "best"
    assert any(line.split()[-1:] == ["now"] for line in rest)
    verdict = next(line for line in rest if line.startswith("best: onnxruntime, "))
    assert "times what is served now, noise" in verdict
    assert rest[-2:] == [
        f"serve it so: paddlesrv serve {model}",
        f"take it back: paddlesrv tune {model} --forget",
    ]
    steps = [line for line in ended.stderr.splitlines() if line.startswith("linear: ")]
    assert steps[0] == "linear:   0% what is served now"
    assert steps[-1].endswith("against what is served now")


def test_a_limit_that_nothing_keeps_changes_nothing(tmp_path: Path, model: str) -> None:
    assert run(tmp_path, "tune", model, *QUICK, **SLOW).returncode == 0
    (path,) = records(tmp_path)
    content = path.read_bytes()
    ended = run(tmp_path, "tune", model, "--limit", "0.001", *QUICK, **SLOW)
    assert ended.returncode == 1
    assert "nothing answers within 0.001 ms at the 99th percentile" in ended.stdout
    assert path.read_bytes() == content


def test_what_cannot_be_written_down_is_told_all_the_same(tmp_path: Path, model: str) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "tuned").write_text("in the way")
    ended = run(tmp_path, "tune", model, *QUICK, **SLOW)
    assert ended.returncode == 1
    assert "\nbest: onnxruntime, " in ended.stdout
    assert "serve it so" not in ended.stdout
    assert "error: what was found cannot be written down" in ended.stderr


def test_a_dry_run_tells_what_would_be_tried_and_writes_nothing(tmp_path: Path, model: str) -> None:
    arguments = ("tune", model, "--dry-run", "--concurrency", "2")
    text = run(tmp_path, *arguments).stdout.splitlines()
    document = json.loads(run(tmp_path, *arguments, "--json").stdout)
    (network,) = document["networks"]
    assert text[0] == f"linear: {len(network['candidates'])} candidates"
    assert len(text) == 2 + len(network["candidates"])
    assert text[-1] == "would search for 60 s, for throughput with 2 callers"
    assert document["budget_seconds"] == 60
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nonesuch"], 3, "nonesuch"),
        (["{model}", "picture.png"], 2, "takes tensors"),
        (["{model}", "--precision", "int8"], 6, "there is no int8 form"),
        (["{model}", "--accept"], 2, "--accept is for what is quantised now"),
        (["{model}", "--calibrate", "."], 2, "--calibrate is for models that run in int8"),
        (["{model}", "--engine", "paddle"], 6, "does not run ONNX"),
        (["{model}", "--cpu", "--gpu", "0"], 2, "--cpu and --gpu together"),
        (["{model}", "--objective", "beauty"], 2, "objective"),
        (["{model}", "--budget", "0"], 2, "budget"),
    ],
)
def test_what_cannot_be_tuned_is_refused(
    tmp_path: Path, model: str, arguments: Sequence[str], code: int, words: str
) -> None:
    ended = run(tmp_path, "tune", *(word.format(model=model) for word in arguments))
    assert words in ended.stderr
    assert ended.returncode == code
    assert records(tmp_path) == []


def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path, model: str) -> None:
    if describe().gpus.devices:
        pytest.skip("this machine has one")
    ended = run(tmp_path, "tune", model, "--gpu", "0")
    assert ended.returncode == 6, ended.stderr


def test_interrupted_it_ends_with_all_that_it_started(tmp_path: Path, model: str) -> None:
    process = subprocess.Popen(
        command("tune", model, "--engine", "onnxruntime", "--budget", "600"),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(tmp_path),
    )
    with process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if "round 1" in line:
                    break
            started = psutil.Process(process.pid).children(recursive=True)
            assert started
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    assert process.returncode == 130
    assert err.splitlines()[-1] == "interrupted; nothing was changed"
    _, alive = psutil.wait_procs(started, timeout=30)
    assert not alive
    assert records(tmp_path) == []
