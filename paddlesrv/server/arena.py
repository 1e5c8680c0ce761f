"""Shared memory between the gateway process and a worker: anonymous segments that grow.

A segment has no name in any file system: it lives as long as a process holds its descriptor, so
nothing can be left behind, whoever is killed. Each slot has two: `request`, written by the
gateway process, and `response`, written by the worker. Segments are reused from batch to batch
and only ever grow; pages cost memory once they are touched.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Sequence

import msgspec
import numpy as np

from paddlesrv.models.tensor import Array, Tensor, dtype_name
from paddlesrv.server.protocols.datatypes import elements_at, of_elements, size_of, to_bytes

ALIGNMENT = 64
"""Bytes; a cache line, and what vectorised kernels like to load from."""

_INITIAL_BYTES = 1 << 16


class TensorView(msgspec.Struct, array_like=True):
    """Where a tensor lies in a segment, as told to the other process.

    Numbers lie there as they are; texts (`bytes`) each after its length, as `to_bytes` has it.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    lod: tuple[int, ...] | None = None


class Segment:
    """One growing piece of shared memory, seen from one process."""

    def __init__(self, fd: int | None = None) -> None:
        """Open a segment by its descriptor, or create one.

        The descriptor is owned by the segment from then on.
        """
        self.fd = _anonymous_file() if fd is None else fd
        self._map: mmap.mmap | None = None
        self._size = 0
        if fd is None:
            os.ftruncate(self.fd, _INITIAL_BYTES)

    def reserve(self, size: int) -> None:
        """Make the segment at least `size` bytes long (by doubling, so that it settles)."""
        if self._size >= size:
            return
        have = os.fstat(self.fd).st_size
        if have < size:
            while have < size:
                have *= 2
            os.ftruncate(self.fd, have)
        self._remap()

    def array(self, offset: int, dtype: str, shape: Sequence[int]) -> Array:
        """A view of shared memory as an array; no copy, but for texts.

        Raises:
            ValueError: the array would reach past the end of the segment.
        """
        count = 1
        for dimension in shape:
            count *= dimension
        if dtype == "bytes":
            return self._texts(offset, count, shape)
        kind = np.dtype(dtype)
        end = offset + count * kind.itemsize
        if self._map is None or end > self._size:
            self._remap()
        if self._map is None or end > self._size:
            raise ValueError(f"a tensor ends at {end}, the segment at {self._size}")
        flat = np.frombuffer(self._map, dtype=kind, count=count, offset=offset)
        return flat.reshape(tuple(shape))

    def write(self, tensors: dict[str, Tensor]) -> list[TensorView]:
        """Copy tensors into the segment, one after the other, and say where they lie."""
        views: list[TensorView] = []
        end = 0
        for name, tensor in tensors.items():
            offset = aligned(end)
            end = offset + size_of(tensor.data)
            dtype = dtype_name(tensor.data)
            views.append(TensorView(name, dtype, tensor.data.shape, offset, tensor.lod))
        self.reserve(max(end, 1))
        for view in views:
            self.put(view, [tensors[view.name].data])
        return views

    def put(self, view: TensorView, parts: Sequence[Array]) -> None:
        """Copy arrays to where a tensor lies, one after the other; the segment must be as long."""
        if view.dtype == "bytes":
            assert self._map is not None, "nothing was reserved"
            offset = view.offset
            for part in parts:
                packed = to_bytes(part)
                self._map[offset : offset + len(packed)] = packed
                offset += len(packed)
            return
        target = self.array(view.offset, view.dtype, view.shape)
        if len(parts) == 1:
            target[...] = parts[0]
            return
        row = 0
        for part in parts:
            target[row : row + part.shape[0]] = part
            row += part.shape[0]

    def read(self, views: Sequence[TensorView]) -> dict[str, Tensor]:
        """The tensors that lie there, as views: valid until the slot is used again."""
        return {v.name: Tensor(self.array(v.offset, v.dtype, v.shape), v.lod) for v in views}

    def close(self) -> None:
        """Let go of the memory. Views that are still held keep their pages alive."""
        self._map = None
        self._size = 0
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _texts(self, offset: int, count: int, shape: Sequence[int]) -> Array:
        self._remap()  # how far they reach is not known before
        assert self._map is not None
        with memoryview(self._map) as blob:
            return of_elements(elements_at(blob, offset, count), tuple(shape))

    def _remap(self) -> None:
        size = os.fstat(self.fd).st_size
        # The old map is not closed but dropped: arrays may still look into it.
        self._map = mmap.mmap(self.fd, size)
        self._size = size


class Slot:
    """A pair of segments, for one batch at a time."""

    def __init__(self, fds: tuple[int, int] | None = None) -> None:
        """Open a slot by its descriptors (request, response), or create one."""
        self.request = Segment(fds[0] if fds else None)
        self.response = Segment(fds[1] if fds else None)

    @property
    def fds(self) -> tuple[int, int]:
        """Descriptors to hand to the other process, in the order that the constructor takes."""
        return self.request.fd, self.response.fd

    def close(self) -> None:
        """Let go of both segments."""
        self.request.close()
        self.response.close()


def aligned(offset: int) -> int:
    """The next offset at which a tensor may start."""
    return (offset + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("paddlesrv", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:  # unlinked from the start
        return os.dup(file.fileno())
