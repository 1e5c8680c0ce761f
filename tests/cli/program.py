"""`python -m paddlesrv` as a process of its own, as users run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SECONDS = 120


def command(*arguments: str) -> list[str]:
    """The words of a command line."""
    return [sys.executable, "-m", "paddlesrv", *arguments]


def environment(home: Path, **more: str) -> dict[str, str]:
    """An environment without wishes of whoever runs the tests."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PADDLESRV_") and name not in ("NO_COLOR", "FORCE_COLOR")
    }
    own = {
        "PADDLESRV_HOME": str(home),
        "PADDLESRV_CHOICE_SECONDS": "0",  # what engines are worth has tests of its own
        "PYTHONWARNINGS": "error",
    }
    return kept | own | more


def run(
    home: Path, *arguments: str, stdin: bytes = b"", **more: str
) -> subprocess.CompletedProcess[str]:
    """Run one command line to its end."""
    ended = subprocess.run(
        command(*arguments),
        input=stdin,
        capture_output=True,
        env=environment(home, **more),
        timeout=SECONDS,
    )
    out, err = ended.stdout.decode(), ended.stderr.decode()
    return subprocess.CompletedProcess(ended.args, ended.returncode, out, err)
