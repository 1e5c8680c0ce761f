"""A seeded input for any network, made from its signature alone.

It serves to compare two ways of running one network. It is small, valid for the declared shapes
and the same everywhere; a network may still refuse it (shapes do not say what an image's sides
must be multiples of, for instance).
"""

from __future__ import annotations

import numpy as np

from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Array, Tensor

_SEED = 20240229
_IMAGE_SIDE = 96  # a multiple of 32, as detectors want
_SEQUENCE = 8
_IDS = 4  # every vocabulary has as many


def check_input(spec: ModelSpec, rows: int = 1) -> dict[str, Tensor]:
    """Inputs for `rows` rows, or for as many sequences of 8 steps.

    Numbers of pictures (rank 4) are normally distributed, others are in [0, 1), ids are below 4.
    """
    random = np.random.default_rng(_SEED)
    image = next((_shape(t, rows)[2:] for t in spec.inputs if len(t.shape) == 4), None)
    return {tensor.name: _tensor(tensor, rows, random, image) for tensor in spec.inputs}


def _tensor(
    spec: TensorSpec, rows: int, random: np.random.Generator, image: tuple[int, ...] | None
) -> Tensor:
    if spec.lod_level:
        shape = (rows * _SEQUENCE, *_shape(spec, rows)[1:])
        offsets = tuple(range(0, rows * _SEQUENCE + 1, _SEQUENCE))
        return Tensor(_values(spec, shape, random), offsets)
    shape = _shape(spec, rows)
    # Detectors take the image's size and scale beside it, and divide by them.
    if "scale_factor" in spec.name:
        return Tensor(np.ones(shape, dtype=spec.dtype))
    if image and shape[-1:] == (2,) and any(word in spec.name for word in ("im_shape", "im_size")):
        return Tensor(np.broadcast_to(np.array(image, dtype=spec.dtype), shape).copy())
    return Tensor(_values(spec, shape, random))


def _values(spec: TensorSpec, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    if spec.dtype == "bool":
        return np.ones(shape, dtype=np.bool_)
    if spec.dtype in ("float16", "float32", "float64"):
        # Pictures come normalised; other numbers may be lengths or shares, which are not negative.
        values = random.standard_normal(shape) if len(shape) == 4 else random.random(shape)
        return values.astype(spec.dtype)
    return random.integers(0, _IDS, shape).astype(spec.dtype)


def _shape(spec: TensorSpec, rows: int) -> tuple[int, ...]:
    first = spec.shape[:1]
    batch = first if first and first[0] > 0 else (rows,) * len(first)
    variable = _IMAGE_SIDE if len(spec.shape) >= 4 else _SEQUENCE
    return batch + tuple(size if size > 0 else variable for size in spec.shape[1:])
