"""What can go wrong for one who asks a server: one tree, whatever the protocol."""

from __future__ import annotations


class PaddlesrvClientError(Exception):
    """Base of all that a call raises, save mistakes in its arguments (ValueError, TypeError)."""


class ConnectionFailed(PaddlesrvClientError):
    """No connection, or it broke before the answer was there."""


class DeadlineExceeded(PaddlesrvClientError):
    """The call's time ran out, here or at the server."""


class MalformedAnswer(PaddlesrvClientError):
    """What came is no answer of this protocol, or contradicts itself."""


class NotSupported(PaddlesrvClientError):
    """This protocol has no such call; another has."""


class ServerError(PaddlesrvClientError):
    """The server refused the request, and says why.

    Attributes:
        message: What happened, in one line.
        status: The protocol's own: 404 (HTTP), "NOT_FOUND" (gRPC), 1003 (bRPC).
        code: The server's word for it, e.g. "invalid-input", where the protocol carries it.
        hint: What to do next, where the protocol carries it.
        request_id: The id under which the server's log has it.
        retry_after: Seconds after which the server asks to come back.
        transient: Whether the same request may succeed later.
    """

    def __init__(
        self,
        message: str,
        status: int | str,
        *,
        code: str | None = None,
        hint: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        transient: bool = False,
    ) -> None:
        super().__init__(f"{message} [{status}]" + (f"; hint: {hint}" if hint else ""))
        self.message = message
        self.status = status
        self.code = code
        self.hint = hint
        self.request_id = request_id
        self.retry_after = retry_after
        self.transient = transient
