"""What docs/protocols.md tells people to type works as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.process import ServerProcess, serve
from tests.standins import linear, serving_conf
from tests.standins.serving_conf import Variable

PAGE = (Path(__file__).parents[2] / "docs" / "protocols.md").read_text(encoding="utf-8")
ADDRESS = "127.0.0.1:9393"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


SHELL = [line for block in blocks("sh") for line in block.splitlines()]
CURLS = [line for line in SHELL if line.startswith("curl ")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    root = tmp_path_factory.mktemp("protocols-page")
    linear.write_program(root / "uci")
    spec = linear.spec(root / "uci")
    serving_conf.write(
        root / "uci",
        [Variable(spec.inputs[0].name, "x", (13,))],
        [Variable(spec.outputs[0].name, "price", (1,))],
    )
    with serve(str(root / "uci"), home=root) as running:
        yield running


def test_the_page_serves_what_its_examples_ask() -> None:
    assert [line for line in SHELL if line not in CURLS] == ["paddlesrv serve ./uci"]


@pytest.mark.parametrize("line", CURLS)
def test_curl_is_answered(server: ServerProcess, line: str) -> None:
    done = subprocess.run(
        ["bash", "-c", line.replace(ADDRESS, server.url.removeprefix("http://")) + " -sS -f"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert re.search('"(uci|price|predictions)"', done.stdout)


@pytest.mark.parametrize("code", blocks("python"))
def test_python_is_answered(server: ServerProcess, code: str) -> None:
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    code = code.replace(ADDRESS, f"{host}:{port}").replace('"127.0.0.1", 9393', f'"{host}", {port}')
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"\d+\.\d+", done.stdout)
