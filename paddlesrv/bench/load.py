"""The load: closed loop (so many connections, one request in flight on each) or open loop.

In the open loop requests arrive at random (a Poisson process), whether or not the server keeps up;
the time of each counts from when it was due, not from when a connection was free to send it. A
closed loop waits for a slow server and so does not see what its users would: Gil Tene called it
coordinated omission.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import resource
import ssl
from collections import Counter, deque
from time import monotonic  # a loop's own clock may count whole milliseconds
from typing import cast

import msgspec

from paddlesrv.bench.wires import Sent, Wire, WireError, wire

_AGAIN = 0.05
"""Seconds before a connection that failed is made again."""

_CONNECTING = 5.0
"""Seconds that all connections have before the load starts without those that failed."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a generator.

    `rate` in requests/s makes it an open loop; then `connections` is how many requests can be on
    their way at once, those beyond wait here. It ends after `seconds`, or after so many `requests`
    if that is not 0; what comes in the first `warm_up` seconds does not count. A request that has
    no answer after `timeout` seconds is an error.
    """

    host: str
    port: int
    sent: Sent
    connections: int
    seconds: float
    rate: float | None = None
    requests: int = 0
    warm_up: float = 0.0
    timeout: float = 30.0
    seed: int = 1
    tls: bool = False
    ca: str | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    `times` are the seconds of the good answers, in ascending order; `errors` counts the others by
    their kind, and `said` is what the first of them said. `late` is the share of requests of an
    open loop that found no free connection. `busy` is the share of a core that the generator
    itself used.
    """

    times: list[float]
    errors: dict[str, int]
    seconds: float
    said: str = ""
    late: float = 0.0
    busy: float = 0.0


def poisson(rate: float, seconds: float, requests: int, seed: int) -> list[float]:
    """When requests of an open loop are due, in seconds from the start.

    Times between them are exponentially distributed with mean 1 / `rate`; the same for a seed.
    """
    source = random.Random(seed)  # noqa: S311 - arrivals, not secrets
    due: list[float] = []
    now = source.expovariate(rate)
    while now < seconds and not (requests and len(due) >= requests):
        due.append(now)
        now += source.expovariate(rate)
    return due


async def run(job: Job) -> Result:
    """Do it."""
    return await _Run(job).run()


