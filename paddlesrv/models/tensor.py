"""`Tensor`: an array and, for sequences, the offsets that divide it.

It is what travels between tasks, scheduler and engines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


_names: dict[np.dtype[Any], str] = {}


def dtype_name(data: Array) -> str:
    """The name of an array's element type, as `TensorSpec.dtype` has it.

    It is numpy's, but for objects, which are `bytes` here: an array of texts. numpy works its name
    out anew each time, which is slow.
    """
    name = _names.get(data.dtype)
    if name is None:
        name = "bytes" if data.dtype.kind == "O" else data.dtype.name
        _names[data.dtype] = name
    return name


@dataclass(slots=True)
class Tensor:
    """An array, and its level-of-detail offsets if its rows are sequences laid end to end.

    `lod` of n sequences has n + 1 offsets, from 0 to the number of rows: rows lod[i]:lod[i+1] are
    sequence i. Only one level is known here; no model of the catalogue has two.
    """

    data: Array
    lod: tuple[int, ...] | None = None

    @property
    def rows(self) -> int:
        """Rows of a batch: sequences if there are offsets, else the first dimension."""
        if self.lod is not None:
            return len(self.lod) - 1
        return int(self.data.shape[0]) if self.data.ndim else 1


def concatenate_lod(parts: list[tuple[int, ...]]) -> tuple[int, ...]:
    """Offsets of sequences laid end to end: each part shifted by the rows before it."""
    offsets = [0]
    for part in parts:
        base = offsets[-1]
        offsets.extend(base + end for end in part[1:])
    return tuple(offsets)


def as_array(values: Any, dtype: str) -> Array:
    """A C-contiguous array of that type in native byte order, as engines want it."""
    return np.ascontiguousarray(values, dtype=dtype)
