"""A command line with a store of its own, whatever the environment of whoever runs the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddlesrv.settings import SETTINGS
from tests.unit.cli.program import Program


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty `PADDLESRV_HOME`, and a current directory without a config file."""
    for name in (*(setting.env for setting in SETTINGS), "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PADDLESRV_HOME", str(tmp_path / "home"))
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    return tmp_path / "home"


@pytest.fixture
def paddlesrv(home: Path, capsys: pytest.CaptureFixture[str]) -> Program:
    """The command line."""
    return Program(capsys)
