"""`tune`, as users meet it: it searches, remembers, `serve` uses it, and it can be taken back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.program import run
from tests.standins import linear


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an ONNX model called `price`."""
    place = tmp_path_factory.mktemp("tune")
    linear.write_onnx(place / "price")
    assert run(place / "home", "import", str(place / "price"), "--no-run").returncode == 0
    return place / "home"


def test_a_dry_run_tells_what_would_be_tried(home: Path) -> None:
    ended = run(home, "tune", "price", "--dry-run", "-c", "4")
    assert ended.returncode == 0, ended.stderr
    assert "onnxruntime, 1 thread, 1 instance, batch 4" in ended.stdout
    assert "would search for 60 s, for throughput with 4 callers" in ended.stdout


def test_it_measures_and_serve_takes_what_it_wrote(home: Path) -> None:
    ended = run(home, "tune", "price", "--budget", "8", "-c", "4", "--json")
    assert ended.returncode == 0, ended.stderr
    assert "price:   0% what is served now" in ended.stderr
    (network,) = json.loads(ended.stdout)["networks"]
    measured = [row for row in network["table"] if row["rounds"]]
    assert measured
    assert all(row["rate"] > 0 and row["p99_ms"] >= row["p50_ms"] > 0 for row in measured)
    dry = json.loads(run(home, "serve", "price", "--port", "0", "--dry-run", "--json").stdout)
    if network["written"] is None:  # nothing was better on this machine, at this moment
        assert network["best"] == network["default"]
        assert dry["tuned"] == []
    else:
        assert network["gain"] > 1 + network["noise"]
        (model,) = dry["models"]
        assert {name: model[name] for name in ("engine", "threads", "instances")} == {
            name: network["best"][name] for name in ("engine", "threads", "instances")
        }
        assert dry["tuned"][0]["model"] == "price"
    forgot = run(home, "tune", "price", "--forget")
    assert forgot.returncode == 0
    assert "price: forgot" in forgot.stdout
    dry = json.loads(run(home, "serve", "price", "--port", "0", "--dry-run", "--json").stdout)
    assert dry["tuned"] == []


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("nonesuch",), 3, "nonesuch"),
        (("price", "picture.png"), 2, "price takes tensors"),
        (("price", "--gpu", "7"), 6, "GPU 7 is not available"),
        (("price", "--precision", "int8"), 6, "there is no int8 form"),
        (("price", "--calibrate", "."), 2, "--precision int8 --calibrate DIR"),
    ],
)
def test_what_cannot_be_tuned_is_refused(home: Path, arguments, code: int, told: str) -> None:
    ended = run(home, "tune", *arguments)
    assert ended.returncode == code, ended.stderr
    assert told in ended.stderr
