"""The queue of one model: requests that wait, in groups that can share a batch.

It knows who waits, who goes first and when a group is due; nothing of workers and batches.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping
from enum import Enum

from paddlesrv.models.tensor import Tensor
from paddlesrv.server.batching import Key


class State(Enum):
    """Where a request is."""

    QUEUED = 1
    BATCHED = 2
    ENDED = 3


class Pending:
    """One request (or part of one) on its way through the queue and a batch.

    Times are on the clock of `time.monotonic`. Whoever is `alone` shares no batch: it cannot, or
    it is being tried again after a failure.
    """

    __slots__ = (
        "alone",
        "attempts",
        "compute",
        "deadline",
        "future",
        "inputs",
        "key",
        "queued_at",
        "rows",
        "state",
        "taken_at",
    )

    def __init__(
        self,
        inputs: Mapping[str, Tensor],
        rows: int,
        key: Key | None,
        now: float,
        deadline: float,
        future: asyncio.Future[dict[str, Tensor]],
    ) -> None:
        self.inputs = inputs
        self.rows = rows
        self.key = key
        self.alone = key is None
        self.attempts = 0
        self.queued_at = now
        self.taken_at = now
        self.compute = 0.0
        self.state = State.QUEUED
        self.deadline = deadline
        self.future = future

    def fail(self, error: Exception) -> None:
        """Answer with an error, unless there is an answer already."""
        if not self.future.done():
            self.future.set_exception(error)


class RequestQueue:
    """Requests in groups by what they must agree in, the oldest group first."""

    def __init__(self) -> None:
        self.rows = 0
        """Rows that wait."""
        self._groups: dict[Key, deque[Pending]] = {}
        self._alone: deque[Pending] = deque()
        self._merges = True

    def __iter__(self) -> Iterator[Pending]:
        """All that wait."""
        yield from self._alone
        for group in self._groups.values():
            yield from group

    def push(self, pending: Pending) -> None:
        """Let a request wait; one that is tried again goes to the very front."""
        pending.state = State.QUEUED
        self.rows += pending.rows
        if pending.alone or pending.key is None or not self._merges:
            pending.alone = True
            if pending.attempts:
                self._alone.appendleft(pending)
            else:
                self._alone.append(pending)
            return
        group = self._groups.get(pending.key)
        if group is None:
            group = self._groups[pending.key] = deque()
        group.append(pending)

    def leave(self, pending: Pending) -> None:
        """A request has ended, whatever the outcome; if it waited, it waits no more."""
        if pending.state is State.QUEUED:
            self.rows -= pending.rows
        pending.state = State.ENDED

    def pop_alone(self) -> Pending | None:
        """The first of those that share no batch; they go before all groups."""
        while self._alone:
            pending = self._alone.popleft()
            if not pending.future.done():
                return self._taken(pending)
        return None

    def pop(self, key: Key, room: int | None = None) -> Pending | None:
        """The oldest of a group, if it has no more rows than there is room for."""
        group = self._groups.get(key)
        while group:
            pending = group[0]
            if pending.future.done():  # it left; `leave` counts it off
                group.popleft()
                continue
            if room is not None and pending.rows > room:
                return None
            group.popleft()
            if not group:
                del self._groups[key]
            return self._taken(pending)
        if group is not None:
            del self._groups[key]
        return None

    def due(self, now: float, max_delay: float, max_rows: int) -> tuple[Key | None, float | None]:
        """The group whose batch should go now, or the seconds until there is one.

        A group is due when it fills a batch, or its oldest request has waited for `max_delay`.
        """
        if not max_delay:
            return next(iter(self._groups), None), None
        wait = None
        for key, group in self._groups.items():
            oldest = min((p.queued_at for p in group if not p.future.done()), default=now)
            left = oldest + max_delay - now
            if left <= 0 or sum(p.rows for p in group) >= max_rows:
                return key, None
            wait = left if wait is None else min(wait, left)
        return None, wait

    def stop_merging(self) -> None:
        """From now on, and for those who wait, each request goes alone."""
        self._merges = False
        for group in self._groups.values():
            for pending in group:
                pending.alone = True
                self._alone.append(pending)
        self._groups.clear()

    def _taken(self, pending: Pending) -> Pending:
        self.rows -= pending.rows
        pending.state = State.BATCHED
        return pending