class _Run:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.loop = asyncio.get_running_loop()
        self.times: list[float] = []
        self.errors: Counter[str] = Counter()
        self.said = ""
        self.begun = 0
        self.late = 0
        self.tls = ssl.create_default_context(cafile=job.ca) if job.tls else None
        self._idle: deque[_Connection] = deque()
        self._due: deque[float] = deque()
        """Requests that are due and wait for a connection."""
        self._over = False
        self._counting = math.inf
        self._waiting: list[_Connection] | None = []
        """Those that are connected before the start."""
        self._open: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._done = self.loop.create_future()
        self._more = True
        """Whether an open loop has arrivals to come."""

    async def run(self) -> Result:
        job = self.job
        self._tasks |= {self.loop.create_task(self._connect()) for _ in range(job.connections)}
        await asyncio.wait(self._tasks, timeout=_CONNECTING)
        used = _cpu()
        started = monotonic()
        self._counting = started + job.warm_up
        waiting, self._waiting = self._waiting, None
        for connection in waiting or ():
            self.idle(connection)
        timer = self.loop.call_later(job.warm_up + job.seconds, self._end)
        arrivals = None
        if job.rate is not None:
            arrivals = self.loop.create_task(self._arrive(job.rate))
        await self._done
        if arrivals is not None:
            arrivals.cancel()
        timer.cancel()
        ended = monotonic()
        for connection in list(self._open):
            connection.close()
        for task in self._tasks:
            task.cancel()
        took = max(1e-9, ended - max(self._counting, started))
        self.times.sort()
        return Result(
            times=self.times,
            errors=dict(self.errors),
            seconds=took,
            said=self.said,
            late=self.late / max(1, self.begun),
            busy=(_cpu() - used) / max(1e-9, ended - started),
        )

    # -- arrivals ----------------------------------------------------------------------------

    async def _arrive(self, rate: float) -> None:
        job = self.job
        base = monotonic()
        for due in poisson(rate, job.warm_up + job.seconds, 0, job.seed):
            if job.requests and self._has_begun_all():
                break
            pause = base + due - monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            if self._over:
                break  # what was due while the end came is neither asked nor waited for
            if self._idle:
                self._begin(self._idle.popleft(), base + due)
            else:
                self.late += 1
                self._due.append(base + due)
        self._more = False
        self._maybe_done()

    def _has_begun_all(self) -> bool:
        return self.begun + len(self._due) >= self.job.requests

    def idle(self, connection: _Connection) -> None:
        """A connection is free: it sends again, or waits."""
        if self._over:
            connection.close()
            self._maybe_done()
        elif self.job.rate is None:
            if self.job.requests and self.begun >= self.job.requests:
                connection.close()
                self._maybe_done()
                return
            self._begin(connection, monotonic())
        elif self._due:
            self._begin(connection, self._due.popleft())
        else:
            self._idle.append(connection)
            self._maybe_done()

    def _begin(self, connection: _Connection, due: float) -> None:
        if due >= self._counting:
            self.begun += 1
        connection.ask(due)

    def answered(self, due: float, error: str, said: str = "") -> None:
        """A request has ended."""
        self.said = self.said or said
        if due < self._counting:
            return
        if error:
            self.errors[error] += 1
        else:
            self.times.append(monotonic() - due)

    # -- connections -------------------------------------------------------------------------

    async def _connect(self, pause: float = 0.0) -> None:
        job = self.job
        await asyncio.sleep(pause)
        while not self._over:
            try:
                await self.loop.create_connection(
                    lambda: _Connection(self, wire(job.sent)), job.host, job.port, ssl=self.tls
                )
            except OSError as error:
                now = monotonic()
                self.answered(now, f"not connected: {_reason(error)}")
                if job.requests and now >= self._counting:
                    self.begun += 1
                    if self.begun >= job.requests:
                        self._end()
                await asyncio.sleep(_AGAIN)
            else:
                return

    def made(self, connection: _Connection) -> None:
        """It is connected."""
        self._open.add(connection)
        if self._waiting is None:
            self.idle(connection)
        else:
            self._waiting.append(connection)

    def lost(self, connection: _Connection) -> None:
        """It has closed; if that was not our doing, another takes its place."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self._waiting is not None and connection in self._waiting:
            self._waiting.remove(connection)
        if not self._over and not connection.finished:
            self._tasks.add(self.loop.create_task(self._connect(_AGAIN)))
        self._maybe_done()

    def _end(self) -> None:
        """The time is up: what is on its way may come in, nothing more is sent."""
        self._over = True
        unsent = sum(due >= self._counting for due in self._due)
        if unsent:
            self.begun += unsent
            self.errors["not sent: no connection was free"] += unsent
        self._due.clear()
        for connection in list(self._idle):
            connection.close()
        self._idle.clear()
        self._maybe_done()
        self.loop.call_later(self.job.timeout, self._give_up)

    def _give_up(self) -> None:
        if not self._done.done():
            self._done.set_result(None)

    def _maybe_done(self) -> None:
        if self._done.done() or any(c.busy for c in self._open) or self._due:
            return
        asked_all = bool(self.job.requests) and self.begun >= self.job.requests
        open_ended = self.job.rate is not None and not self._more
        if self._over or asked_all or open_ended:
            self._done.set_result(None)


class _Connection(asyncio.Protocol):
    """Sends one request at a time."""

    def __init__(self, run: _Run, speaks: Wire) -> None:
        self.finished = False
        self.busy = False
        self._run = run
        self._wire = speaks
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if hello := self._wire.hello():
            self._transport.write(hello)
        self._run.made(self)

    def ask(self, due: float) -> None:
        self._due = due
        self.busy = True
        self._timer = self._run.loop.call_later(self._run.job.timeout, self._too_late)
        try:
            self._transport.write(self._wire.request())
        except WireError:
            self._fail("no more calls on this connection")

    def data_received(self, data: bytes) -> None:
        try:
            outcome, reply = self._wire.feed(data)
        except WireError as error:
            self._fail(str(error))
            return
        if reply:
            self._transport.write(reply)
        if outcome is not None and self.busy:
            self._ended(outcome.error, outcome.detail)
            self._run.idle(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.busy:
            self._ended("the server closed the connection")
        self._run.lost(self)

    def close(self) -> None:
        self.finished = True
        self._transport.close()

    def _ended(self, error: str, said: str = "") -> None:
        self.busy = False
        if self._timer is not None:
            self._timer.cancel()
        self._run.answered(self._due, error, said)

    def _too_late(self) -> None:
        self._fail(f"no answer within {self._run.job.timeout:g} s")

    def _fail(self, why: str) -> None:
        if self.busy:
            self._ended(why)
        self._transport.abort()


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _reason(error: OSError) -> str:
    """In the system's words; asyncio writes the address into its own, a kind for each."""
    return os.strerror(error.errno) if error.errno else type(error).__name__
