"""Trying again: how often, after which waits, and never past a call's deadline."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from paddlesrv_client.errors import (
    ConnectionFailed,
    DeadlineExceeded,
    PaddlesrvClientError,
    ServerError,
)


@dataclass(frozen=True)
class RetryPolicy:
    """How a call is tried again after what may pass: lost connections, a busy server.

    The wait before each further attempt is random, up to `first_delay` doubled each time; a
    server that says when to come back (`Retry-After`) is not asked before.

    Attributes:
        attempts: How often a call is made at most; 1: never again.
        first_delay: The longest first wait, in seconds.
        max_delay: The longest wait, in seconds.
    """

    attempts: int = 3
    first_delay: float = 0.1
    max_delay: float = 5.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts must be at least 1, not {self.attempts}")
        if not 0 <= self.first_delay <= self.max_delay:
            raise ValueError("delays must not be negative, nor the first longer than the longest")

    def delay(self, made: int) -> float:
        """A wait in seconds after so many attempts."""
        longest = min(self.first_delay * 2.0 ** min(made - 1, 60), self.max_delay)
        return random.uniform(0, longest)  # noqa: S311 - spreads clients, keeps no secret


class Attempts:
    """One call: the time that is left, and the attempts that were made."""

    def __init__(self, policy: RetryPolicy, seconds: float) -> None:
        if not seconds > 0:
            raise ValueError(f"a timeout is more than 0 seconds, not {seconds}")
        self._policy = policy
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._made = 0

    def begin(self) -> float:
        """Another attempt; the seconds that it has.

        Raises:
            DeadlineExceeded: none are left.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(f"no answer within {self._seconds:g} s")
        self._made += 1
        return left

    def pause(self, error: PaddlesrvClientError) -> float:
        """Seconds to wait before the next attempt.

        Raises:
            PaddlesrvClientError: the error itself: it will not pass, or not in time.
        """
        passes = isinstance(error, ConnectionFailed) or (
            isinstance(error, ServerError) and error.transient
        )
        if not passes or self._made >= self._policy.attempts:
            raise error
        wait = self._policy.delay(self._made)
        if isinstance(error, ServerError) and error.retry_after is not None:
            wait = max(wait, error.retry_after)
        if wait >= self._end - time.monotonic():
            raise error
        return wait
