"""The Java client, compiled once."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.clients.driver import Driver

ROOT = Path(__file__).parents[2] / "clients" / "java"
MAIN = ROOT / "src" / "main" / "java"
TEST = ROOT / "src" / "test" / "java"
PACKAGE = "io.paddlesrv.client"


def tool(name: str) -> str:
    """A program of the JDK; without it the client is not tested, which is a failure."""
    found = shutil.which(name)
    assert found, f"there is no {name}: apt-get install default-jdk-headless (JDK 11 or later)"
    return found


def run(*words: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; what it prints is UTF-8."""
    return subprocess.run(
        [str(word) for word in words], cwd=cwd, capture_output=True, text=True, encoding="utf-8"
    )


def sources(directory: Path) -> list[Path]:
    """All Java files below a directory."""
    return sorted(directory.rglob("*.java"))


def compile_all(place: Path) -> Path:
    """Compile client and tests for Java 11; a warning is an error. What goes on the class path."""
    for source in (MAIN, TEST):
        ended = run(
            tool("javac"), "--release", "11", "-Xlint:all", "-Werror", "-encoding", "UTF-8",
            "-cp", place, "-d", place, *sources(source),
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout + ended.stderr
    return place


def drive(classes: Path) -> Driver:
    """The Java program that does what it is told."""
    return Driver(tool("java"), "-Xmx512m", "-cp", classes, f"{PACKAGE}.Driver")
