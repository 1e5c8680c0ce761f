"""Masks as runs: COCO's uncompressed run-length encoding.

Pixels are taken column by column, from the top of the leftmost one; `counts` are the lengths of
runs, alternately outside and inside the mask, beginning with outside (which may be 0 long).
See https://github.com/cocodataset/cocoapi, common/maskApi.h.
"""

from __future__ import annotations

import msgspec
import numpy as np

from paddlesrv.models.tensor import Array


class RunLengths(msgspec.Struct, frozen=True):
    """A mask: height and width in pixels, and the lengths of its runs."""

    size: tuple[int, int]
    counts: list[int]


def encode(mask: Array) -> RunLengths:
    """The runs of a mask (height x width; what is not 0 is inside)."""
    height, width = mask.shape
    # 0 in front: the first run is one outside.
    values = np.concatenate([[False], (mask != 0).ravel(order="F")])
    changes = np.flatnonzero(values[1:] != values[:-1])
    lengths = np.diff(changes, prepend=0, append=values.size - 1)
    return RunLengths((height, width), [int(length) for length in lengths])


def decode(runs: RunLengths) -> Array:
    """The mask, height x width, bool.

    Raises:
        ValueError: the runs are not as long as the mask.
    """
    height, width = runs.size
    inside = np.arange(len(runs.counts)) % 2 == 1
    return np.repeat(inside, runs.counts).reshape((height, width), order="F")
