"""The caller's side of a detached server: start its process, wait until it is ready or has failed.

The server gets the listening sockets and its name's lock from the caller, so that between the
check and the server nobody can take either. It is a fresh process of the same interpreter: a fork
of one that has loaded libraries would keep their threads' locks and memory.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys

import msgspec

from paddlesrv import own_python
from paddlesrv.errors import PaddlesrvError, of_code
from paddlesrv.server.daemon import MAX_MESSAGE, Failed, Job, Ready
from paddlesrv.server.logreader import read
from paddlesrv.server.ports import Ports
from paddlesrv.server.processes import ProcessIdentity, how_it_ended
from paddlesrv.server.records import Claim, from_json, to_json

MODULE = "paddlesrv.server.daemon"
STOP_SECONDS = 10.0
"""For a server that is not ready yet, to end by itself."""


class DetachedServer:
    """A server that is being started; end with `wait` or `abandon`."""

    def __init__(
        self, job: Job, process: subprocess.Popen[bytes], control: socket.socket, claim: Claim
    ) -> None:
        self.pid = process.pid
        self._job = job
        self._process = process
        self._control = control
        self._claim = claim

    @classmethod
    def start(cls, job: Job, ports: Ports, claim: Claim, log: int) -> DetachedServer:
        """Start its process.

        Args:
            job: What to serve; its record is as yet of this process.
            ports: The listening sockets; they stay open here as well.
            claim: The server's name; it passes to the server.
            log: Its log, open.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", MODULE, str(theirs.fileno()), job.record.name],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=own_python.environment(),
            )
        server = cls(job, process, ours, claim)
        try:
            identity = ProcessIdentity.of(process.pid)
            if identity is not None:
                claim.write(msgspec.structs.replace(job.record, process=identity))
            with contextlib.suppress(ConnectionError):  # it has ended; `wait` says how
                handed = [claim.descriptor, *(bound.fileno() for bound in ports.sockets)]
                socket.send_fds(ours, [to_json(job)], handed)
        except BaseException:
            server.abandon()
            raise
        return server

    def wait(self) -> Ready:
        """Wait until it serves.

        Raises:
            PaddlesrvError: what it said of its failure, or how its process ended; nothing of it
                is left but the log.
        """
        try:
            data = self._control.recv(MAX_MESSAGE)
        except ConnectionError:
            data = b""
        answer = from_json(data, Ready | Failed) if data else None  # type: ignore[arg-type]
        if isinstance(answer, Ready):
            self._control.close()
            self._claim.hand_over()
            # It is on its own from here on: not ours to wait for, so nothing to warn of.
            self._process.returncode = 0
            return answer
        status = self._process.wait()
        self._close()
        hints = [f"the whole log: paddlesrv logs {self._job.record.name}"]
        if isinstance(answer, Failed):
            kind = of_code(answer.code, PaddlesrvError)
            raise kind(answer.message, context=answer.context, hints=[*answer.hints, *hints])
        stopped = status in (0, -signal.SIGTERM)
        raise PaddlesrvError(
            f"the server {'was stopped' if stopped else how_it_ended(status)} before it was ready",
            hints=hints,
        )

    def last_words(self, lines: int = 10) -> list[str]:
        """The end of its log."""
        assert self._job.record.log is not None, "a detached server has a log"
        return read(self._job.record.log, lines)

    def abandon(self) -> None:
        """End it; nothing of it is left but the log."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):  # once more: at once
            self._process.kill()
            self._process.wait()
        self._close()

    def _close(self) -> None:
        self._control.close()
        self._claim.release()
