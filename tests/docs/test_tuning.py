"""What docs/tuning.md tells people to type works, in this order, on a model with a task."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.cli.program import run
from tests.standins import convolved

PAGE = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
NO_SEARCH = ("--dry-run", "--forget")
"""Commands with one of these search for nothing."""


def test_every_command_works_as_it_stands_but_for_its_time(tmp_path: Path) -> None:
    convolved.write(tmp_path / "colours")
    convolved.write_pictures(tmp_path / "photos")
    (tmp_path / "picture.png").write_bytes(convolved.picture(0))
    meant = {
        "MODEL": str(tmp_path / "colours"),
        "photos": str(tmp_path / "photos"),
        "picture.png": str(tmp_path / "picture.png"),
    }
    assert len(COMMANDS) == 8
    for line in COMMANDS:
        program, *words = (meant.get(word, word) for word in shlex.split(line))
        assert program == "paddlesrv"
        searched = words[0] == "tune" and not set(words) & set(NO_SEARCH)
        if words[0] == "serve":
            words += ["--port", "0"]
        ended = run(tmp_path / "home", *words, *(["--budget", "4"] if searched else []))
        assert ended.returncode == 0, f"{line}\n{ended.stdout}{ended.stderr}"
        if searched:
            assert "stays as it is: " in ended.stdout or "best: " in ended.stdout
        if "--precision" in words:
            assert "onnxruntime int8" in ended.stdout
    assert ended.stdout.startswith("colours: forgot ")
    assert list((tmp_path / "home" / "cache" / "tuned").glob("*")) == []
