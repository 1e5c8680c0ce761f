"""An error on its way to a client: one text, one request id and one line in the log.

Every protocol says it in its own form, with its own number: `http_status`, `grpc_status` and
`brpc_code` of the error's class.
"""

from __future__ import annotations

import logging
import os

import msgspec

from paddlesrv.errors import PaddlesrvError

log = logging.getLogger("paddlesrv.requests")

MAX_REQUEST_ID = 64
"""Characters of a client's own request id; a longer one is not taken."""


MAX_PART = 600
"""Bytes of each part of an error's text. Names that clients chose stand in it, and gRPC's clients
take no more than 8 KB of text and metadata, of which a byte may need three."""


class Refusal(msgspec.Struct, frozen=True):
    """What a client is told in place of an answer."""

    error: PaddlesrvError
    request_id: str

    @property
    def text(self) -> str:
        """What happened, to what, what came and what was expected, in one line."""
        told = _shortened(self.error.message)
        parts = [f"{name}: {_shortened(text)}" for name, text in self.error.context.items()]
        return f"{told} ({'; '.join(parts)})" if parts else told

    @property
    def hint(self) -> str | None:
        """What to do next, if the error knows."""
        return _shortened(self.error.hints[0]) if self.error.hints else None

    @property
    def line(self) -> str:
        """Text, hint and request id in one line, for protocols with room for nothing else."""
        hint = f"; hint: {self.hint}" if self.hint else ""
        return f"{self.text}{hint} [request {self.request_id}]"


def refuse(protocol: str, error: Exception, given: str | None = None) -> Refusal:
    """Make a refusal, and log it under its request id.

    Args:
        protocol: What the client speaks: `http`, `grpc` or `brpc`.
        error: What was raised. One that is not ours is our own mistake: its traceback goes into
            the log, and the client learns no more than that it happened.
        given: The client's own id for the request, if it has one.
    """
    request_id = given if given is not None and _usable(given) else os.urandom(8).hex()
    if isinstance(error, PaddlesrvError):
        refusal = Refusal(error, request_id)
        log.info("%s request %s: %d %s", protocol, request_id, error.http_status, refusal.text)
        return refusal
    log.error("%s request %s failed", protocol, request_id, exc_info=error)
    return Refusal(PaddlesrvError("internal error"), request_id)


def _shortened(text: str) -> str:
    """The text without its middle, if it is too long."""
    if len(text) * 4 <= MAX_PART or len(data := text.encode(errors="replace")) <= MAX_PART:
        return text
    half = MAX_PART // 2
    begin, end = data[:half].decode(errors="ignore"), data[-half:].decode(errors="ignore")
    return f"{begin} ... {end}"


def _usable(given: str) -> bool:
    """Whether a client's id can stand in a log line and a header."""
    if not 0 < len(given) <= MAX_REQUEST_ID:
        return False
    return all(c.isascii() and (c.isalnum() or c in "-_.") for c in given)
