"""Frames of bRPC's protocol `baidu_std`: a header, the call's meta, the message, an attachment.

Format: apache/brpc, docs/en/baidu_std.md: `PRPC`, the length of all that follows the header and
the length of the meta, both 32 bits in network byte order; then the meta (`brpc.policy.RpcMeta`),
the message, and the attachment, whose length stands in the meta.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from paddlesrv_client.wire.messages import message

MAGIC = b"PRPC"
HEADER = struct.Struct("!4sII")
MAX_META = 64 << 10
"""Bytes of a meta; it holds names and numbers, and perhaps a token."""

RpcMeta = message("brpc.policy.RpcMeta")


class FrameError(Exception):
    """Bytes that are no frame, or one over a limit; what follows them cannot be told apart.

    Attributes:
        correlation_id: The call that the frame was of, if its meta could be read.
        too_large: Whether only its size is wrong.
    """

    def __init__(
        self, text: str, *, correlation_id: int | None = None, too_large: bool = False
    ) -> None:
        super().__init__(text)
        self.correlation_id = correlation_id
        self.too_large = too_large


class Frame(NamedTuple):
    """One frame: its meta, the message as it was sent (perhaps compressed), the attachment."""

    meta: Any
    body: bytes
    attachment: bytes


def encode(meta: Any, body: bytes, attachment: bytes = b"") -> bytes:
    """A frame's bytes; the meta's `attachment_size` is set here."""
    if attachment:
        meta.attachment_size = len(attachment)
    head = meta.SerializeToString()
    size = len(head) + len(body) + len(attachment)
    return b"".join([HEADER.pack(MAGIC, size, len(head)), head, body, attachment])


class FrameReader:
    """Bytes in, in whatever pieces they come; frames out.

    Args:
        max_body: Bytes of a frame behind its header and its meta.
    """

    def __init__(self, max_body: int) -> None:
        self._max_body = max_body
        self._bytes = bytearray()

    @property
    def waiting(self) -> bool:
        """Whether the beginning of a frame is here, and its end is not."""
        return bool(self._bytes)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that these bytes complete.

        Raises:
            FrameError: they are no frame, or it is too large; nothing more can be read.
        """
        self._bytes += data
        while len(self._bytes) >= HEADER.size:
            magic, size, meta_size = HEADER.unpack_from(self._bytes)
            self._check(magic, size, meta_size)
            if len(self._bytes) < HEADER.size + meta_size:
                return
            if size - meta_size > self._max_body:
                # Its meta is here: whoever called can be told.
                raise self._too_large(size - meta_size, meta_size)
            end = HEADER.size + size
            if len(self._bytes) < end:
                return
            frame = self._frame(bytes(memoryview(self._bytes)[HEADER.size : end]), meta_size)
            del self._bytes[:end]
            yield frame

    def _check(self, magic: bytes, size: int, meta_size: int) -> None:
        if magic != MAGIC:
            raise FrameError(f"a frame begins with PRPC, not with {magic!r}")
        if meta_size > size:
            raise FrameError(f"a meta of {meta_size} bytes in a frame of {size}")
        if meta_size > MAX_META:
            raise FrameError(f"a meta of {meta_size} bytes; the limit is {MAX_META}")

    def _too_large(self, size: int, meta_size: int) -> FrameError:
        meta = _meta(bytes(self._bytes[HEADER.size : HEADER.size + meta_size]))
        return FrameError(
            f"a message of {size} bytes; the limit is {self._max_body}",
            correlation_id=meta.correlation_id,
            too_large=True,
        )

    @staticmethod
    def _frame(content: bytes, meta_size: int) -> Frame:
        meta = _meta(content[:meta_size])
        attached = meta.attachment_size
        if not 0 <= attached <= len(content) - meta_size:
            raise FrameError(
                f"an attachment of {attached} bytes in {len(content) - meta_size}",
                correlation_id=meta.correlation_id,
            )
        middle = len(content) - attached
        return Frame(meta, content[meta_size:middle], content[middle:])


def _meta(data: bytes) -> Any:
    try:
        return RpcMeta.FromString(data)
    except DecodeError:
        raise FrameError("a meta that is none") from None
