"""Errors of protocols that have one line of text for them: `TEXT; hint: HINT [request ID]`."""

from __future__ import annotations

import re

from paddlesrv_client.errors import ServerError

_LINE = re.compile(
    r"(?P<text>.*?)(?:; hint: (?P<hint>.*?))?(?: \[request (?P<id>[^\]\s]+)\])?", re.DOTALL
)


def server_error(line: str, status: int | str, *, transient: bool) -> ServerError:
    """The error of a line; of other servers' lines, all is text."""
    found = _LINE.fullmatch(line)
    text, hint, request_id = found.group("text", "hint", "id") if found else (line, None, None)
    return ServerError(
        text or "the server refused",
        status,
        hint=hint,
        request_id=request_id,
        transient=transient,
    )
