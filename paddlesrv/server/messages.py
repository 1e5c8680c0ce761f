"""What gateway process, fork server and workers say to each other: typed, never pickled."""

from __future__ import annotations

import struct
from typing import BinaryIO

import msgspec

from paddlesrv.engines.base import EngineOptions
from paddlesrv.models.spec import ModelSpec
from paddlesrv.sealing.opening import Unsealing
from paddlesrv.server.arena import TensorView


class Load(msgspec.Struct, tag=True, frozen=True):
    """Gateway to worker, once: load this model, and keep to these cores if there are any.

    Of an encrypted model, `sealed` tells where its network lies, and how to open it.
    """

    spec: ModelSpec
    root: str
    options: EngineOptions
    cores: tuple[int, ...] = ()
    sealed: Unsealing | None = None


class Run(msgspec.Struct, tag=True, frozen=True):
    """Gateway to worker: run the batch that lies in a slot."""

    slot: int
    inputs: list[TensorView]


class Loaded(msgspec.Struct, tag=True, frozen=True):
    """Worker to gateway: ready to run."""

    seconds: float


class Done(msgspec.Struct, tag=True, frozen=True):
    """Worker to gateway: the outputs lie in the slot; `seconds` is the engine's own time."""

    slot: int
    outputs: list[TensorView]
    seconds: float


class Failed(msgspec.Struct, tag=True, frozen=True):
    """Worker to gateway: the load (slot -1) or the run failed; the worker goes on."""

    slot: int
    code: str
    message: str
    context: dict[str, str] = {}
    hints: tuple[str, ...] = ()


class Spawn(msgspec.Struct, tag=True, frozen=True):
    """Gateway to fork server: start a worker; descriptors of its socket and slots come along."""

    worker: int


class Kill(msgspec.Struct, tag=True, frozen=True):
    """Gateway to fork server: kill a worker with SIGKILL, if it still lives."""

    worker: int


class Preloaded(msgspec.Struct, tag=True, frozen=True):
    """Fork server to gateway: the engine's library is in memory."""

    seconds: float


class Spawned(msgspec.Struct, tag=True, frozen=True):
    """Fork server to gateway: the worker runs."""

    worker: int
    pid: int


class Exited(msgspec.Struct, tag=True, frozen=True):
    """Fork server to gateway: the worker has ended; `status` as `os.waitstatus_to_exitcode`."""

    worker: int
    status: int


ToWorker = Load | Run
FromWorker = Loaded | Done | Failed
ToForkServer = Spawn | Kill
FromForkServer = Preloaded | Spawned | Exited

_HEADER = struct.Struct("!I")
_encoder = msgspec.msgpack.Encoder()

decode_from_worker = msgspec.msgpack.Decoder(FromWorker).decode
decode_to_worker = msgspec.msgpack.Decoder(ToWorker).decode
decode_to_fork_server = msgspec.msgpack.Decoder(ToForkServer).decode
decode_from_fork_server = msgspec.msgpack.Decoder(FromForkServer).decode
encode = _encoder.encode


def frame(message: msgspec.Struct) -> bytes:
    """A message as it goes over a stream: four bytes of length, then the body."""
    body = _encoder.encode(message)
    return _HEADER.pack(len(body)) + body


class FrameBuffer:
    """Cuts a stream of bytes into the bodies that were framed."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Add bytes that arrived; the bodies that are now whole."""
        self._buffer += data
        bodies: list[bytes] = []
        start = 0
        while len(self._buffer) - start >= _HEADER.size:
            (length,) = _HEADER.unpack_from(self._buffer, start)
            end = start + _HEADER.size + length
            if len(self._buffer) < end:
                break
            bodies.append(bytes(self._buffer[start + _HEADER.size : end]))
            start = end
        if start:
            del self._buffer[:start]
        return bodies


def receive(stream: BinaryIO) -> bytes | None:
    """Wait for one framed body; None when the other side has closed.

    The stream is buffered: head and body come with one system call.
    """
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    (length,) = _HEADER.unpack(header)
    body = stream.read(length)
    return body if len(body) == length else None
