"""How requests become a batch and a batch's outputs become answers. Pure: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from paddlesrv.models.spec import ModelSpec
from paddlesrv.models.tensor import Array, Tensor, concatenate_lod, dtype_name
from paddlesrv.server.arena import Segment, TensorView, aligned
from paddlesrv.server.protocols.datatypes import size_of

Key = tuple[tuple[int, ...], ...]


class UndividableError(Exception):
    """The outputs of a batch do not divide by the model's rules; it was not to be batched."""


def merge_key(spec: ModelSpec, inputs: Mapping[str, Tensor]) -> Key | None:
    """What two requests must have in common to share a batch; None if this one shares with none.

    Types are fixed by validation, so it is the shapes without the batch dimension.
    """
    shapes = []
    for declared in spec.inputs:
        if declared.batching == "whole":
            return None
        shapes.append(inputs[declared.name].data.shape[1:])
    return tuple(shapes)


class BatchWriter:
    """Puts the rows of one request after another's into shared memory, while more may come.

    Row-wise inputs have their place from the start, since the capacity is known, and are copied as
    they come; inputs with offsets, and texts, are laid end to end when the batch is sealed.
    """

    def __init__(
        self, spec: ModelSpec, segment: Segment, first: Mapping[str, Tensor], capacity: int
    ) -> None:
        self._spec = spec
        self._segment = segment
        self._eager = all(
            t.batching == "rows" and t.lod_level == 0 and t.dtype != "bytes" for t in spec.inputs
        )
        self._views: list[TensorView] = []
        self._regions: list[tuple[str, Array]] = []
        self._rows = 0
        end = 0
        for declared in spec.inputs if self._eager else ():
            data = first[declared.name].data
            shape = (capacity, *data.shape[1:])
            offset = aligned(end)
            self._views.append(TensorView(declared.name, dtype_name(data), shape, offset))
            end = offset + data.nbytes // data.shape[0] * capacity
        if self._eager:
            segment.reserve(end)
            for v in self._views:
                self._regions.append((v.name, segment.array(v.offset, v.dtype, v.shape)))

    def place(self, inputs: Mapping[str, Tensor], row: int, rows: int) -> None:
        """Copy a request's rows to where they belong, from row `row` on."""
        self._rows = row + rows
        for name, region in self._regions:
            region[row : row + rows] = inputs[name].data

    def seal(self, members: Sequence[Mapping[str, Tensor]]) -> list[TensorView]:
        """The batch as the worker must see it; `members` in the order in which they were placed."""
        if self._eager:
            for view in self._views:
                view.shape = (self._rows, *view.shape[1:])
            return self._views
        return self._lay_end_to_end(members)

    def _lay_end_to_end(self, members: Sequence[Mapping[str, Tensor]]) -> list[TensorView]:
        segment = self._segment
        views = []
        end = 0
        for declared in self._spec.inputs:
            parts = [m[declared.name] for m in members]
            rows = sum(p.data.shape[0] for p in parts)
            offset = aligned(end)
            end = offset + sum(size_of(p.data) for p in parts)
            lods = [p.lod for p in parts if p.lod is not None]
            lod = concatenate_lod(lods) if lods else None
            first = parts[0].data
            shape = (rows, *first.shape[1:])
            views.append(TensorView(declared.name, dtype_name(first), shape, offset, lod))
        segment.reserve(max(end, 1))
        for view in views:
            segment.put(view, [member[view.name].data for member in members])
        return views


def divide(
    spec: ModelSpec, outputs: Mapping[str, Tensor], rows: Sequence[int]
) -> list[dict[str, Tensor]]:
    """Each request's share of a batch's outputs, copied out of shared memory.

    Args:
        spec: The model, whose outputs say how they divide.
        outputs: What the worker answered.
        rows: Rows of each request, in the order of the batch.

    Raises:
        UndividableError: an output has not the rows that its rule promises.
    """
    if len(rows) == 1:
        return [{n: Tensor(t.data.copy(), t.lod) for n, t in outputs.items()}]
    total = sum(rows)
    shares: list[dict[str, Tensor]] = [{} for _ in rows]
    for name, tensor in outputs.items():
        if _nothing_found(tensor):
            for share in shares:
                share[name] = Tensor(tensor.data.copy(), tensor.lod)
            continue
        bounds = _bounds(spec, name, outputs, total)
        data = tensor.data.copy()  # once for all: the shares are views of the copy
        start = 0
        for share, count in zip(shares, rows, strict=True):
            first, last = bounds[start], bounds[start + count]
            lod = None
            if tensor.lod is not None:
                lod = tuple(b - first for b in bounds[start : start + count + 1])
            share[name] = Tensor(data[first:last], lod)
            start += count
    return shares


def _nothing_found(tensor: Tensor) -> bool:
    """Whether this is how detectors (multiclass_nms) say that a whole batch holds nothing.

    One row of one -1, instead of rows of six numbers and an empty span for each picture.
    """
    return tensor.lod == (0, 1) and tensor.data.shape == (1, 1) and tensor.data[0, 0] == -1


def _bounds(spec: ModelSpec, name: str, outputs: Mapping[str, Tensor], total: int) -> Sequence[int]:
    """Offsets into the first dimension of an output, one more than there are rows in the batch."""
    tensor = outputs[name]
    declared = next((o for o in spec.outputs if o.name == name), None)
    rule = declared.batching if declared else "rows"
    length = tensor.data.shape[0] if tensor.data.ndim else 0
    bounds: Sequence[int]
    if tensor.lod is not None:
        bounds = tensor.lod
    elif rule == "counts" and declared is not None and declared.counts is not None:
        counts = outputs[declared.counts].data.reshape(-1)
        bounds = [0, *(int(c) for c in counts.cumsum())]
    elif rule == "rows":
        bounds = range(total + 1)
    else:
        raise UndividableError(f"output {name!r} of model {spec.name!r} does not divide")
    if len(bounds) != total + 1 or bounds[-1] != length:
        raise UndividableError(
            f"output {name!r} of model {spec.name!r} has {length} rows for a batch of {total}"
        )
    return bounds


def slice_rows(
    spec: ModelSpec, inputs: Mapping[str, Tensor], start: int, stop: int
) -> dict[str, Tensor]:
    """Rows (or sequences) start:stop of a request that is too large for one batch."""
    part = {}
    for declared in spec.inputs:
        tensor = inputs[declared.name]
        if tensor.lod is None:
            part[declared.name] = Tensor(tensor.data[start:stop])
        else:
            base = tensor.lod[start]
            lod = tuple(o - base for o in tensor.lod[start : stop + 1])
            part[declared.name] = Tensor(tensor.data[base : tensor.lod[stop]], lod)
    return part


def join_rows(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The outputs of a request that was cut into parts, laid end to end again."""
    joined = {}
    for name, tensor in parts[0].items():
        data = np.concatenate([p[name].data for p in parts])
        lods = [lod for p in parts if (lod := p[name].lod) is not None]
        joined[name] = Tensor(data, concatenate_lod(lods) if tensor.lod is not None else None)
    return joined
