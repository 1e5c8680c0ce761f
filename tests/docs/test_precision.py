"""What docs/precision.md tells people to type: it serves here, or is refused with a way out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import httpx
import pytest

from paddlesrv.engines.devices import describe
from paddlesrv.server.config import load_config
from tests.cli.servers import Servers
from tests.standins import convolved

PAGE = (Path(__file__).parents[2] / "docs" / "precision.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
QUANTISED = [line for line in COMMANDS if "int8" in line]
OTHERS = [line for line in COMMANDS if "int8" not in line]


@pytest.fixture
def servers(tmp_path: Path):
    """No server yet; none afterwards. The model is the stand-in classifier."""
    convolved.write(tmp_path / "colours")
    convolved.write_pictures(tmp_path / "photos")
    found = Servers(tmp_path / "home", tmp_path / "colours")
    yield found
    found.close()


def words(line: str, servers: Servers) -> list[str]:
    """The arguments of a line, with the stand-in and its pictures in the place of MODEL's."""
    meant = {"MODEL": str(servers.model), "photos": str(servers.model.parent / "photos")}
    program, *arguments = (meant.get(word, word) for word in shlex.split(line))
    assert program == "paddlesrv"
    return arguments


@pytest.mark.parametrize("line", OTHERS)
def test_a_precision_that_is_not_here_is_refused_with_what_is(line, servers):
    if describe().gpus.devices or {"avx512_bf16", "amx_bf16"} & set(describe().cpu.features):
        pytest.skip("this machine has it")
    ended = servers.run(*words(line, servers), "--dry-run")
    assert ended.returncode == 6, ended.stderr
    assert "hint: " in ended.stderr


def test_int8_is_refused_then_made_then_served_and_answers_what_is_in_the_picture(servers):
    quantising, plain = QUANTISED
    assert servers.run(*words(plain, servers), "--dry-run").returncode == 6
    ended = servers.run(*words(plain, servers), "--port", "0")
    assert ended.returncode == 6
    assert "there is no int8 form" in ended.stderr
    assert "paddlesrv serve colours --precision int8 --calibrate DIR" in ended.stderr
    ended = servers.run(*words(quantising, servers), "--port", "0", "-d", "--name", "first")
    assert ended.returncode == 0, ended.stderr
    assert "same top class 1.000 (wanted 0.950) on 24 inputs" in ended.stderr
    assert servers.run("stop", "first").returncode == 0
    ended = servers.run(*words(plain, servers), "--port", "0", "-d", "--name", "second")
    assert ended.returncode == 0, ended.stderr
    assert "same top class" not in ended.stderr  # nothing was made anew
    (server,) = servers.ps()
    for index in range(8):
        answer = httpx.post(
            f"{server['url']}/predict/colours",
            content=convolved.picture(index, seed=99),
            headers={"Content-Type": "image/png"},
            trust_env=False,
            timeout=60,
        )
        assert answer.json()["results"][0]["classes"][0]["index"] == index


def test_the_example_of_a_config_file_is_one(tmp_path: Path):
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    path = tmp_path / "paddlesrv.yaml"
    path.write_text(block)
    (model,) = load_config(path).models
    assert model.tensorrt
    assert model.tensorrt_shapes[0].max == (8, 3, 960, 960)
