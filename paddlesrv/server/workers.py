"""The gateway process' side of its workers: starting, telling, watching, killing, restarting."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from pathlib import Path

from paddlesrv import own_python
from paddlesrv.engines.base import EngineOptions
from paddlesrv.errors import EngineError, Unavailable, of_code
from paddlesrv.models.spec import ModelSpec
from paddlesrv.sealing.opening import Unsealing
from paddlesrv.server import messages
from paddlesrv.server.arena import Slot, TensorView
from paddlesrv.server.messages import Done, Failed, FrameBuffer, Load, Loaded, Run, frame
from paddlesrv.server.processes import how_it_ended

log = logging.getLogger("paddlesrv.workers")

SLOTS = 2
"""Per worker: one batch runs while the next is assembled."""

MAX_BACKOFF = 10.0
"""Seconds between tries to start a worker that keeps dying."""

_ids = itertools.count(1)


class ForkServer:
    """A fork server and the workers that it forked; started on first use, and if it dies."""

    def __init__(self, engine: str, *, preload: bool) -> None:
        self._engine = engine
        self._preload = preload
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._workers: dict[int, Worker] = {}
        self.recent_output: deque[str] = deque(maxlen=40)
        """The last lines that fork server and workers wrote to stderr."""

    def spawn(self, worker: Worker, fds: list[int]) -> None:
        """Fork a worker that gets these descriptors: its socket, then its slots."""
        if self._control is None:
            self._start()
        assert self._control is not None
        self._workers[worker.id] = worker
        # The socket blocks: the fork server may still be importing, but the message is queued.
        socket.send_fds(self._control, [messages.encode(messages.Spawn(worker.id))], fds)

    def kill(self, worker: Worker) -> None:
        """SIGKILL a worker; the fork server is its parent, so the process id cannot be stale."""
        if self._control is not None and worker.id in self._workers:
            with contextlib.suppress(OSError):
                self._control.send(messages.encode(messages.Kill(worker.id)))

    def close(self) -> None:
        """End the fork server, and with it every worker that is left."""
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            self._control = None
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                asyncio.get_running_loop().remove_reader(self._process.stdout.fileno())
                self._process.stdout.close()
            self._process = None

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "paddlesrv.server.forkserver"]
        command += [str(theirs.fileno()), self._engine, str(int(self._preload)), str(os.getpid())]
        self._process = subprocess.Popen(
            command,
            pass_fds=[theirs.fileno()],
            env=own_python.environment(OPENBLAS_NUM_THREADS="1", GLOG_minloglevel="2"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        theirs.close()
        self._control = ours
        loop = asyncio.get_running_loop()
        loop.add_reader(ours.fileno(), self._read_control)
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        loop.add_reader(self._process.stdout.fileno(), self._read_output)

    def _read_control(self) -> None:
        assert self._control is not None
        try:
            body = self._control.recv(4096)
        except OSError:
            body = b""
        if not body:
            self._died()
            return
        message = messages.decode_from_fork_server(body)
        if isinstance(message, messages.Preloaded):
            log.debug("fork server imported %s in %.2f s", self._engine, message.seconds)
        elif isinstance(message, messages.Spawned):
            self._workers[message.worker].pid = message.pid
        else:
            self._workers.pop(message.worker).exited(message.status)

    def _read_output(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return
        if not data:
            asyncio.get_running_loop().remove_reader(fd)
            return
        for line in data.decode(errors="replace").splitlines():
            self.recent_output.append(line)
            log.debug("%s: %s", self._engine, line)

    def _died(self) -> None:
        """All its workers died with it; each of them starts anew, through a new fork server."""
        log.error("the fork server for %s died; starting again", self._engine)
        self.close()
        lost, self._workers = list(self._workers.values()), {}
        for worker in lost:
            worker.exited(-signal.SIGKILL)


class WorkerListener:
    """What a worker tells its scheduler."""

    def worker_ready(self, worker: Worker) -> None:
        """It can take batches."""

    def worker_done(self, worker: Worker, message: Done) -> None:
        """A batch is done; its outputs lie in the slot."""

    def worker_failed(self, worker: Worker, message: Failed) -> None:
        """A batch failed; the worker goes on."""

    def worker_lost(self, worker: Worker, reason: str) -> None:
        """The process has ended; it is being started again."""


class Worker(asyncio.Protocol):
    """One worker process after another: load, run, and again after a crash."""

    def __init__(
        self,
        forkserver: ForkServer,
        spec: ModelSpec,
        root: Path,
        options: EngineOptions,
        listener: WorkerListener,
        load_timeout: float,
        cores: tuple[int, ...] = (),
        sealed: Unsealing | None = None,
    ) -> None:
        self.id = next(_ids)
        self.pid = 0
        self.ready = False
        self.restarts = 0
        self.slots: list[Slot] = []
        self.loaded: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        """Done when the first load is: seconds it took, or the error."""
        self._forkserver = forkserver
        self._load = Load(spec, str(root), options, cores, sealed)
        self._listener = listener
        self._load_timeout = load_timeout
        self._frames = FrameBuffer()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._why_killed = ""
        self._crashes_in_a_row = 0
        self._closing = False
        self._gone = asyncio.Event()
        self._gone.set()

    def start(self) -> None:
        """Start a process and have it load the model; `worker_ready` follows."""
        self._timer = None
        self._gone.clear()
        self._why_killed = ""
        ours, theirs = socket.socketpair()
        self.slots = [Slot() for _ in range(SLOTS)]
        fds = [theirs.fileno()] + [fd for slot in self.slots for fd in slot.fds]
        self._forkserver.spawn(self, fds)
        theirs.close()
        loop = asyncio.get_running_loop()
        self._connecting = loop.create_task(self._connect(ours))
        self._timer = loop.call_later(
            self._load_timeout, self.kill, f"did not load within {self._load_timeout:g} s"
        )

    async def _connect(self, ours: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        ours.setblocking(False)
        self._frames = FrameBuffer()
        transport, _ = await loop.create_unix_connection(lambda: self, sock=ours)
        if self._gone.is_set():  # it died while we were connecting
            transport.abort()
            return
        self._transport = transport
        transport.write(frame(self._load))

    def run(self, slot: int, views: list[TensorView], limit: float) -> None:
        """Run the batch that lies in a slot; kill the process if it takes longer than `limit` s."""
        assert self._transport is not None
        self._transport.write(frame(Run(slot, views)))
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(limit, self.kill, f"did not answer within {limit:g} s")

    def kill(self, why: str) -> None:
        """SIGKILL: what hangs inside a network cannot be asked to stop."""
        self._why_killed = why
        self._forkserver.kill(self)

    async def close(self) -> None:
        """Let the process end by itself, or kill it after a moment."""
        self._closing = True
        self._stop_timer()
        if self._transport is not None:
            self._transport.close()
        try:
            await asyncio.wait_for(self._gone.wait(), 2)
        except asyncio.TimeoutError:
            self.kill("shutting down")

    def data_received(self, data: bytes) -> None:
        """A message, or several, or half of one."""
        for body in self._frames.feed(data):
            message = messages.decode_from_worker(body)
            self._stop_timer()
            if isinstance(message, Loaded):
                self.ready = True
                if not self.loaded.done():
                    self.loaded.set_result(message.seconds)
                self._listener.worker_ready(self)
            elif isinstance(message, Done):
                self._crashes_in_a_row = 0
                self._listener.worker_done(self, message)
            elif message.slot < 0:
                self._load_failed(message)
            else:
                self._listener.worker_failed(self, message)

    def exited(self, status: int) -> None:
        """The process has ended (told by the fork server): say so, clean up, start again."""
        self._stop_timer()
        self.ready = False
        self._gone.set()
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        for slot in self.slots:
            slot.close()
        if self._closing:
            return
        reason = self._why_killed or how_it_ended(status)
        log.warning("worker %d of %s %s; starting it again", self.id, self._load.spec.name, reason)
        for line in self._forkserver.recent_output:
            log.debug("before that: %s", line)
        self._listener.worker_lost(self, reason)
        if not self.loaded.done():
            # It never served: a server that is just starting must say so, not try for ever.
            self.loaded.set_exception(
                Unavailable(
                    f"the worker of model {self._load.spec.name!r} {reason} while it loaded",
                    context={"last words": _tail(self._forkserver.recent_output)},
                    hints=["see what it wrote: run again with -vv"],
                )
            )
            return
        self._crashes_in_a_row += 1
        self.restarts += 1
        pause = 0.0
        if self._crashes_in_a_row > 1:
            pause = min(MAX_BACKOFF, 0.25 * 2 ** (self._crashes_in_a_row - 2))
        self._timer = asyncio.get_running_loop().call_later(pause, self.start)

    def _load_failed(self, message: Failed) -> None:
        error = of_code(message.code, EngineError)(
            message.message, context=message.context, hints=message.hints
        )
        if not self.loaded.done():
            self.loaded.set_exception(error)
        else:
            self.kill(f"could not load its model again: {error.message}")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _tail(lines: deque[str]) -> str:
    return next((line.strip() for line in reversed(lines) if line.strip()), "none")
