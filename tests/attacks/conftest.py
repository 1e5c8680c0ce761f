"""A command line with a store and a catalogue of its own, and things around it to hit."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from paddlesrv.settings import SETTINGS
from tests.unit.cli.program import Program
from tests.unit.zoo.models import entry

MODEL = "victim"


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with everything in it: the store below `a/b/home`, and things to hit around."""
    for name in (*(setting.env for setting in SETTINGS), "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "a" / "b" / "here").mkdir(parents=True)
    (tmp_path / "a" / "evil").write_text("not to be touched")
    (tmp_path / "given").mkdir()
    manifest = tmp_path / "manifest.yaml"
    source = {"kind": "https", "url": "https://models.invalid/victim.bin"}
    manifest.write_bytes(msgspec.yaml.encode({"schema": 1, "models": [entry(MODEL, source)]}))
    monkeypatch.setenv("PADDLESRV_CATALOGUE", str(manifest))
    monkeypatch.setenv("PADDLESRV_HOME", str(tmp_path / "a" / "b" / "home"))
    monkeypatch.chdir(tmp_path / "a" / "b" / "here")
    return tmp_path


@pytest.fixture
def paddlesrv(surroundings: Path, capsys: pytest.CaptureFixture[str]) -> Program:
    """The command line."""
    return Program(capsys)
