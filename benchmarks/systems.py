"""Servers under test: starting, asking, stopping, and the CPU time that they used."""

from __future__ import annotations

import contextlib
import os
import random
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

START_TIMEOUT = 60.0


class System:
    """A server in a process of its own (and of its children), and the requests that load it.

    `targets` is one request, or one for each form in which it can be asked.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        targets: Target | Mapping[str, Target],
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
        directory: Path | None = None,
    ) -> None:
        self.name = name
        self.targets = {"": targets} if isinstance(targets, Target) else dict(targets)
        self.target = next(iter(self.targets.values()))
        self.idle = 0.0
        """The share of a core that it takes when nobody asks it, once that has been found out."""
        self._log = log
        with (log or Path(os.devnull)).open("wb") as output:
            self._process = subprocess.Popen(
                list(command),
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=directory,
            )

    def answer(self, wire: str | None = None) -> bytes:
        """Its answer to the request (of a form; else the first), once it gives one.

        Raises:
            RuntimeError: it ended, or did not answer in time.
        """
        target = self.target if wire is None else self.targets[wire]
        deadline = time.monotonic() + START_TIMEOUT
        problem = ""
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.name} ended: {self._last_words()}")
            try:
                return post(target)
            except urllib.error.HTTPError as error:
                # Until a model is loaded, some servers say that they do not know it.
                problem = f"{error}: {error.read(300).decode(errors='replace')}"
            except OSError as error:
                problem = str(error)
            time.sleep(0.2)
        raise RuntimeError(f"{self.name} does not answer: {problem}; {self._last_words()}")

    def cpu_seconds(self) -> float:
        """CPU time of the server's processes since they started."""
        # See proc(5): user and system time are fields 14 and 15.
        ticks = sum(int(fields[11]) + int(fields[12]) for fields in self._processes().values())
        return ticks / os.sysconf("SC_CLK_TCK")

    def pause(self) -> None:
        """Stop all its processes where they are, until `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _processes(self) -> dict[int, list[str]]:
        """Its processes, and what the system says of each."""
        found = _every_process()
        # Parent and session are fields 4 and 6. Ray's workers have sessions of their own.
        ours = {pid for pid, fields in found.items() if int(fields[3]) == self._process.pid}
        while more := {pid for pid, fields in found.items() if int(fields[1]) in ours} - ours:
            ours |= more
        return {pid: found[pid] for pid in ours}

    def stop(self) -> None:
        """End it with all its children."""
        self.resume()
        left = self._processes()
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        # LitServe's workers outlive the process that started them. The time at which a process
        # started, field 22, tells it from another one that has been given its number since.
        now = _every_process()
        for pid, fields in left.items():
            if now.get(pid, [""] * 20)[19] == fields[19]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _last_words(self) -> str:
        return self._log.read_text(errors="replace")[-600:] if self._log else ""


def _every_process() -> dict[int, list[str]]:
    """What /proc/PID/stat (Linux, see proc(5)) says of every process, from field 3 on."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name, in brackets, may hold blanks.
            found[int(stat.parent.name)] = stat.read_text().rpartition(")")[2].split()
    return found


def post(target: Target) -> bytes:
    """Send the request once; the answer's body."""
    request = urllib.request.Request(
        target.url,
        target.body,
        {"content-type": target.content_type, **target.headers},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        content: bytes = response.read()
    return content


def free_port(following: int = 2) -> int:
    """A port that nobody listens on, nor on those after it: Triton takes three.

    Raises:
        RuntimeError: there is none.
    """
    for _ in range(100):
        # Below those that outgoing connections are given, which come and go meanwhile.
        port = random.randrange(20000, 32000)
        with contextlib.suppress(OSError), contextlib.ExitStack() as probes:
            for each in range(port, port + following + 1):
                probe = probes.enter_context(socket.socket())
                probe.bind(("127.0.0.1", each))
            return port
    raise RuntimeError("there are no free ports")


def paddlesrv(model: str, *arguments: str, port: int, engine: str = "onnxruntime") -> list[str]:
    """The command that serves a model."""
    command = [sys.executable, "-m", "paddlesrv", "serve", model, "--port", str(port)]
    return [*command, "--engine", engine, *arguments]
