"""Networks as TensorFlow Lite keeps them: the operators in their order, and constant tensors.

Numbers of fields are those of TensorFlow's `schema.fbs`. Constants of 16 bits are widened, so that
the step which would do it at run time (DEQUANTIZE) is gone.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from paddlesrv.errors import IntegrityError
from paddlesrv.recipes.arrays import counts, file_bytes
from paddlesrv.recipes.flatbuffer import Table
from paddlesrv.zoo.bounds import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TYPES = {0: "<f4", 1: "<f2", 2: "<i4"}
_OPERATORS = {
    0: "ADD", 1: "AVERAGE_POOL_2D", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 6: "DEQUANTIZE",
    14: "LOGISTIC", 18: "MUL", 19: "RELU", 23: "RESIZE_BILINEAR", 32: "CUSTOM", 117: "HARD_SWISH",
}  # fmt: skip
_SAME = 0


class Operator(msgspec.Struct, frozen=True):
    """One step: what it does, the tensors that it reads, and the one that it makes.

    `options` are those of its kind, as numbers: strides as (down, across), `same` whether it pads
    as TensorFlow's SAME does, `activation` 0 (none), 1 (ReLU) or 3 (ReLU6).
    """

    kind: str
    inputs: tuple[int, ...]
    output: int
    options: dict[str, int]


class Network(msgspec.Struct, frozen=True):
    """A graph with one input and one output; tensors by number."""

    operators: tuple[Operator, ...]
    constants: dict[int, Any]
    shapes: dict[int, tuple[int, ...]]
    input: int
    output: int


def read_tflite(path: Path) -> Network:
    """The network in a `.tflite` file.

    Raises:
        IntegrityError: it is damaged, or has an operator that is not known here.
        SourceUnreachable: it cannot be read.
    """
    data = memoryview(file_bytes(path))
    if bytes(data[4:8]) != b"TFL3":
        raise IntegrityError(f"{shown(path.name)} is no TensorFlow Lite file")
    model = Table.root(data)
    graphs = model.tables(2)
    if len(graphs) != 1:
        raise IntegrityError(f"{shown(path.name)} holds {len(graphs)} networks, not one")
    graph = graphs[0]
    buffers, tensors = model.tables(4), graph.tables(0)
    shapes, constants = {}, {}
    for number, tensor in enumerate(tensors):
        shapes[number] = _shape(tensor)
        place = tensor.number(2, "I")
        if place < len(buffers) and (block := buffers[place].bytes(0)):
            constants[number] = _constant(block, tensor.number(1, "b"), shapes[number])
    codes = model.tables(1)
    operators = []
    for table in graph.tables(3):
        operator = _operator(table, codes, len(tensors))
        if operator.kind == "DEQUANTIZE" and operator.inputs[0] in constants:
            constants[operator.output] = constants[operator.inputs[0]]
        else:
            operators.append(operator)
    inputs, outputs = graph.numbers(1), graph.numbers(2)
    if len(inputs) != 1 or len(outputs) != 1 or not {*inputs, *outputs} <= set(shapes):
        raise IntegrityError("the network has other than one input and one output")
    return Network(tuple(operators), constants, shapes, inputs[0], outputs[0])


def _shape(tensor: Table) -> tuple[int, ...]:
    try:
        return counts(tensor.numbers(0))
    except ValueError as error:
        raise IntegrityError(f"a tensor of the network: {error}") from error


def _constant(block: memoryview, kind: int, shape: tuple[int, ...]) -> NDArray[Any]:
    if kind not in _TYPES:
        raise IntegrityError(f"a constant of the type {kind}, which is not supported")
    dtype = np.dtype(_TYPES[kind])
    if prod(shape) * dtype.itemsize != len(block):
        raise IntegrityError("a constant has not as many bytes as its shape says")
    array = np.frombuffer(block, dtype).reshape(shape)
    return array.astype(np.float32) if kind == 1 else array


def _operator(table: Table, codes: Any, tensors: int) -> Operator:
    place = table.number(0, "I")
    if place >= len(codes):
        raise IntegrityError("an operator without a kind")
    code = codes[place]
    # Old files have the number in a field of 8 bits, new ones in one of 32.
    number = max(code.number(0, "b"), code.number(3, "i"))
    kind = _OPERATORS.get(number)
    if kind == "CUSTOM":
        kind = bytes(code.bytes(1)).decode("utf-8", "replace")
    if kind is None:
        raise IntegrityError(f"the operator number {number} is not supported")
    inputs, outputs = table.numbers(1), table.numbers(2)
    whole = inputs and len(outputs) == 1
    if not whole or not all(0 <= each < tensors for each in (*inputs, *outputs)):
        raise IntegrityError(f"the operator {shown(kind)} has no inputs, or not one output")
    return Operator(kind, tuple(inputs), outputs[0], _options(kind, table.table(4)))


def _options(kind: str, table: Table | None) -> dict[str, int]:
    if table is None:
        return {}
    if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        depthwise = kind == "DEPTHWISE_CONV_2D"
        return {
            "same": int(table.number(0, "b") == _SAME),
            "across": table.number(1, "i"),
            "down": table.number(2, "i"),
            "activation": table.number(4 if depthwise else 3, "b"),
            "dilated": max(table.number(f, "i", 1) for f in ((5, 6) if depthwise else (4, 5))),
        }
    if kind == "AVERAGE_POOL_2D":
        return {
            "same": int(table.number(0, "b") == _SAME),
            "width": table.number(3, "i"),
            "height": table.number(4, "i"),
            "activation": table.number(5, "b"),
        }
    if kind == "RESIZE_BILINEAR":
        return {"align_corners": table.number(2, "b"), "half_pixel": table.number(3, "b")}
    if kind in ("ADD", "MUL"):
        return {"activation": table.number(0, "b")}
    return {}
