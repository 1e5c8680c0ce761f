"""What docs/encrypted-models.md tells people to type works, in this order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import msgspec
import pytest

from paddlesrv.server.config import convert_config
from tests.cli.program import run
from tests.cli.servers import Servers
from tests.cli.test_encrypted import free_port

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "encrypted-models.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.models
def test_every_command_works(
    model_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (commands,) = blocks("sh")
    picture = "docs/images/hello.png"
    (tmp_path / "docs" / "images").mkdir(parents=True)
    (tmp_path / picture).symlink_to(ROOT / picture)
    monkeypatch.chdir(tmp_path)
    port = str(free_port())
    servers = Servers(model_home, tmp_path / "ocr.sealed")
    said = ""
    for line in commands.splitlines():
        program, *words = shlex.split(line.replace(":9393", f":{port}"))
        assert program == "paddlesrv"
        words += ["--port", port] if words[0] == "serve" else []
        ended = run(model_home, *words, PYTHONPATH=str(ROOT))
        if ended.returncode:
            servers.close()
        assert ended.returncode == 0, f"{line}\n{ended.stdout}{ended.stderr}"
        said += ended.stdout
    assert "HelloPaddle" in said


def test_the_configuration_is_one() -> None:
    (text,) = blocks("yaml")
    config = convert_config(msgspec.yaml.decode(text), "the page")
    assert config.key_file == "/run/secrets/paddlesrv/model.key"
    assert config.models[0].name == "ocr"
