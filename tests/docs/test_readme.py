"""What the README tells people to type works as it stands there (its first two blocks: in CI)."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.process import serve

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.models


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


INSTALL, TEST, DAILY, ASKING, PROGRAM, BENCH = blocks("sh")
COMMANDS = [line.partition(" #")[0].strip() for line in DAILY.splitlines() if line.strip()]
SERVING = [line for line in COMMANDS if re.search(r"(^|&& )paddlesrv serve ", line)]
PLAIN = [line for line in COMMANDS if line not in SERVING]


@pytest.fixture
def shell(tmp_path: Path, model_home: Path):
    """Run a line as it stands, in a directory where its paths are, with `paddlesrv` on the path."""
    program = tmp_path / "bin" / "paddlesrv"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m paddlesrv "$@"\n')
    program.chmod(0o755)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    environment = {
        **os.environ,
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PADDLESRV_HOME": str(model_home),
        "NO_COLOR": "1",
    }

    def run(line: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize("line", PLAIN)
def test_a_daily_command_works_as_it_stands(shell, line: str) -> None:
    if line.startswith("paddlesrv doctor"):
        line += " --group python --group store"  # ports and disks are this machine's own matter
    assert shell(line)


def test_what_is_served_can_be_asked_as_the_readme_says(shell, model_home: Path) -> None:
    names = next(line for line in SERVING if "&&" not in line).split()[2:]
    with serve(*names, home=model_home) as server:
        address = server.url.removeprefix("http://")
        for line in ASKING.splitlines():
            answer = shell(line.replace("127.0.0.1:9393", address))
            assert '"error"' not in answer
        (python,) = blocks("python")
        code = python.replace("127.0.0.1:9393", address)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "(1, 40, 6625)"


def test_the_program_that_is_printed_asks_the_server(shell, model_home: Path) -> None:
    with serve("ocr", home=model_home) as server:
        line = PROGRAM.partition(" #")[0]
        code = shell(f"{line} --url {server.url}").replace(
            "picture.png", f"{ROOT}/docs/images/hello.png"
        )
        read = shell(f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}")
    assert "HelloPaddle" in read


def test_a_server_is_measured_as_it_says(shell, model_home: Path) -> None:
    with serve("ocr", home=model_home) as server:
        table = shell(BENCH.replace("http://127.0.0.1:9393", server.url))
    rows = [line.split() for line in table.splitlines()]
    assert rows[0][:2] == ["CONC", "REQ/S"]
    assert [(row[0], row[-1]) for row in rows[1:]] == [("1", "0"), ("4", "0")]


def test_servers_that_go_on_by_themselves_are_seen_read_and_stopped_as_it_says(shell) -> None:
    (block,) = blocks("console")
    lines = [line[2:].partition(" #")[0].strip() for line in block.splitlines()]
    start, look, read, stop = lines
    # A port and a name of the test's own; and what follows for ever is read once.
    name = "readme-ocr"
    assert name in shell(f"{start} --port 0 --name {name}")
    try:
        assert name in shell(look)
        assert "ready on http" in shell(read.replace(" ocr -f", f" {name}"))
    finally:
        shell(stop.replace(" ocr", f" {name}"))
    assert name not in shell(look)


def test_a_config_file_is_generated_and_served(shell, tmp_path: Path, model_home: Path) -> None:
    (line,) = [line for line in SERVING if "&&" in line]
    generate, start = line.split(" && ")
    shell(generate)
    written = tmp_path / "paddlesrv.yaml"
    assert start.split()[:3] == ["paddlesrv", "serve", "--config"]
    with serve("--config", str(written), home=model_home) as server, server.client() as client:
        assert client.get("/v2/health/ready").json() == {"ready": True}
