"""A seeded input for any network, made from its signature alone.

It serves to compare two ways of running one network. It is small, valid for the declared shapes
and the same everywhere; a network may still refuse it (shapes do not say what an image's sides
must be multiples of, for instance).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Array, Tensor

_SEED = 20240229
IMAGE_SIDE = 96  # a multiple of 32, as detectors want
SEQUENCE = 8
_IDS = 4  # every vocabulary has as many
_PLAIN = {"segments": 0, "mask": 1}
"""Inputs of text encoders that are no ids of a vocabulary: one segment, all of it looked at."""


class _Sizes(NamedTuple):
    """Rows, and what dimensions that the model leaves open become."""

    rows: int
    side: int
    steps: int


def check_input(
    spec: ModelSpec, rows: int = 1, *, side: int = IMAGE_SIDE, steps: int = SEQUENCE, seed: int = 0
) -> dict[str, Tensor]:
    """Inputs for `rows` rows, or for as many sequences of 8 steps.

    Numbers of pictures (rank 4) are normally distributed, others are in [0, 1), ids are below 4.

    Args:
        spec: The model.
        rows: The batch.
        side: What open dimensions of pictures become, in pixels.
        steps: What all other open dimensions become.
        seed: Of several inputs, which.
    """
    random = np.random.default_rng(_SEED + seed)
    sizes = _Sizes(rows, side, steps)
    image = next((_shape(t, sizes)[2:] for t in spec.inputs if len(t.shape) == 4), None)
    return {tensor.name: _tensor(tensor, sizes, random, image) for tensor in spec.inputs}


def _tensor(
    spec: TensorSpec, sizes: _Sizes, random: np.random.Generator, image: tuple[int, ...] | None
) -> Tensor:
    if spec.lod_level:
        end = sizes.rows * SEQUENCE
        shape = (end, *_shape(spec, sizes)[1:])
        return Tensor(_values(spec, shape, random), tuple(range(0, end + 1, SEQUENCE)))
    shape = _shape(spec, sizes)
    # Detectors take the image's size and scale beside it, and divide by them.
    if "scale_factor" in spec.name:
        return Tensor(np.ones(shape, dtype=spec.dtype))
    if image and shape[-1:] == (2,) and any(word in spec.name for word in ("im_shape", "im_size")):
        return Tensor(np.broadcast_to(np.array(image, dtype=spec.dtype), shape).copy())
    return Tensor(_values(spec, shape, random))


def _values(spec: TensorSpec, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    if spec.role in _PLAIN:
        return np.full(shape, _PLAIN[spec.role], dtype=spec.dtype)
    if spec.dtype == "bool":
        return np.ones(shape, dtype=np.bool_)
    if spec.dtype in ("float16", "float32", "float64"):
        # Pictures come normalised; other numbers may be lengths or shares, which are not negative.
        values = random.standard_normal(shape) if len(shape) == 4 else random.random(shape)
        return values.astype(spec.dtype)
    ids = random.integers(0, _IDS, shape)
    if spec.dtype == "bytes":
        texts = np.empty(shape, dtype=object)
        texts.ravel()[:] = [b"%d" % value for value in ids.flat]
        return texts
    return ids.astype(spec.dtype)


def _shape(spec: TensorSpec, sizes: _Sizes) -> tuple[int, ...]:
    first = spec.shape[:1]
    batch = first if first and first[0] > 0 else (sizes.rows,) * len(first)
    variable = sizes.side if len(spec.shape) >= 4 else sizes.steps
    return batch + tuple(size if size > 0 else variable for size in spec.shape[1:])
