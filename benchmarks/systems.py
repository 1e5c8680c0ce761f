"""Servers under test: starting, asking, stopping, and the CPU time that they used."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.load import Target

HERE = Path(__file__).parent
PEER_PACKAGES = {
    "mosec": ["mosec==0.9.8", "onnxruntime", "numpy"],
    "litserve": ["litserve==0.2.19", "onnxruntime", "numpy"],
    "triton": ["nvidia-pytriton==0.7.0", "onnxruntime", "numpy"],
}
START_TIMEOUT = 90.0


class System:
    """A server in a process of its own (and of its children), and the request that loads it."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        target: Target,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        self.name = name
        self.target = target
        self._log = log
        with (log or Path(os.devnull)).open("wb") as output:
            self._process = subprocess.Popen(
                list(command),
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def answer(self) -> bytes:
        """Its answer to the request, once it gives one.

        Raises:
            RuntimeError: it ended, or did not answer in time.
        """
        deadline = time.monotonic() + START_TIMEOUT
        problem: Exception | None = None
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.name} ended: {self._last_words()}")
            try:
                return post(self.target)
            except (urllib.error.URLError, OSError) as error:
                problem = error
                time.sleep(0.2)
        raise RuntimeError(f"{self.name} does not answer: {problem}; {self._last_words()}")

    def cpu_seconds(self) -> float:
        """CPU time of the server's processes since they started (Linux: /proc/PID/stat)."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                # The name, in brackets, may hold blanks. See proc(5): session is field 6,
                # user and system time are fields 14 and 15.
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == self._process.pid:
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it with all its children."""
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        # LitServe's workers outlive the process that started them; all are in one group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _last_words(self) -> str:
        return self._log.read_text(errors="replace")[-600:] if self._log else ""


def post(target: Target) -> bytes:
    """Send the request once; the answer's body."""
    request = urllib.request.Request(
        target.url, target.body, {"content-type": target.content_type}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        content: bytes = response.read()
    return content


def free_port() -> int:
    """A port that nobody listens on, nor on the two after it, which Triton takes as well."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def paddlesrv(model: str, *arguments: str, port: int) -> list[str]:
    """The command that serves a model."""
    command = [sys.executable, "-m", "paddlesrv", "serve", model, "--port", str(port)]
    return [*command, "--engine", "onnxruntime", *arguments]


def peer_python(name: str, *, make: str | None) -> Path | None:
    """The interpreter of a peer's virtual environment; None if there is none.

    Args:
        name: A key of `PEER_PACKAGES`.
        make: The Python to make the environment with if it is not there; None makes none. Not
            every Python will do for Triton: its wheel brings a `libpython` of its own, which must
            fit the standard library of the Python that it finds (3.11.2 does, 3.11.7 does not).
    """
    home = HERE / ".peers" / name
    complete = home / "complete"
    if not complete.exists():
        if make is None:
            return None
        subprocess.run([make, "-m", "venv", "--clear", str(home)], check=True)
        pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *PEER_PACKAGES[name]], check=True)
        complete.touch()
    return home / "bin" / "python"
