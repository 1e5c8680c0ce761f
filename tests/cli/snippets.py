"""Running what `paddlesrv client-config` prints, as its first lines and its JSON say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cli.program import run

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Bench:
    """Where programs are saved and run: the clients for Java and C++ are there, and a home."""

    home: Path
    jar: Path
    cpp: Path
    """Where the C++ client is installed."""

    def config(self, *arguments: str) -> dict[str, Any]:
        """`client-config --json`, which must work."""
        ended = run(self.home, "client-config", *arguments, "--json")
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    def ask(self, place: Path, *arguments: str) -> str:
        """Save the program, run it as it says, and take what it prints."""
        told = self.config(*arguments)
        for name, text in told["files"].items():
            (place / name).write_text(text, encoding="utf-8")
        return self.shell(place, "-euo", "pipefail", "-c", "\n".join(told["run"]))

    def shell(self, place: Path, *flags: str, stdin: str = "") -> str:
        """Bash in a directory with the clients at hand; what it prints."""
        jar = place / self.jar.name
        if not jar.exists():
            jar.symlink_to(self.jar)
        found = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "clients" / "python"),
            "PKG_CONFIG_PATH": str(self.cpp / "lib" / "pkgconfig"),
            "LC_ALL": "C.UTF-8",
        }
        ended = subprocess.run(
            ["bash", *flags],
            cwd=place, env={**os.environ, **found}, input=stdin, capture_output=True,
            encoding="utf-8",
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout


def words(text: str) -> list[str | float]:
    """The numbers and words of a text, whatever is between them."""
    found: list[str | float] = []
    for word in re.split(r"[\s\[\](),]+", text):
        try:
            found.append(float(word))
        except ValueError:
            found += [word] if word else []
    return found
