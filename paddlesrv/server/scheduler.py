"""The scheduler of one model: from its queue to batches, to workers, and back.

Batches form while workers are busy: a batch is assembled in a worker's second slot and grows
until the worker is free, so that nothing waits for a batch that nobody adds to. `max_delay`
lets an idle worker wait for company; zero, the default, never does.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

from paddlesrv.errors import (
    DeadlineExceeded,
    EngineError,
    Overloaded,
    Unavailable,
)
from paddlesrv.models.spec import ModelSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.server.batching import BatchWriter, Key, UndividableError, divide, merge_key
from paddlesrv.server.messages import Done, Failed
from paddlesrv.server.metrics import ModelMetrics
from paddlesrv.server.queueing import Pending, RequestQueue, State
from paddlesrv.server.request import Timing
from paddlesrv.server.statistics import Statistics
from paddlesrv.server.workers import SLOTS, Worker, WorkerListener

log = logging.getLogger("paddlesrv.scheduler")

MAX_BATCH_BYTES = 256 << 20
"""Inputs of one batch; fewer rows than `max_batch_size` are merged when rows are this large."""

MAX_ATTEMPTS = 2
"""How often a request may be in a worker when it dies, before the request is suspected."""

ALARM_RESOLUTION = 0.001
"""Seconds by which a deadline may be missed; the event loop's timers are no finer."""


@dataclass(frozen=True)
class Limits:
    """How a model's requests are queued and merged. Rows are batch rows, times are seconds."""

    max_batch_size: int
    max_delay: float
    max_queue: int
    timeout: float


class _Batch:
    """Requests that share a run; grows until it is sealed and sent."""

    __slots__ = ("capacity", "key", "members", "rows", "slot", "writer")

    def __init__(self, key: Key | None, capacity: int, slot: int, writer: BatchWriter) -> None:
        self.key = key
        self.capacity = capacity
        self.slot = slot
        self.writer = writer
        self.members: list[Pending] = []
        self.rows = 0


@dataclass(slots=True)
class _Lane:
    """What one worker is doing: the batch it runs, and the next, which still grows."""

    worker: Worker
    running: _Batch | None = None
    next: _Batch | None = None


