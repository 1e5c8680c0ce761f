"""A command line with a store of its own, whatever the environment of whoever runs the tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.program import Program
from tests.unit.cli.shelf import Shelf
from tests.unit.zoo.web import Web


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty `PADDLESRV_HOME`, and a current directory without a config file."""
    own = [name for name in os.environ if name.startswith("PADDLESRV_")]
    for name in (*own, "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PADDLESRV_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PADDLESRV_CHOICE_SECONDS", "0")
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    return tmp_path / "home"


@pytest.fixture
def paddlesrv(home: Path, capsys: pytest.CaptureFixture[str]) -> Program:
    """The command line."""
    return Program(capsys)


@pytest.fixture
def web() -> Iterator[Web]:
    """A web server on this machine, empty at first."""
    with Web() as server:
        yield server


@pytest.fixture
def shelf(home: Path, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """A small zoo to get models from."""
    return Shelf(web, tmp_path, monkeypatch)
