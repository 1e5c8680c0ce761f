"""What docs/engines.md tells people to type: it does what the page says of it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from paddlesrv.engines.choice import TOLERANCE
from tests.cli.program import run
from tests.standins import linear

PAGE = (Path(__file__).parents[2] / "docs" / "engines.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a model called `price`, in the place of MODEL."""
    place = tmp_path_factory.mktemp("engines")
    linear.write_program(place / "price")
    home = place / "home"
    assert run(home, "import", str(place / "price"), "--no-run").returncode == 0
    return home


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_taken(line: str, home: Path) -> None:
    words = ["price" if word == "MODEL" else word for word in shlex.split(line)]
    variables = dict(words.pop(0).split("=") for _ in range(words[0].startswith("PADDLESRV_")))
    assert words.pop(0) == "paddlesrv"
    if words[0] == "serve":
        words += ["--port", "0", "--dry-run"]
    ended = run(home, *words, **variables)
    assert ended.returncode == 0, ended.stderr
    assert "price" in ended.stdout


def test_the_tolerances_are_those_in_force() -> None:
    for precision in ("fp32", "fp16", "bf16"):
        assert f"{TOLERANCE[precision]:g}" in PAGE
