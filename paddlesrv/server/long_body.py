"""A long body, read from the socket to where it stays.

The parser would get it in pieces, each of them copied on the way out of the event loop's buffer,
out of the piece and into the whole: for a picture's tensor that takes longer than all else that
serving it costs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import numpy as np

LONG = 64 << 10
"""Bytes that must still come for this to be worth the change of hands."""


HEAD = 4 << 10
"""Bytes that are read at a time where long bodies are to be expected; most heads are shorter."""


class Owner(Protocol):
    """The connection, which speaks again once the body is whole."""

    def data_received(self, data: bytes) -> None:
        """A piece for the parser."""

    def long_body_read(self, body: memoryview) -> None:
        """All of it is there."""

    def pause_writing(self) -> None:
        """As the transport tells a protocol."""

    def resume_writing(self) -> None:
        """As the transport tells a protocol."""

    def connection_lost(self, exc: Exception | None) -> None:
        """As the transport tells a protocol."""


class _InPlace(asyncio.BufferedProtocol):
    """Reads for a connection, which hears of all else."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    def pause_writing(self) -> None:
        """The client does not read its answers."""
        self._owner.pause_writing()

    def resume_writing(self) -> None:
        """It reads again."""
        self._owner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._owner.connection_lost(exc)


class ShortReads(_InPlace):
    """Reads little at a time, so that a head brings hardly anything of its long body along."""

    def __init__(self, owner: Owner) -> None:
        super().__init__(owner)
        self._piece = memoryview(bytearray(HEAD))

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        return self._piece

    def buffer_updated(self, nbytes: int) -> None:
        """So many have come."""
        self._owner.data_received(bytes(self._piece[:nbytes]))


class LongBody(_InPlace):
    """Takes a connection's place until a body of known length has come, and not a byte more.

    Args:
        owner: Told when it has.
        size: The body's length in bytes. Memory is touched, and so taken, as the bytes come in.
        begun: What the parser has already been given of it.
    """

    def __init__(self, owner: Owner, size: int, begun: Sequence[bytes]) -> None:
        super().__init__(owner)
        self._body = np.empty(size, np.uint8).data
        self._end = 0
        for part in begun:
            self._body[self._end : self._end + len(part)] = part
            self._end += len(part)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        return self._body[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        """So many have come."""
        self._end += nbytes
        if self._end == len(self._body):
            self._owner.long_body_read(self._body)
