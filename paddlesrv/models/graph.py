"""`Graph`: what every model format declares of its network, before it becomes a signature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from paddlesrv.models.spec import Batching, DType, TensorSpec
from paddlesrv.models.wire import Malformed

RANK_MAX = 16
LOD_LEVEL_MAX = 1
_DIMENSION_MAX = 2**31 - 1


class Declared(NamedTuple):
    """A tensor as the file declares it; a dimension below 1 is a variable one."""

    name: str
    dtype: DType
    shape: Sequence[int]
    lod_level: int = 0


class Graph(NamedTuple):
    """Inputs and outputs in the order in which an engine counts them, and what must lie beside.

    `parameters` are names of parameters kept outside the program; `external` are paths of files,
    relative to the program, that an ONNX model keeps its weights in.
    """

    inputs: list[Declared]
    outputs: list[Declared]
    parameters: list[str]
    external: Sequence[str] = ()


def tensor_specs(declared: list[Declared], what: str) -> tuple[TensorSpec, ...]:
    """Checked specs of all inputs or outputs, with the batching rule that the shapes suggest.

    Args:
        declared: The tensors.
        what: "input" or "output", for messages.

    Raises:
        Malformed: none are declared, two have one name, or a shape cannot be.
    """
    if not declared:
        raise Malformed(f"it declares no {what}")
    names = [tensor.name for tensor in declared]
    if len(set(names)) < len(names) or "" in names:
        raise Malformed(f"its {what}s have no names, or the same one twice")
    return tuple(_spec(tensor) for tensor in declared)


def _spec(tensor: Declared) -> TensorSpec:
    if len(tensor.shape) > RANK_MAX or any(size > _DIMENSION_MAX for size in tensor.shape):
        raise Malformed(f"tensor {tensor.name!r} has the impossible shape {list(tensor.shape)}")
    if not 0 <= tensor.lod_level <= LOD_LEVEL_MAX:
        raise Malformed(
            f"tensor {tensor.name!r} has LoD level {tensor.lod_level}; "
            f"levels up to {LOD_LEVEL_MAX} are known"
        )
    shape = tuple(size if size > 0 else -1 for size in tensor.shape)
    return TensorSpec(
        name=tensor.name,
        dtype=tensor.dtype,
        shape=shape,
        lod_level=tensor.lod_level,
        batching=_batching(shape, tensor.lod_level),
    )


def _batching(shape: tuple[int, ...], lod_level: int) -> Batching:
    if lod_level:
        return "lod"
    return "rows" if shape and shape[0] == -1 else "whole"
