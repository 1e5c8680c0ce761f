"""Compressed bodies over HTTP: what clients send, and what they accept.

Source: RFC 9110, 8.4 and 12.5.3.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor

from paddlesrv_client.wire.compression import (
    HTTP_CODINGS,
    Compression,
    CompressionError,
    compress,
    decompress,
)

from paddlesrv.errors import InvalidInput, PayloadTooLarge, UnsupportedMediaType

LEAST = 1024
"""Bytes of an answer from which on it is compressed: below that, it would hardly get smaller."""

LONG = 64 << 10
"""Bytes from which on the work is done in a thread, so that nobody else waits for it."""

_ANSWERED = ("zstd", "gzip", "deflate")
"""Best first."""


async def decoded(body: bytes, coding: str, limit: int) -> bytes:
    """A request's body as it was before `Content-Encoding`.

    Raises:
        UnsupportedMediaType: the coding is not known.
        InvalidInput: the body is not of that coding.
        PayloadTooLarge: it becomes more than `limit` bytes.
    """
    kind = HTTP_CODINGS.get(coding.strip().lower())
    if kind is None:
        raise UnsupportedMediaType(
            f"content encoding {coding!r} is not taken",
            context={"wanted": ", ".join(HTTP_CODINGS)},
        )
    try:
        if len(body) < LONG or kind == "none":
            return decompress(kind, body, limit)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, decompress, kind, body, limit)
    except CompressionError as error:
        if error.too_large:
            raise PayloadTooLarge(
                f"the body unpacks to more than {limit} bytes",
                hints=["send less at a time, or start the server with a larger --max-body"],
            ) from None
        raise InvalidInput(str(error)) from None


def chosen(accept: str, content_type: bytes) -> str | None:
    """The coding in which a client gets an answer; None for as it is.

    Tensors in binary form are compressed only for a client that asks for one coding and no other:
    most clients list all that they can read, and numbers seldom get smaller.
    """
    accepted = [word for word, weight in _weights(accept) if weight > 0]
    known = [coding for coding in _ANSWERED if coding in accepted]
    if not known and "*" in accepted:
        known = [_ANSWERED[0]]
    if content_type.startswith((b"application/json", b"text/")):
        return known[0] if known else None
    return known[0] if len(accepted) == 1 and known else None


async def encoded(pool: Executor, body: bytes, coding: str) -> bytes:
    """An answer's body in that coding."""
    kind: Compression = HTTP_CODINGS[coding]
    if len(body) < LONG:
        return compress(kind, body)
    return await asyncio.get_running_loop().run_in_executor(pool, compress, kind, body)


def _weights(accept: str) -> list[tuple[str, float]]:
    found = []
    for part in accept.lower().split(","):
        word, _, parameter = part.strip().partition(";")
        name, _, value = parameter.strip().partition("=")
        weight = 1.0
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                weight = 0.0
        if word.strip() not in ("", "identity"):
            found.append((word.strip(), weight))
    return found
