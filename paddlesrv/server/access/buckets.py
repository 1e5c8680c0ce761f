"""A token bucket: so many requests a second, some of them at once."""

from __future__ import annotations


class TokenBucket:
    """`burst` tokens at most, which come back at `rate` a second; it is full at first.

    It has no clock of its own: whoever takes says what time it is.

    Args:
        rate: Tokens a second, above 0.
        burst: Tokens that may be taken at once, at least 1; None: those of one second, or 1.
        now: Seconds, of any clock that only goes forward.
    """

    __slots__ = ("_at", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: float | None, now: float) -> None:
        self.rate = rate
        self.burst = max(1.0, rate) if burst is None else burst
        self._tokens = self.burst
        self._at = now

    def take(self, now: float) -> float:
        """Take one token: 0.0, or the seconds until there is one, and then none is taken."""
        elapsed = max(0.0, now - self._at)
        self._at = max(now, self._at)
        self._tokens = min(self.burst, self._tokens + elapsed * self.rate)
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self.rate

    def change(self, rate: float, burst: float | None) -> None:
        """Other limits from now on; what was taken stays taken."""
        self.rate = rate
        self.burst = max(1.0, rate) if burst is None else burst
        self._tokens = min(self._tokens, self.burst)
