"""The gate that every request passes: whose key it brings, and whether that may ask now.

Each protocol takes the key from where its clients put it, gives it to `Gate.identify`, and keeps
the `Caller` that comes back open for as long as the request lasts: `with caller: ...`.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from paddlesrv.errors import Forbidden, PaddlesrvError, RateLimited, Unauthenticated
from paddlesrv.server.access.buckets import TokenBucket
from paddlesrv.server.access.key_file import KeyEntry, digest_of, read_keys

log = logging.getLogger("paddlesrv.access")

MAX_KEY_BYTES = 256
"""Longer ones are not even hashed."""

Clock = Callable[[], float]

Count = Callable[[str, str], None]
"""Told of each request that is turned away: the name of its key, if it has one, and why, as an
error's code."""


def _uncounted(_: str, __: str) -> None:
    """Where nobody wants to know."""


class Caller:
    """One who asks: a key, or everybody where none is wanted. Open while it is asked for.

    Args:
        entry: The key's; None for everybody.
        rate: Requests a second, where the key has no rate of its own; None: no limit.
        clock: Seconds.
        count: Told of requests that are turned away.
    """

    __slots__ = ("_bucket", "_clock", "_count", "_entry", "_open", "_revoked")

    def __init__(
        self, entry: KeyEntry | None, rate: float | None, clock: Clock, count: Count = _uncounted
    ) -> None:
        self._clock = clock
        self._count = count
        self._open = 0
        self._revoked = False
        self._bucket: TokenBucket | None = None
        self.change(entry, rate)

    def change(self, entry: KeyEntry | None, rate: float | None) -> None:
        """Take what its file says now; what it has used up stays used up."""
        self._entry = entry
        own = entry.rate if entry is not None else None
        burst = entry.burst if entry is not None else None
        rate = rate if own is None else own
        if rate is None:
            self._bucket = None
        elif self._bucket is None:
            self._bucket = TokenBucket(rate, burst, self._clock())
        else:
            self._bucket.change(rate, burst)

    def revoke(self) -> None:
        """It may ask no more; what it has open is answered."""
        self._revoked = True

    def require_admin(self) -> None:
        """Raises:
        Forbidden: it may not load and unload models.
        """
        if self._entry is not None and not self._entry.admin:
            raise self._refused(
                Forbidden(
                    f"the key {self._entry.name} may not load or unload models",
                    hints=["ask with a key that was made with --admin"],
                )
            )

    def __enter__(self) -> None:
        """Raises:
        Unauthenticated: its key was taken away since.
        RateLimited: it asks too often, or too much at once.
        """
        if self._revoked:
            raise self._refused(Unauthenticated("this API key is valid no more"))
        most = self._entry.concurrent if self._entry is not None else None
        if most is not None and self._open >= most:
            raise self._refused(
                RateLimited(
                    f"{self._who} has {most} request{'s' if most != 1 else ''} open, its limit",
                    hints=["wait for an answer before asking more"],
                    retry_after=1.0,
                )
            )
        if self._bucket is not None and (wait := self._bucket.take(self._clock())) > 0:
            raise self._refused(
                RateLimited(
                    f"{self._who} may make {self._bucket.rate:g} requests a second",
                    context={"found": "more"},
                    hints=[f"wait {wait:.3f} s"],
                    retry_after=wait,
                )
            )
        self._open += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open -= 1

    def _refused(self, error: PaddlesrvError) -> PaddlesrvError:
        self._count("" if self._entry is None else self._entry.name, error.code)
        return error

    @property
    def _who(self) -> str:
        return "all clients together" if self._entry is None else f"the key {self._entry.name}"


class Gate:
    """The keys of one server, and who asks with them.

    Args:
        path: The file of keys; None: everybody may ask.
        rate: Requests a second for each key that has no rate of its own; without keys, for all
            clients together. None: as many as come.
        clock: Seconds; tests have their own.
        count: Told of requests that are turned away.

    Raises:
        UsageError, IntegrityError: as `read_keys`.
    """

    def __init__(
        self,
        path: Path | None,
        rate: float | None,
        clock: Clock = time.monotonic,
        count: Count = _uncounted,
    ) -> None:
        self._path = path
        self._rate = rate
        self._clock = clock
        self._count = count
        self._everybody = Caller(None, rate, clock, count)
        self._callers: dict[str, tuple[KeyEntry, Caller]] = {}
        self._seen: tuple[int, ...] | None = None
        if path is not None:
            self._seen = _identity(path)
            self._take(read_keys(path))

    def identify(self, key: bytes | None) -> Caller:
        """Who asks with this key.

        Raises:
            Unauthenticated: it is none of those that are taken, or missing.
        """
        if self._path is None:
            return self._everybody
        if not key:
            self._count("", Unauthenticated.code)
            raise Unauthenticated(
                "this server wants an API key",
                hints=["HTTP and gRPC: `authorization: Bearer KEY`; bRPC: authentication_data"],
            )
        digest = digest_of(key) if len(key) <= MAX_KEY_BYTES else b""
        found: Caller | None = None
        # Held against all of them, whichever it is: time tells nothing of where it was found.
        for entry, caller in self._callers.values():
            if hmac.compare_digest(entry.digest, digest):
                found = caller
        if found is None:
            self._count("", Unauthenticated.code)
            raise Unauthenticated(
                "this API key is not valid", hints=["ask whoever runs the server for one"]
            )
        return found

    def reload(self) -> None:
        """Read the file again; one that cannot be used changes nothing, but is logged."""
        if self._path is None:
            return
        self._seen = _identity(self._path)
        try:
            entries = read_keys(self._path)
        except PaddlesrvError as error:
            log.error("the API keys stay as they were: %s", error.message)
            return
        self._take(entries)
        log.info("%d API keys in force", len(entries))

    def reload_if_changed(self) -> None:
        """Read the file again if it is another than the one that was read."""
        if self._path is not None and _identity(self._path) != self._seen:
            self.reload()

    def _take(self, entries: Sequence[KeyEntry]) -> None:
        before, self._callers = self._callers, {}
        for entry in entries:
            known, caller = before.get(entry.name, (None, None))
            if known is None or caller is None or known.digest != entry.digest:
                caller = Caller(entry, self._rate, self._clock, self._count)
            else:
                del before[entry.name]
                caller.change(entry, self._rate)
            self._callers[entry.name] = entry, caller
        for _, gone in before.values():
            gone.revoke()


def _identity(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is replaced or written; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
