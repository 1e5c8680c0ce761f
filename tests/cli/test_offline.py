"""Offline, no command opens a connection: it does what it can, or ends with exit code 4.

Real processes, in which Python itself refuses connections and writes each attempt down. Every
command must have a case: one that is new fails `test_every_command_has_a_case` until it is entered.
"""

import json
import shlex
import subprocess
from pathlib import Path

import msgspec
import pytest

from tests.cli.program import SECONDS, command, environment
from tests.server.process import serve
from tests.standins import linear
from tests.unit.cli.commands import VERBS
from tests.unit.zoo import models

ROOT = Path(__file__).parents[2]
HOOK = Path(__file__).parent / "no_network"
HERE, ABSENT = "tiny_det", "absent_det"

# Exit code -> command lines. {here} is a model that is installed, {absent} one that is not,
# {own} the directory of an own model, {picture} a picture, {out} a place to write to.
CASES: dict[str, dict[int, list[str]]] = {
    "list": {0: ["list", "list --installed --json"]},
    "ls": {0: ["ls"]},
    "search": {0: ["search tiny"]},
    "info": {0: ["info {here}", "info {absent}"], 3: ["info nonesuch"]},
    "get": {
        0: ["get {here}", "get {here} --json", "get {absent} --dry-run"],
        4: ["get {absent}", "get {absent} --json", "get {here} --force"],
    },
    "serve": {
        0: ["serve {here} --dry-run --port 0", "serve {absent} --dry-run --port 0"],
        4: ["serve {absent} --port 0", "serve {absent} --port 0 -d"],
    },
    "encrypt": {
        0: ["encrypt {here} --key-file {out}.key -o {out}.sealed"],
        2: ["encrypt {here}"],
        3: ["encrypt {absent} --key-file k"],
    },
    "ps": {0: ["ps", "ps -a --json"]},
    "logs": {3: ["logs nonesuch"]},
    "stop": {0: ["stop --all"], 3: ["stop nonesuch"]},
    "predict": {0: ["predict {here} {picture}"], 4: ["predict {absent} {picture}"]},
    "tune": {0: ["tune {here} --dry-run", "tune {here} --forget"], 4: ["tune {absent}"]},
    "bench": {4: ["bench {absent}"], 3: ["bench nonesuch"]},
    "doctor": {
        0: ["doctor --group store --group sources --group config", "doctor --fix --dry-run"]
    },
    "env": {0: ["env"]},
    "version": {0: ["version --json"]},
    "completion": {0: ["completion bash"]},
    "help": {0: ["help", "help offline"]},
    "config gen": {0: ["config gen {here}", "config gen {absent}"]},
    "config show": {0: ["config show --origin"]},
    "config path": {0: ["config path"]},
    "verify": {0: ["verify", "verify {here}"], 3: ["verify nonesuch"]},
    "rm": {0: ["rm {here} -y --dry-run"], 3: ["rm nonesuch -y"]},
    "cache df": {0: ["cache df"]},
    "cache dir": {0: ["cache dir"]},
    "cache prune": {0: ["cache prune --dry-run"]},
    "catalog show": {0: ["catalog show"]},
    "catalog check": {4: ["catalog check"]},
    "catalog update": {4: ["catalog update"]},
    "mirror": {4: ["mirror {out} {absent}"]},
    "key new": {0: ["key new alice --api-key-file {out}.keys --dry-run"]},
    "key list": {2: ["key list --api-key-file {out}.keys"]},
    "key rm": {2: ["key rm alice --api-key-file {out}.keys -y"]},
    "import": {0: ["import {own} --dry-run"]},
    "client-config": {
        0: ["client-config {here}", "client-config {absent}"],
        3: ["client-config nonesuch"],
    },
}
LINES = [
    pytest.param(line, code, id=line)
    for name, cases in CASES.items()
    if tuple(name.split()) in VERBS
    for code, lines in cases.items()
    for line in lines
]


def test_every_command_has_a_case():
    missing = {" ".join(path) for path in VERBS} - set(CASES)
    assert not missing, "enter what these do offline in CASES"


class Offline:
    """A home with one model installed, from which nobody gets out."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.seen = place / "connections"
        body = models.serving_archive(HERE)
        archive = place / f"{HERE}.tar.gz"
        archive.write_bytes(body)
        source = {"kind": "https", "sha256": models.sha256(body), "size": len(body)}
        entries = [
            models.entry(name, source | {"url": f"https://models.example/{name}.tar.gz"})
            for name in (HERE, ABSENT)
        ]
        manifest = place / "manifest.yaml"
        manifest.write_bytes(msgspec.yaml.encode({"schema": 1, "models": entries}))
        linear.write_onnx(place / "own")
        self.variables = {
            "PADDLESRV_CATALOGUE": str(manifest),
            "PADDLESRV_OFFLINE": "1",
            "CONNECTIONS_SEEN": str(self.seen),
            "PYTHONPATH": f"{HOOK}:{ROOT}",
        }
        self.words = {
            "here": HERE,
            "absent": ABSENT,
            "own": str(place / "own"),
            "picture": str(ROOT / "docs" / "images" / "hello.png"),
            "out": str(place / "out"),
        }
        fetched = self.run(f"get {HERE} --from {shlex.quote(str(archive))}")
        assert fetched.returncode == 0, fetched.stderr

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a command line offline; no connection may have been tried."""
        self.seen.unlink(missing_ok=True)
        words = [word.format(**self.words) for word in shlex.split(line)]
        ended = subprocess.run(
            command(*words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment(self.place / "home", **self.variables),
            cwd=self.place,
            timeout=SECONDS,
        )
        self.check()
        return ended

    def check(self) -> None:
        """No process has tried to get out."""
        assert not self.seen.exists(), self.seen.read_text()


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    return Offline(tmp_path_factory.mktemp("offline"))


def test_the_hook_sees_and_refuses_what_it_must(offline):
    code = (
        "import socket, sys\n"
        "one, two = socket.socketpair()\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "try: socket.create_connection(server.getsockname())\n"
        "except ConnectionRefusedError: sys.exit(7)\n"
    )
    seen = offline.place / "tried"
    env = environment(offline.place, **offline.variables | {"CONNECTIONS_SEEN": str(seen)})
    assert subprocess.run([*command()[:1], "-c", code], env=env).returncode == 7
    assert "socket.connect ('127.0.0.1'" in seen.read_text()


@pytest.mark.parametrize(("line", "code"), LINES)
def test_offline_a_command_does_what_it_can_and_asks_nobody(line, code, offline):
    ended = offline.run(line)
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    if code != 4:
        return
    if "--json" in line:
        error = json.loads(ended.stdout)["error"]
        assert error["code"] == "source-unreachable"
        assert error["hint"]
    else:
        assert ended.stderr.count("error: ") == 1
        assert "hint: " in ended.stderr


def test_offline_a_model_is_served_and_nobody_else_is_asked(offline):
    own = str(offline.place / "own")
    with serve(own, "--engine", "onnxruntime", home=offline.place / "home",
               **offline.variables) as server:  # fmt: skip
        with server.client() as client:
            assert client.get("/v2/health/ready").status_code == 200
        assert server.terminate() == 0
    offline.check()
