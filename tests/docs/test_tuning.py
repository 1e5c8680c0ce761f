"""What docs/tuning.md tells people to type: it does what the page says of it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.program import run
from tests.standins import linear

PAGE = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a model called `price`, in the place of MODEL."""
    place = tmp_path_factory.mktemp("tuning")
    linear.write_onnx(place / "price")
    home = place / "home"
    assert run(home, "import", str(place / "price"), "--no-run").returncode == 0
    return home


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_taken(line: str, home: Path) -> None:
    program, *words = ("price" if word == "MODEL" else word for word in shlex.split(line))
    assert program == "paddlesrv"
    if words[0] == "serve":
        words += ["--port", "0", "--dry-run"]
    if "tune" in words and not {"--forget", "--dry-run"} & set(words):
        if "--budget" in words:
            words[words.index("--budget") + 1] = "4"
        else:
            words += ["--budget", "4"]
    ended = run(home, *words)
    assert ended.returncode == 0, ended.stderr
    assert "price" in ended.stdout
