"""A module of ours run once in a process of its own, with a clock: what it does may crash or hang.

The request goes in by standard input, and names the file that the answer is written to. For
workers that serve for long see `paddlesrv.server.workers`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys

import msgspec

from paddlesrv import own_python
from paddlesrv.errors import PaddlesrvError

_PR_SET_PDEATHSIG = 1
_TAIL_CHARACTERS = 4000


class Ended(msgspec.Struct, frozen=True):
    """How the process ended.

    `status` is its exit status, negative for the signal that killed it, None where its time was
    up. `tail` is the end of all that it wrote.
    """

    status: int | None
    tail: str

    @property
    def how(self) -> str:
        """The status in words."""
        if self.status is None:
            return "its time was up"
        if self.status < 0:
            try:
                return f"killed by {signal.Signals(-self.status).name}"
            except ValueError:
                return f"killed by signal {-self.status}"
        return f"ended with status {self.status}"


class Failure(msgspec.Struct, frozen=True):
    """An error of ours as data, for a report; `errors.of_code` knows its class."""

    code: str
    message: str
    context: dict[str, str] = {}
    hints: tuple[str, ...] = ()

    @classmethod
    def of(cls, error: PaddlesrvError) -> Failure:
        """The error as data."""
        return cls(error.code, error.message, error.context, error.hints)


def run_isolated(module: str, request: msgspec.Struct, timeout_seconds: float) -> Ended:
    """Run `python -m MODULE PARENT` on a request, and wait; it is killed when its time is up.

    Args:
        module: One that calls `die_with(int(sys.argv[1]))` and reads JSON from standard input.
        request: What it reads.
        timeout_seconds: How long it may take, with all its imports.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, str(os.getpid())],
            input=msgspec.json.encode(request),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_seconds,
            env=own_python.environment(),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return Ended(None, _tail(error.output or b""))
    return Ended(done.returncode, _tail(done.stdout))


def die_with(parent: int) -> None:
    """Ask the kernel for SIGKILL when the parent ends, however it ends (Linux: prctl(2))."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the call
        os._exit(1)


def _tail(output: bytes) -> str:
    return output.decode(errors="replace")[-_TAIL_CHARACTERS:]
