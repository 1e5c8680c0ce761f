"""Compressed bodies: what a client sends may not become more than it is allowed to.

A kilobyte can unpack to a gigabyte, so that nothing here is unpacked without a limit.
"""

from __future__ import annotations

import zlib
from typing import Literal

Compression = Literal["none", "snappy", "gzip", "zlib", "zstd"]

BRPC_CODES: dict[int, Compression] = {0: "none", 1: "snappy", 2: "gzip", 3: "zlib"}
"""`compress_type` in the meta of a frame (apache/brpc, src/brpc/options.proto); 4, lz4, is
none that its own servers can read."""

HTTP_CODINGS: dict[str, Compression] = {
    "identity": "none", "gzip": "gzip", "x-gzip": "gzip", "deflate": "zlib", "zstd": "zstd",
}  # fmt: skip
"""`Content-Encoding` and `Accept-Encoding` (RFC 9110, 8.4.1; RFC 8878)."""

_GZIP, _ZLIB = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS
_ZSTD_WINDOW = 8 << 20
"""Bytes of memory that a zstd body may ask for: what RFC 8878, 3.1.1.1.2 recommends."""
_ZSTD_STEP = 512
"""Bytes of input at a time: of so many no more than 16 MB can come, which is all that the limit
can be passed by before it is seen."""
_FAST = 1
"""The level: more than half of the gain for a fraction of the time."""


class CompressionError(Exception):
    """Bytes that are not compressed as was said, or become too many.

    Attributes:
        too_large: Whether only that is wrong.
    """

    def __init__(self, text: str, *, too_large: bool = False) -> None:
        super().__init__(text)
        self.too_large = too_large


def decompress(kind: Compression, data: bytes, limit: int) -> bytes:
    """What was compressed.

    Raises:
        CompressionError: it is not of that kind, is cut off, or more than `limit` bytes.
    """
    if kind == "none":
        return data
    if kind == "snappy":
        return _unsnappy(data, limit)
    if kind == "zstd":
        return _unzstd(data, limit)
    stream = zlib.decompressobj(_GZIP if kind == "gzip" else _ZLIB)
    try:
        found = stream.decompress(data, limit + 1)
    except zlib.error as error:
        raise CompressionError(f"the body is not {kind}: {error}") from None
    if len(found) > limit:
        raise _too_large(limit)
    if not stream.eof:
        raise CompressionError(f"the {kind} body is cut off")
    if stream.unused_data:
        raise CompressionError(f"bytes are left behind the {kind} body")
    return found


def compress(kind: Compression, data: bytes) -> bytes:
    """The same bytes, compressed fast rather than well."""
    if kind == "none":
        return data
    if kind == "snappy":
        import cramjam

        return bytes(cramjam.snappy.compress_raw(data))
    if kind == "zstd":
        import zstandard

        return zstandard.ZstdCompressor(level=_FAST).compress(data)
    stream = zlib.compressobj(_FAST, wbits=_GZIP if kind == "gzip" else _ZLIB)
    return stream.compress(data) + stream.flush()


def _unzstd(data: bytes, limit: int) -> bytes:
    import zstandard

    stream = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
    parts: list[bytes] = []
    size = 0
    try:
        # The library itself has no limit on what comes out.
        for place in range(0, len(data), _ZSTD_STEP):
            part = stream.decompress(data[place : place + _ZSTD_STEP])
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            parts.append(part)
            if stream.eof:
                break
    except zstandard.ZstdError as error:
        raise CompressionError(f"the body is not zstd: {error}") from None
    if not stream.eof:
        raise CompressionError("the zstd body is cut off")
    if stream.unused_data or place + _ZSTD_STEP < len(data):
        raise CompressionError("bytes are left behind the zstd body")
    return b"".join(parts)


def _unsnappy(data: bytes, limit: int) -> bytes:
    import cramjam

    size = _snappy_size(data)
    if size > limit:
        raise _too_large(limit)
    try:
        found = bytes(cramjam.snappy.decompress_raw(data))
    except cramjam.DecompressionError as error:
        raise CompressionError(f"the body is not snappy: {error}") from None
    if len(found) != size:
        raise CompressionError("the snappy body is not as long as it says")
    return found


def _snappy_size(data: bytes) -> int:
    """The length that stands at the beginning: a varint of at most 32 bits.

    Format: google/snappy, format_description.txt.
    """
    size = 0
    for place, byte in enumerate(data[:5]):
        size |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return size
    raise CompressionError("the body is not snappy: it says no length")


def _too_large(limit: int) -> CompressionError:
    return CompressionError(f"the body unpacks to more than {limit} bytes", too_large=True)
