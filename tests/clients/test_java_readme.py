"""What the Java client's README says is compiled and run; so is the project for Maven."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.clients import java
from tests.clients.conftest import PICTURE
from tests.server.process import ServerProcess
from tests.standins import linear

README = (java.ROOT / "README.md").read_text(encoding="utf-8")
MAVEN = Path("/usr/share/maven-repo")
"""Where Debian's packages lay what Maven needs, so that it can do without a network."""

IMPORTS = """
import io.paddlesrv.client.*;
import java.nio.file.Path;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.CompletableFuture;
import javax.net.ssl.SSLContext;
"""


def blocks(language: str) -> list[str]:
    """The README's blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the client, where builds may leave what they make."""
    copy = tmp_path / "java"
    shutil.copytree(java.ROOT, copy, ignore=shutil.ignore_patterns("build", "target"))
    return copy


def test_the_commands_build_the_client_and_ask_a_server(
    project: Path, clients_server: ServerProcess
) -> None:
    told = {
        "http://127.0.0.1:9393": clients_server.url,
        "uci_housing": "linear",
        "resnet50 cat.jpg": f"colours {shlex.quote(str(PICTURE))}",
    }
    script = "".join(block for block in blocks("sh") if not block.startswith("mvn"))
    for word, instead in told.items():
        assert word in script
        script = script.replace(word, instead)
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=project, capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    described, numbers, *classes = ended.stdout.splitlines()
    assert described == "linear [x FP32 [-1, 13]] -> [y FP32 [-1, 1]]"
    (name, values) = numbers.split(" = ")
    ones = np.ones((2, linear.FEATURES), np.float32)
    found = [float(value) for value in values.strip("[]").split(", ")]
    assert name == "y"
    assert found == pytest.approx(linear.expected(ones).ravel().tolist(), rel=1e-5)
    with clients_server.client() as client:
        answer = client.post("/predict/colours", content=PICTURE.read_bytes()).json()
    known = answer["results"][0]["classes"]
    assert len(known) == 3
    assert classes == [f"{each['score']:.4f}  {each['label']}" for each in known]
    assert (project / "build" / "doc" / "index.html").is_file()


def test_every_piece_of_java_compiles(java_classes: Path, tmp_path: Path) -> None:
    pieces = blocks("java")
    assert len(pieces) == 5
    for number, piece in enumerate(pieces):
        own = "PaddlesrvClient client =" in piece
        given = "float[] features" if own else "PaddlesrvClient given, float[] features"
        first = "" if "client =" in piece else "PaddlesrvClient client = given;"
        (tmp_path / f"Piece{number}.java").write_text(
            f"{IMPORTS}class Piece{number} {{ void run({given}) throws Exception {{\n"
            f"{first}\n{piece}\n}} }}\n",
            encoding="utf-8",
        )
    ended = java.run(
        java.tool("javac"), "--release", "11", "-cp", java_classes, "-d", tmp_path / "out",
        *java.sources(tmp_path),
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_maven_builds_it_without_a_network(project: Path, tmp_path: Path) -> None:
    plugins = MAVEN / "org" / "apache" / "maven" / "plugins"
    versions = {}
    for name in ("resources", "compiler", "surefire", "jar"):
        place = plugins / f"maven-{name}-plugin"
        assert place.is_dir(), f"apt-get install maven and its plugins: there is no {place}"
        # The other versions that lie there only point to this one.
        (versions[name],) = {jar.parent.name for jar in place.glob("*/*.jar")}
    repository = tmp_path / "repository"
    _link_tree(MAVEN, repository)
    ended = java.run(
        java.tool("mvn"), "-q", "-B", "-o", f"-Dmaven.repo.local={repository}",
        *(f"-D{name}.version={version}" for name, version in versions.items()), "package",
        cwd=project,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (made,) = (project / "target").glob("*.jar")
    assert made.name == "paddlesrv-client-0.1.0.jar"
    assert made.name in README
    with zipfile.ZipFile(made) as jar:
        names = set(jar.namelist())
    assert {"module-info.class", "io/paddlesrv/client/PaddlesrvClient.class"} <= names
    assert not [name for name in names if "Driver" in name], "tests are in the library"


def _link_tree(source: Path, target: Path) -> None:
    """Directories of our own with links to the files: Maven writes beside what it reads."""
    for folder, _, files in os.walk(source, followlinks=True):
        place = target / Path(folder).relative_to(source)
        place.mkdir(parents=True)
        for file in files:
            (place / file).symlink_to(Path(folder) / file)
