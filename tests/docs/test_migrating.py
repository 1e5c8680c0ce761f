"""What docs/migrating-from-paddle-serving.md tells people to type works, and leaves nothing out."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from paddlesrv.server.config import convert_config
from paddlesrv.server.pipeline_config import Dag, LocalService, Op, PipelineConfig, Tracer
from paddlesrv.server.pipeline_translation import translate
from paddlesrv.yaml_file import read_yaml
from tests import packages
from tests.cli.program import run
from tests.server.process import ServerProcess, serve
from tests.standins import converted

PAGE = Path(__file__).parents[2] / "docs" / "migrating-from-paddle-serving.md"
TEXT = PAGE.read_text(encoding="utf-8")
ADDRESS = "127.0.0.1:9393"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


SHELL = [line for block in blocks("sh") for line in block.splitlines()]
CURLS = [line for line in SHELL if line.startswith("curl ")]
PIPELINE, OWN, PROBES = blocks("yaml")
SERVED = "paddlesrv serve uci"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the page's reader has: a converted model, and the page's config files."""
    place = tmp_path_factory.mktemp("migrating-page")
    converted.write_housing(place / "uci")
    (place / "config.yml").write_text(PIPELINE)
    (place / "paddlesrv.yaml").write_text(OWN)
    return place


@pytest.fixture(scope="module")
def server(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    home = tmp_path_factory.mktemp("home")
    assert run(home, "import", str(place / "uci")).returncode == 0
    with serve("uci", home=home) as running:
        yield running


def test_every_command_is_one_that_is_run_here() -> None:
    rest = [line for line in SHELL if line not in CURLS]
    assert rest[:2] == ["paddlesrv import ./uci", SERVED]
    assert all(line.endswith(" --dry-run") for line in rest[2:])


@pytest.mark.parametrize("line", [line for line in SHELL if line not in (*CURLS, SERVED)])
def test_paddlesrv_takes_the_command(line: str, place: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "paddlesrv", *line.split()[1:]]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        words,
        cwd=place,
        capture_output=True,
        text=True,
        env={"PADDLESRV_HOME": str(tmp_path), "PYTHONPATH": f"{root}:{root}/clients/python"},
    )
    assert done.returncode == 0, done.stderr
    assert "uci" in done.stdout


@pytest.mark.parametrize("line", CURLS)
def test_old_clients_are_answered(server: ServerProcess, line: str) -> None:
    address = server.url.removeprefix("http://")
    done = subprocess.run(
        ["bash", "-c", line.replace(ADDRESS, address) + " -sS -f"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr + done.stdout
    said = json.loads(done.stdout)
    assert "price" in str(said)


@pytest.mark.parametrize("code", blocks("python"))
def test_new_clients_are_answered(server: ServerProcess, code: str) -> None:
    code = code.replace(ADDRESS, server.url.removeprefix("http://"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"\d+\.\d+", done.stdout)) == 2


def test_the_two_configs_say_the_same(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    theirs = convert_config(translate(read_yaml(Path("config.yml"))).file().data, "theirs")
    ours = convert_config(yaml.safe_load(OWN), "ours")
    assert theirs == ours


def test_probes_are_answered(server: ServerProcess) -> None:
    with server.client() as client:
        for probe in yaml.safe_load(PROBES).values():
            assert client.get(probe["httpGet"]["path"]).status_code == 200


def test_every_flag_of_the_ancestors_server_is_accounted_for() -> None:
    source = packages.unpacked("paddle-serving-server") / "paddle_serving_server" / "serve.py"
    flags = {
        node.args[0].value
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") == "add_argument"
        and isinstance(node.args[0], ast.Constant)
    }
    flags = {flag for flag in flags if isinstance(flag, str) and flag.startswith("--")}
    assert len(flags) > 30
    assert {flag for flag in flags if not re.search(rf"`[^`]*{flag}\b[^`]*`", TEXT)} == set()


KINDS = (PipelineConfig, Dag, Tracer, Op, LocalService)
KEYS = {name for kind in KINDS for name in kind.__struct_fields__}
SECTIONS = {"dag", "op", "local_service_conf", "interval_s"}


def test_every_key_of_a_pipeline_is_in_the_table() -> None:
    assert {key for key in KEYS - SECTIONS if not re.search(rf"`[^`]*\b{key}`", TEXT)} == set()


def test_every_key_that_the_ancestor_checks_is_read() -> None:
    folder = packages.unpacked("paddle-serving-server") / "paddle_serving_server" / "pipeline"
    checked = set()
    for node in ast.walk(ast.parse((folder / "pipeline_server.py").read_text())):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            (target,) = node.targets
            if getattr(target, "id", "") in ("conf_type", "default_conf"):
                checked |= {key.value for key in node.value.keys if isinstance(key, ast.Constant)}
    assert {"worker_num", "channel_size", "auto_batching_timeout", "use_mkldnn"} <= checked
    assert checked - KEYS == set()


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)[^)]*\)", TEXT))
def test_links_lead_somewhere(target: str) -> None:
    assert (PAGE.parent / target).exists()
