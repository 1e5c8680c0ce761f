"""`--engine auto`, as users meet it: the first start finds the engine, later ones know it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from tests.cli.program import run
from tests.standins import linear

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("paddle2onnx") is None, reason="paddle2onnx is for Python before 3.13"
)

# The converter itself warns.
TRIAL = {"PADDLESRV_CHOICE_SECONDS": "100", "PYTHONWARNINGS": "default"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """With a Paddle model called `price`."""
    linear.write_program(tmp_path / "price")
    home = tmp_path / "home"
    assert run(home, "import", str(tmp_path / "price"), "--no-run").returncode == 0
    return home


def test_the_first_start_finds_the_engine_and_info_tells_why(home: Path) -> None:
    before = run(home, "serve", "price", "--port", "0", "--dry-run", **TRIAL)
    assert "the fastest engine that answers right, found at the first start" in before.stdout

    first = run(home, "serve", "price", "--port", "0", "-d", **TRIAL)
    assert first.returncode == 0, first.stderr
    try:
        assert "engine   price: converting it to ONNX" in first.stderr
        assert "engine   price: comparing paddle, onnxruntime" in first.stderr
        assert "paddle at batch 1)" in first.stderr
    finally:
        assert run(home, "stop", "--all").returncode == 0

    told = run(home, "info", "price").stdout
    assert "engine" in told
    assert "against paddle" in told
    (choice,) = json.loads(run(home, "info", "price", "--json").stdout)["engine_choices"]
    assert choice["in_force"]
    assert choice["engine"] != "paddle"

    again = run(home, "serve", "price", "--port", "0", "--dry-run", **TRIAL)
    assert f"engine {choice['engine']}" in again.stdout
    named = run(home, "serve", "price", "--port", "0", "--engine", "paddle", "--dry-run", **TRIAL)
    assert "engine paddle" in named.stdout


def test_it_can_be_left_out(home: Path) -> None:
    ended = run(home, "serve", "price", "--port", "0", "-d", PADDLESRV_CHOICE_SECONDS="0")
    try:
        assert ended.returncode == 0, ended.stderr
        assert "comparing" not in ended.stderr
        assert "engine paddle" in ended.stderr
    finally:
        assert run(home, "stop", "--all").returncode == 0


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf"])
def test_a_time_that_is_none_is_refused(value: str, tmp_path: Path) -> None:
    ended = run(tmp_path, "serve", "ocr", "--dry-run", PADDLESRV_CHOICE_SECONDS=value)
    assert ended.returncode == 2
    assert f"PADDLESRV_CHOICE_SECONDS is '{value}', not a number from 0" in ended.stderr
