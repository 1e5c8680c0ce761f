"""The C++ client, built once by CMake, and its driver."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.clients.driver import Driver

ROOT = Path(__file__).parents[2] / "clients" / "cpp"
SANITIZERS = "address,undefined"


def tool(name: str) -> str:
    """A program of the toolchain; without it the client is not tested, which is a failure."""
    found = shutil.which(name)
    assert found, (
        f"there is no {name}: apt-get install g++ cmake pkg-config libcurl4-openssl-dev zlib1g-dev"
    )
    return found


def run(*words: str | Path, cwd: Path = ROOT) -> str:
    """Run a program to its end; what it prints, warnings and all."""
    ended = subprocess.run(
        [str(word) for word in words], cwd=cwd, capture_output=True, text=True, encoding="utf-8"
    )
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-4000:]
    return ended.stdout + ended.stderr


def build(place: Path, *settings: str, source: Path = ROOT) -> Path:
    """Configure and build; where it was built."""
    tool("g++")
    run(tool("cmake"), "-S", source, "-B", place, *(f"-D{setting}" for setting in settings))
    run(tool("cmake"), "--build", place, "-j", "2")
    return place


def drive(place: Path) -> Driver:
    """The C++ program that does what it is told; a warning is an error, and so is a leak."""
    build(
        place, "PADDLESRV_CLIENT_TESTS=ON", "PADDLESRV_CLIENT_STRICT=ON", "CMAKE_BUILD_TYPE=Debug",
        f"PADDLESRV_CLIENT_SANITIZE={SANITIZERS}",
    )  # fmt: skip
    return Driver(place / "tests" / "paddlesrv_client_driver")
