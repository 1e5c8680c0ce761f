"""What a server's answer says of the file: its validator, its size, and which part it sends.

RFC 9110: sections 8.8.3 (ETag), 8.6 (Content-Length), 14.4 (Content-Range), 8.4 (encodings).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import httpx

_CONTENT_RANGE = re.compile(r"bytes\s+(\d+)-(\d+)/(\d+|\*)\s*\Z")


class ContentRange(NamedTuple):
    """The part that a 206 answer holds: from `first` to `last`, inclusive, of `total` if known."""

    first: int
    last: int
    total: int | None


def content_range(response: httpx.Response) -> ContentRange | None:
    """Which part it says to be; None if it does not say, or not understandably."""
    found = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    if found is None:
        return None
    total = None if found[3] == "*" else int(found[3])
    return ContentRange(int(found[1]), int(found[2]), total)


def content_length(response: httpx.Response) -> int | None:
    """Bytes of the body as it is sent."""
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def strong_etag(response: httpx.Response) -> str | None:
    """The ETag if it vouches for every byte; a weak one does not."""
    etag = response.headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else None


def encoding(response: httpx.Response) -> str | None:
    """How the body was encoded on its way, although it was asked for as it is; None if not."""
    text = response.headers.get("Content-Encoding", "").strip().lower()
    return None if text in ("", "identity") else text
