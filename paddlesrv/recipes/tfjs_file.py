"""Weights as TensorFlow.js keeps them: a JSON manifest, and all numbers one after the other.

Quantised ones are `number * scale + min`
(https://github.com/tensorflow/tfjs/tree/master/tfjs-converter, `weights_manifest`).
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np

from paddlesrv.recipes.arrays import TENSORS_MAX, Arrays, counts, damaged, file_bytes, some

_TYPES = {"float32": "<f4", "int32": "<i4", "uint8": "|u1", "uint16": "<u2", "bool": "|b1"}


class _Quantisation(msgspec.Struct, frozen=True):
    dtype: Literal["uint8", "uint16"]
    scale: float
    min: float


class _Weight(msgspec.Struct, frozen=True):
    name: str
    shape: Annotated[tuple[int, ...], msgspec.Meta(max_length=32)]
    dtype: Literal["float32", "int32", "bool"]
    quantization: _Quantisation | None = None


class _Group(msgspec.Struct, frozen=True):
    weights: tuple[_Weight, ...]


def read_tfjs(manifest: Path, numbers: Path) -> Arrays:
    """The weights by name; quantised ones as what they stand for.

    Args:
        manifest: `*-weights_manifest.json`, with one group of weights.
        numbers: The file that the group lies in.

    Raises:
        IntegrityError: they are damaged, or do not belong together.
        SourceUnreachable: one cannot be read.
    """
    try:
        groups = msgspec.json.decode(file_bytes(manifest), type=tuple[_Group, ...])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise damaged(manifest, str(error)) from error
    data = memoryview(file_bytes(numbers))
    if len(groups) != 1 or len(groups[0].weights) > TENSORS_MAX:
        raise damaged(manifest, f"{len(groups)} groups of weights, not one")
    arrays: Arrays = {}
    at = 0
    for weight in groups[0].weights:
        how = weight.quantization
        kind = np.dtype(_TYPES[how.dtype if how else weight.dtype])
        try:
            size = prod(counts(weight.shape)) * kind.itemsize
            if at + size > len(data):
                raise ValueError("its numbers are cut short")
            array = np.frombuffer(data[at : at + size], kind).reshape(weight.shape)
        except ValueError as error:
            raise damaged(numbers, f"{weight.name}: {error}") from error
        if how is not None:
            array = array.astype(np.float32) * np.float32(how.scale) + np.float32(how.min)
            array = array.astype(_TYPES[weight.dtype])
        arrays[weight.name], at = array, at + size
    if at != len(data):
        raise damaged(numbers, "it is longer than its manifest says")
    return some(arrays, manifest)
