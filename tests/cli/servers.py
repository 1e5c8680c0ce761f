"""Detached servers for tests: started as users start them, and none of them left behind."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.cli.program import command, environment, run


class Servers:
    """What runs below one `PADDLESRV_HOME`, and commands about it."""

    def __init__(self, home: Path, model: Path) -> None:
        self.home = home
        self.model = model

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """One command to its end."""
        return run(self.home, *arguments, **more)

    def arguments(self, *flags: str) -> list[str]:
        """`serve` on a free port, unless the flags name another."""
        return ["serve", str(self.model), "--engine", "onnxruntime", "--port", "0", *flags]

    def serve(self, *flags: str) -> subprocess.CompletedProcess[str]:
        """`serve -d` to its end."""
        return self.run(*self.arguments("-d", *flags))

    def started(self, *flags: str) -> dict[str, Any]:
        """`serve -d --json`, which must work; what it says."""
        ended = self.serve("--json", *flags)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        """A command that goes on."""
        return subprocess.Popen(
            command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(self.home, PYTHONUNBUFFERED="1"),
        )

    def ps(self, *flags: str, **more: str) -> list[dict[str, Any]]:
        """What `ps --json` lists."""
        ended = self.run("ps", "--json", *flags, **more)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)["servers"]

    def record(self, name: str) -> Path:
        """Where a server's record lies."""
        return self.home / "state" / "servers" / f"{name}.json"

    def log(self, name: str) -> Path:
        """Where a server's log lies."""
        return self.home / "state" / "logs" / f"{name}.log"

    def records(self) -> list[str]:
        """Everything in the directory of records."""
        folder = self.home / "state" / "servers"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def processes(self) -> list[psutil.Process]:
        """Every process that works for this home: servers, fork servers, workers, commands."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("PADDLESRV_HOME") == str(self.home):
                    found.append(process)
        return found

    def close(self) -> None:
        """Kill what is left."""
        left = self.processes()
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=30)


def tree(pid: int) -> list[psutil.Process]:
    """A process and all that it started."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def gone(processes: list[psutil.Process]) -> bool:
    """Whether they have ended, after a moment at most."""
    return not psutil.wait_procs(processes, timeout=30)[1]


@contextlib.contextmanager
def half_a_request(url: str) -> Iterator[None]:
    """A connection on which a request has begun that does not end."""
    import socket

    host, port = url.removeprefix("http://").rsplit(":", 1)
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"POST /v2/models/linear/infer HTTP/1.1\r\ncontent-length: 10\r\n\r\n{")
        httpx.get(f"{url}/v2/health/live", trust_env=False)
        yield
