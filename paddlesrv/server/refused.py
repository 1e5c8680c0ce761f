"""An error as an answer over HTTP."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from paddlesrv.server.connection import Request, Response
from paddlesrv.server.refusal import Refusal, refuse


def refused(request: Request, error: Exception) -> Response:
    """The answer to a request that failed; its id stands in the log too."""
    return answer(refuse("http", error, request.header(b"x-request-id")), {})


def answer(refusal: Refusal, besides: Mapping[str, Any]) -> Response:
    """The answer for a refusal.

    Args:
        refusal: What is refused.
        besides: What else clients of the route look for.
    """
    known = refusal.error
    body = {
        "error": refusal.text,
        "code": known.code,
        "hint": refusal.hint,
        "request_id": refusal.request_id,
        **besides,
    }
    headers = [(b"x-request-id", refusal.request_id.encode())]
    if known.http_status == 401:
        headers.append((b"www-authenticate", b"Bearer"))  # RFC 9110, 11.6.1: it must say how
    if known.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(known.retry_after))))
    return Response(
        known.http_status,
        msgspec.json.encode(body),
        headers=tuple(headers),
        # What is left of such a body is not read: the connection cannot be used again.
        close=known.http_status in (408, 413),
    )
