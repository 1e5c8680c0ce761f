"""`paddlesrv serve` as a process of its own, as users run it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx


class ServerProcess:
    """A running server: its address, its process, and what it printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.output: list[str] = []
        self.url = ""
        self._ready = threading.Event()
        self._printed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_ready(self, seconds: float = 120) -> None:
        """Until it says that it is ready, or has ended."""
        if not self._ready.wait(seconds) or not self.url:
            raise AssertionError("the server did not start:\n" + "".join(self.output))

    def prints(self, text: str, seconds: float = 30) -> bool:
        """Whether it has printed that, or does so within a time."""
        with self._printed:
            return self._printed.wait_for(lambda: text in "".join(self.output), seconds)

    def terminate(self, seconds: float = 30) -> int:
        """SIGTERM; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def close(self) -> None:
        """Once the process has ended: read what is left, let go of the pipe."""
        self._reader.join()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def client(self, **options: object) -> httpx.Client:
        """An HTTP client for it."""
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, **options)  # type: ignore[arg-type]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._printed:
                self.output.append(line)
                self._printed.notify_all()
            found = re.search(r"serving\s+(https?://\S+)", line)
            if found:
                self.url = found[1]
            if re.match(r"ready in", line):
                self._ready.set()
        self._ready.set()


@contextlib.contextmanager
def serve(*arguments: str, home: Path | None = None, **variables: str) -> Iterator[ServerProcess]:
    """Run `paddlesrv serve ARGUMENTS --port 0` until the block ends, with these variables set."""
    environment = dict(os.environ, PYTHONUNBUFFERED="1", NO_COLOR="1", **variables)
    if home is not None:
        environment["PADDLESRV_HOME"] = str(home)
    process = subprocess.Popen(
        [sys.executable, "-m", "paddlesrv", "serve", *arguments, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    server = ServerProcess(process)
    try:
        server.wait_ready()
        yield server
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        server.close()
