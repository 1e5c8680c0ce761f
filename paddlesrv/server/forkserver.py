"""The fork server: has imported an engine's library, and forks workers from that state.

Importing paddle takes seconds and 300 MB. Here it happens once; a worker starts, or starts again
after a crash, in milliseconds and shares the library's memory. The fork server itself never
loads a model and runs no threads of its own. For GPU workers nothing is imported beforehand: a
CUDA context does not survive a fork.

Started as `python -m paddlesrv.server.forkserver FD ENGINE PRELOAD PARENT`, with FD a
SOCK_SEQPACKET socket to the gateway process, whose process id is PARENT. When that closes, all
workers are killed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import selectors
import signal
import socket
import sys
import time
import traceback

from paddlesrv.isolated import die_with
from paddlesrv.server.arena import Slot
from paddlesrv.server.messages import (
    Exited,
    Preloaded,
    Spawn,
    Spawned,
    decode_to_fork_server,
    encode,
)
from paddlesrv.server.worker import ignore_termination, serve

MAX_MESSAGE = 4096
MAX_DESCRIPTORS = 33


def main(arguments: list[str]) -> int:
    """Import, then fork on demand until the gateway process goes away."""
    control = socket.socket(fileno=int(arguments[0]))
    die_with(int(arguments[3]))
    ignore_termination()
    started = time.perf_counter()
    if arguments[2] == "1":
        importlib.import_module(f"paddlesrv.engines.{arguments[1]}").preload()
        ignore_termination()  # libraries set handlers of their own
    gc.freeze()  # keep the collector from touching, and so copying, the shared pages
    control.send(encode(Preloaded(time.perf_counter() - started)))
    own_pid = os.getpid()
    workers: dict[int, int] = {}
    child_ended, wakeup = os.pipe()
    os.set_blocking(child_ended, False)
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    selector.register(child_ended, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj == child_ended:
                with contextlib.suppress(BlockingIOError):
                    os.read(child_ended, 4096)
                _reap(control, workers)
                continue
            body, fds, _, _ = socket.recv_fds(control, MAX_MESSAGE, MAX_DESCRIPTORS)
            if not body:
                _kill_all(workers)
                return 0
            message = decode_to_fork_server(body)
            if isinstance(message, Spawn):
                pid = os.fork()
                if pid == 0:
                    _become_worker(own_pid, [control, selector], [child_ended, wakeup], fds)
                workers[message.worker] = pid
                for fd in fds:
                    os.close(fd)
                control.send(encode(Spawned(message.worker, pid)))
            elif message.worker in workers:
                os.kill(workers[message.worker], signal.SIGKILL)


def _become_worker(
    parent: int,
    inherited: list[socket.socket | selectors.BaseSelector],
    pipes: list[int],
    fds: list[int],
) -> None:
    """In the child: drop what belongs to the fork server, work, and leave without cleaning up."""
    status = 1
    try:
        die_with(parent)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for thing in inherited:
            thing.close()
        for pipe in pipes:
            os.close(pipe)
        connection = socket.socket(fileno=fds[0])
        slots = [Slot((fds[i], fds[i + 1])) for i in range(1, len(fds), 2)]
        serve(connection, slots)
        status = 0
    except ConnectionError:
        status = 0  # the gateway process has gone; nobody waits for this answer
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stderr.flush()
        os._exit(status)


def _reap(control: socket.socket, workers: dict[int, int]) -> None:
    for worker, pid in list(workers.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            del workers[worker]
            control.send(encode(Exited(worker, os.waitstatus_to_exitcode(status))))


def _kill_all(workers: dict[int, int]) -> None:
    for pid in workers.values():
        os.kill(pid, signal.SIGKILL)
    for pid in workers.values():
        os.waitpid(pid, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
