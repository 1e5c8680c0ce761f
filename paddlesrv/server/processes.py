"""Other processes on this machine: which one a number means, whether it lives, its memory, its end.

A process id is given to another program once its owner has ended, so nothing here trusts one
alone: a process is known by its id, the moment at which it started, the boot and the namespace in
which the id counts (proc(5): /proc/PID/stat, /proc/sys/kernel/random/boot_id, /proc/PID/ns/pid).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from types import TracebackType

import msgspec

LOOK_SECONDS = 0.1
"""Between two looks at a process where the kernel cannot tell its end (Linux before 5.3)."""

_PROC = Path("/proc")
_STATE, _PARENT, _START = 0, 1, 19  # fields of /proc/PID/stat, counted behind the command's name
_ENDED = ("Z", "X", "x")


class ProcessIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """One process, told apart from every other that had or will have its id.

    `start_ticks` is when it started, in clock ticks since boot.
    """

    pid: int
    start_ticks: int
    boot: str
    namespace: str

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """The process that has this id now; None if there is none."""
        fields = _stat(pid)
        if fields is None or fields[_STATE] in _ENDED:
            return None
        boot, namespace = _here()
        return cls(pid=pid, start_ticks=int(fields[_START]), boot=boot, namespace=namespace)

    @property
    def here(self) -> bool:
        """Whether the id counts where this is read: in this boot, outside other containers."""
        return (self.boot, self.namespace) == _here()

    @property
    def earlier_boot(self) -> bool:
        """Whether the machine was started anew since (or it is another machine)."""
        return self.boot != _here()[0]

    @property
    def alive(self) -> bool:
        """Whether this very process runs here."""
        return self.here and ProcessIdentity.of(self.pid) == self


class Process:
    """A hold on one running process: signals reach it or nobody. A context manager."""

    def __init__(self, identity: ProcessIdentity, descriptor: int | None) -> None:
        self._identity = identity
        self._descriptor = descriptor

    @classmethod
    def open(cls, identity: ProcessIdentity) -> Process | None:
        """Take hold of it; None if it has ended."""
        descriptor: int | None = None
        try:
            descriptor = os.pidfd_open(identity.pid)
        except ProcessLookupError:
            return None
        except OSError:
            descriptor = None  # an old kernel, or a sandbox without this call
        # Looked at only now: what the descriptor stands for cannot be replaced any more.
        if identity.alive:
            return cls(identity, descriptor)
        if descriptor is not None:
            os.close(descriptor)
        return None

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def send(self, number: signal.Signals) -> None:
        """Signal it; nothing happens if it has ended.

        Raises:
            PermissionError: it belongs to another user.
        """
        with contextlib.suppress(ProcessLookupError):
            if self._descriptor is not None:
                signal.pidfd_send_signal(self._descriptor, number)
            elif self._identity.alive:
                os.kill(self._identity.pid, number)

    def wait(self, seconds: float) -> bool:
        """Whether it ends within this time."""
        if self._descriptor is not None:
            poll = select.poll()
            poll.register(self._descriptor, select.POLLIN)
            return bool(poll.poll(max(0.0, seconds) * 1000))
        deadline = time.monotonic() + seconds
        while self._identity.alive:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(LOOK_SECONDS, left))
        return True


def how_it_ended(status: int) -> str:
    """A process's exit status in words; negative is a signal's number."""
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(-status).name}"
        return f"was killed by signal {-status}"
    return f"ended with status {status}"


def memory_bytes(pids: Iterable[int]) -> dict[int, int]:
    """Memory of each process together with all that it started, in bytes.

    Memory that processes share is divided among them (PSS), so that the sum is what would be
    free without them; where the kernel does not tell that, what each sees (RSS) is added up.
    """
    children: dict[int, list[int]] = {}
    for entry in os.listdir(_PROC):  # noqa: PTH208 - a Path for every process costs more
        if entry.isdigit():
            fields = _stat(int(entry))
            if fields is not None:
                children.setdefault(int(fields[_PARENT]), []).append(int(entry))
    return {pid: sum(map(_memory, _tree(pid, children))) for pid in pids}


def _tree(pid: int, children: dict[int, list[int]]) -> list[int]:
    found = [pid]
    for known in found:
        found += children.get(known, [])
    return found


def _memory(pid: int) -> int:
    for name, field in (("smaps_rollup", b"Pss:"), ("status", b"VmRSS:")):
        with contextlib.suppress(OSError):
            for line in (_PROC / str(pid) / name).read_bytes().splitlines():
                if line.startswith(field):
                    return int(line.split()[1]) * 1024
    return 0


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on; None: no such process."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The name before them is in brackets and may itself hold brackets and spaces.
    return text.rpartition(")")[2].split()


@lru_cache(maxsize=1)
def _here() -> tuple[str, str]:
    boot = namespace = ""
    with contextlib.suppress(OSError):
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    with contextlib.suppress(OSError):
        namespace = str((_PROC / "self/ns/pid").readlink())
    return boot, namespace