class Scheduler(WorkerListener):
    """Queues, merges and runs the requests for one model on its workers."""

    def __init__(self, spec: ModelSpec, limits: Limits, metrics: ModelMetrics) -> None:
        self.spec = spec
        self.limits = limits
        self.queue = RequestQueue()
        self.in_flight = 0
        self.statistics = Statistics()
        self._metrics = metrics
        self._lanes: list[_Lane] = []
        self._merges = True
        self._pump_scheduled = False
        self._delay_timer: asyncio.TimerHandle | None = None
        self._unanswered: set[Pending] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = math.inf
        self._loop = asyncio.get_running_loop()

    @property
    def ready(self) -> bool:
        """Whether a worker serves."""
        for lane in self._lanes:  # noqa: SIM110 - asked for each request; a generator costs more
            if lane.worker.ready:
                return True
        return False

    @property
    def workers(self) -> list[Worker]:
        """Its workers, ready or not."""
        return [lane.worker for lane in self._lanes]

    def add_worker(self, worker: Worker) -> None:
        """Have a worker serve this queue as soon as it is ready."""
        self._lanes.append(_Lane(worker))

    async def submit(
        self, inputs: Mapping[str, Tensor], rows: int, deadline: float, timing: Timing
    ) -> dict[str, Tensor]:
        """Queue validated inputs of at most `max_batch_size` rows; their outputs.

        Cancelling the call takes the request out of the queue.

        Args:
            inputs: Tensors by name, valid for the model.
            rows: The batch that the request is by itself.
            deadline: On the clock of `time.monotonic`.
            timing: Where queue and compute time are added.

        Raises:
            Overloaded: the queue is full.
            Unavailable: no worker serves; or the request was in two workers that died.
            DeadlineExceeded: time ran out, queued or running.
            EngineError: the network failed on this very request.
        """
        self._refuse_if_unavailable(rows)
        now = time.monotonic()
        if deadline <= now:
            raise self._too_late("before it was queued")
        key = merge_key(self.spec, inputs)
        pending = Pending(inputs, rows, key, now, deadline, self._loop.create_future())
        self._unanswered.add(pending)
        if deadline < self._alarm_at:
            self._set_alarm(deadline)
        self.in_flight += 1
        self._enqueue(pending)
        outputs = None
        try:
            outputs = await pending.future
            return outputs
        finally:
            self._end(pending)
            waited = pending.taken_at - pending.queued_at
            self._metrics.queue_seconds.observe(waited)
            timing.queue += waited
            timing.compute += pending.compute
            seconds = time.monotonic() - now
            if outputs is None:
                self.statistics.failed(seconds)
            else:
                self.statistics.answered(rows, seconds, waited, pending.compute)

    def observe(self) -> None:
        """Bring the gauges up to date."""
        self._metrics.ready.set(float(self.ready))
        self._metrics.queue_depth.set(self.queue.rows)
        self._metrics.in_flight.set(self.in_flight)

    async def close(self) -> None:
        """End the workers; whoever still waits is told that the server has gone."""
        for lane in self._lanes:
            for batch in (lane.running, lane.next):
                for pending in batch.members if batch else ():
                    pending.fail(Unavailable("the server is shutting down"))
        for pending in self.queue:
            pending.fail(Unavailable("the server is shutting down"))
        if self._alarm is not None:
            self._alarm.cancel()
        await asyncio.gather(*(lane.worker.close() for lane in self._lanes))

    # -- the queue ---------------------------------------------------------------------------

    def _refuse_if_unavailable(self, rows: int) -> None:
        if not self.ready:
            self._metrics.rejected("not_ready")
            self.statistics.failed(0.0)
            raise Unavailable(
                f"model {self.spec.name!r} is not ready: no worker serves it",
                hints=["it is being started again; try in a moment"],
                retry_after=1,
            )
        if self.queue.rows + rows > self.limits.max_queue:
            self._metrics.rejected("queue_full")
            self.statistics.failed(0.0)
            raise Overloaded(
                f"the queue of model {self.spec.name!r} is full",
                context={"queued rows": f"{self.queue.rows} of {self.limits.max_queue}"},
                hints=["try again later, or raise --max-queue or --instances"],
                retry_after=1,
            )

    def _enqueue(self, pending: Pending) -> None:
        self.queue.push(pending)
        self._schedule_pump()

    def _set_alarm(self, when: float) -> None:
        """One timer for all requests: most are answered long before theirs would have rung."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = when
        self._alarm = self._loop.call_later(max(0.0, when - time.monotonic()), self._expire)

    def _expire(self) -> None:
        """Fail the requests whose time has run out, and wake up again for the next."""
        due = time.monotonic() + ALARM_RESOLUTION
        following = math.inf
        for pending in self._unanswered:
            if pending.deadline > due:
                following = min(following, pending.deadline)
            elif not pending.future.done():
                queued = pending.state is State.QUEUED
                self._metrics.rejected("deadline")
                pending.fail(self._too_late("in the queue" if queued else "while it ran"))
        self._alarm = None
        self._alarm_at = math.inf
        if following < math.inf:
            self._set_alarm(following)

    def _too_late(self, where: str) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"the request to model {self.spec.name!r} ran out of time {where}",
            hints=["raise --timeout, or send less at a time"],
        )

    def _end(self, pending: Pending) -> None:
        """Whatever the outcome, the request is no longer anywhere."""
        self._unanswered.discard(pending)
        self.queue.leave(pending)
        self.in_flight -= 1

    # -- forming batches ---------------------------------------------------------------------

    def _schedule_pump(self) -> None:
        # Once per turn of the event loop: requests that arrived together go together.
        if not self._pump_scheduled:
            self._pump_scheduled = True
            self._loop.call_soon(self._pump)

    def _pump_after(self, seconds: float) -> None:
        if self._delay_timer is not None:
            self._delay_timer.cancel()
        self._delay_timer = self._loop.call_later(seconds, self._schedule_pump)

    def _pump(self) -> None:
        self._pump_scheduled = False
        for lane in self._lanes:
            if lane.worker.ready and lane.running is None:
                self._send_next(lane)
        for lane in self._lanes:
            if lane.worker.ready and lane.running is not None and self.queue.rows:
                self._grow_next(lane)

    def _send_next(self, lane: _Lane) -> None:
        """Give an idle worker the batch that is due, if there is one."""
        if lane.next is not None:
            self._fill(lane.next)
        else:
            lane.next = self._begin_batch(lane) or self._take_over(lane)
        batch = lane.next
        if batch is None:
            return
        lane.next = None
        alive = [p for p in batch.members if not p.future.done()]
        if len(alive) != len(batch.members):  # somebody left while it was assembled
            batch.members, batch.rows = [], 0
            for pending in alive:
                self._place(batch, pending)
            if not alive:
                self._schedule_pump()
                return
        views = batch.writer.seal([p.inputs for p in batch.members])
        lane.running = batch
        now = time.monotonic()
        for pending in batch.members:
            pending.taken_at = now
        self._metrics.batch_rows.observe(batch.rows)
        lane.worker.run(batch.slot, views, self.limits.timeout)

    def _grow_next(self, lane: _Lane) -> None:
        """While a worker runs, assemble what it will run next."""
        if lane.next is None:
            lane.next = self._begin_batch(lane)
        else:
            self._fill(lane.next)

    def _begin_batch(self, lane: _Lane) -> _Batch | None:
        """A batch of what should go first, if anything should go now."""
        pending = self.queue.pop_alone()
        if pending is not None:
            return self._start_batch(lane, pending, 1)
        while True:
            key, wait = self.queue.due(
                time.monotonic(), self.limits.max_delay, self.limits.max_batch_size
            )
            if wait is not None:
                self._pump_after(wait)
            if key is None:
                return None
            pending = self.queue.pop(key)
            if pending is not None:
                break  # else all of that group had left
        size = sum(t.data.nbytes for t in pending.inputs.values())
        row_bytes = max(1, size // pending.rows)
        capacity = max(pending.rows, min(self.limits.max_batch_size, MAX_BATCH_BYTES // row_bytes))
        batch = self._start_batch(lane, pending, capacity)
        self._fill(batch)
        return batch

    def _start_batch(self, lane: _Lane, first: Pending, capacity: int) -> _Batch:
        free = (lane.running.slot + 1) % SLOTS if lane.running else 0
        capacity = max(capacity, first.rows)
        segment = lane.worker.slots[free].request
        writer = BatchWriter(self.spec, segment, first.inputs, capacity)
        batch = _Batch(None if first.alone else first.key, capacity, free, writer)
        self._place(batch, first)
        return batch

    def _fill(self, batch: _Batch) -> None:
        if batch.key is None or not self._merges:
            return
        while batch.rows < batch.capacity:
            pending = self.queue.pop(batch.key, batch.capacity - batch.rows)
            if pending is None:
                return
            self._place(batch, pending)

    @staticmethod
    def _place(batch: _Batch, pending: Pending) -> None:
        batch.writer.place(pending.inputs, batch.rows, pending.rows)
        batch.members.append(pending)
        batch.rows += pending.rows

    def _take_over(self, lane: _Lane) -> _Batch | None:
        """A batch assembled for a busy worker, when this one is free and nothing queues."""
        for other in self._lanes:
            if other is not lane and other.running is not None and other.next is not None:
                stolen, other.next = other.next, None
                batch = self._start_batch(lane, stolen.members[0], stolen.capacity)
                for pending in stolen.members[1:]:
                    self._place(batch, pending)
                return batch
        return None

    # -- what workers say --------------------------------------------------------------------

    def worker_ready(self, worker: Worker) -> None:
        """It may have been away: whoever was accepted before is served now."""
        self._metrics.ready.set(1)
        self._schedule_pump()

    def worker_done(self, worker: Worker, message: Done) -> None:
        """Send the next batch first, so that the worker runs while the outputs are divided."""
        lane = self._lane(worker)
        batch = lane.running
        assert batch is not None
        outputs = worker.slots[batch.slot].response.read(message.outputs)
        lane.running = None
        if self.queue.rows or lane.next is not None:
            # The outputs lie in the finished slot: what is begun now must take the other one.
            self._send_beside(lane, batch)
        if lane.running is None:
            self._schedule_pump()
        self._metrics.infer_seconds.observe(message.seconds)
        self.statistics.ran(batch.rows, message.seconds)
        try:
            shares = divide(self.spec, outputs, [p.rows for p in batch.members])
        except UndividableError as error:
            log.warning("model %s cannot be batched: %s", self.spec.name, error)
            self._merges = False
            self.queue.stop_merging()
            self._run_each_alone(batch)
            return
        for pending, share in zip(batch.members, shares, strict=True):
            pending.compute += message.seconds
            if not pending.future.done():
                pending.future.set_result(share)

    def _send_beside(self, lane: _Lane, finished: _Batch) -> None:
        lane.running = finished  # keeps its slot from being chosen
        if lane.next is None:
            lane.next = self._begin_batch(lane)
        lane.running = None
        if lane.next is not None:
            self._send_next(lane)

    def worker_failed(self, worker: Worker, message: Failed) -> None:
        """One bad request spoils a batch: each of its requests is run alone, and only it fails."""
        lane = self._lane(worker)
        batch = lane.running
        assert batch is not None
        lane.running = None
        if len(batch.members) > 1:
            log.info("a batch of %s failed (%s)", self.spec.name, message.message)
            self._run_each_alone(batch)
        else:
            error = EngineError(message.message, context=message.context, hints=message.hints)
            batch.members[0].fail(error)
        self._schedule_pump()

    def worker_lost(self, worker: Worker, reason: str) -> None:
        """Its requests get a second chance, alone; those that only waited go back to the queue."""
        self._metrics.worker_restarts.inc()
        lane = self._lane(worker)
        running, following = lane.running, lane.next
        lane.running = lane.next = None
        self._metrics.ready.set(float(self.ready))
        for pending in following.members if following else ():
            if not pending.future.done():
                self._enqueue(pending)
        for pending in running.members if running else ():
            if pending.future.done():
                continue
            pending.attempts += 1
            pending.alone = True
            if pending.attempts < MAX_ATTEMPTS:
                self._enqueue(pending)
            else:
                pending.fail(
                    Unavailable(
                        f"the worker of model {self.spec.name!r} {reason} on this request, twice",
                        hints=["other requests are served; look at what this one sends"],
                    )
                )

    def _run_each_alone(self, batch: _Batch) -> None:
        for pending in batch.members:
            if not pending.future.done():
                pending.alone = True
                self._enqueue(pending)

    def _lane(self, worker: Worker) -> _Lane:
        return next(lane for lane in self._lanes if lane.worker is worker)
