"""Virtual environments of the peers: made once, kept below a cache directory, versions pinned."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

MAKING_SECONDS = 1500.0
_COMPLETE = "installed.txt"
"""Written last: what pip installed, in full."""


class CannotInstall(Exception):
    """A peer does not install here; the text says why."""


def cache_dir() -> Path:
    """Where environments and networks of benchmarks are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "paddlesrv-benchmarks"


def engine_pin() -> str:
    """The requirement that gives a peer the very ONNX Runtime that this process has."""
    return f"onnxruntime=={version('onnxruntime')}"


def make(name: str, packages: Sequence[str], python: str | None, home: Path) -> Path:
    """The interpreter of a peer's environment, which is made if it is not there.

    Args:
        name: The peer's name.
        packages: Requirements with versions. One that begins with `--no-deps ` is installed
            without what it asks for, after all others.
        python: `3.8`: an interpreter of that version is looked for. A path: that one. None: ours.
        home: Where environments are kept.

    Raises:
        CannotInstall: no such interpreter, or pip fails.
    """
    interpreter = find_python(python)
    key = hashlib.sha256("\n".join([interpreter, *packages]).encode()).hexdigest()[:8]
    place = home / "peers" / f"{name}-{key}"
    inside = place / "bin" / "python"
    if (place / _COMPLETE).is_file():
        return inside
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        _install(interpreter, place, packages)
    except CannotInstall:
        shutil.rmtree(place, ignore_errors=True)
        raise
    return inside


def _install(interpreter: str, place: Path, packages: Sequence[str]) -> None:
    inside = place / "bin" / "python"
    _run([interpreter, "-m", "venv", "--clear", str(place)])
    pip = [str(inside), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    # Where there is no wheel of these for a Python, it is the wrong Python; they take an hour.
    pip.append("--only-binary=numpy,onnxruntime,grpcio,paddlepaddle")
    usual = [p for p in packages if not p.startswith("--no-deps ")]
    bare = [p.removeprefix("--no-deps ") for p in packages if p.startswith("--no-deps ")]
    if usual:
        _run([*pip, *usual])
    if bare:
        _run([*pip, "--no-deps", *bare])
    frozen = subprocess.run(
        [str(inside), "-m", "pip", "freeze"], capture_output=True, text=True, check=False
    )
    (place / _COMPLETE).write_text(frozen.stdout)


def find_python(wanted: str | None) -> str:
    """An interpreter of a version, of those in PATH, of pyenv or of uv.

    Raises:
        CannotInstall: there is none.
    """
    if wanted is None:
        return sys.executable
    if not re.fullmatch(r"3\.\d+", wanted):
        return wanted
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    candidates = [shutil.which(f"python{wanted}")]
    candidates += [str(p / "bin" / "python") for p in sorted(pyenv.glob(f"{wanted}.*"))]
    if uv := shutil.which("uv"):
        found = subprocess.run(
            [uv, "python", "find", wanted], capture_output=True, text=True, check=False
        )
        candidates.append(found.stdout.strip())
    for candidate in filter(None, candidates):
        # Those in PATH may be stand-ins that only say which versions there are.
        if version_of(candidate) == wanted:
            return str(candidate)
    raise CannotInstall(f"needs Python {wanted}, which is not on this machine")


def version_of(interpreter: str) -> str:
    """`3.11`; empty if it does not run."""
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run(
            [interpreter, "-c", program], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            list(command),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=MAKING_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotInstall(str(error)) from None
    if done.returncode:
        raise CannotInstall(last_error(done.stdout))


def last_error(output: str) -> str:
    """The line of pip's output that says most: the last of its errors, or the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() or "Could not" in line]
    return (errors or lines or ["it says nothing"])[-1][:300]
