"""Inputs, outputs and external weights of an ONNX model, read without the onnx package.

Field numbers are those of onnx.proto: ModelProto{graph=7, training_info=20, functions=25}
GraphProto{node=1, initializer=5, input=11, output=12, sparse_initializer=15}
ValueInfoProto{name=1, type=2} TypeProto{tensor_type=1} TypeProto.Tensor{elem_type=1, shape=2}
TensorShapeProto{dim=1} Dimension{dim_value=1, dim_param=2} TensorProto{name=8, external_data=13}
StringStringEntryProto{key=1, value=2}, and those of `_WITHIN`.
"""

from __future__ import annotations

from paddlesrv.models import wire
from paddlesrv.models.graph import Declared, Graph
from paddlesrv.models.spec import DType
from paddlesrv.models.wire import Malformed

_DTYPES: dict[int, DType] = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
    8: "bytes", 9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 16: "bfloat16",
}  # fmt: skip

# In which fields of which message tensors can be, and what each field holds.
_WITHIN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor", 6: "graph", 10: "tensor", 11: "graph",
        22: "sparse tensor", 23: "sparse tensor",
    },
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {13: "location"},
}  # fmt: skip
_DEPTH_MAX = 64


def read_onnx(data: memoryview) -> Graph:
    """Declared tensors of a serialised ModelProto; inputs that are only defaults are left out.

    Raises:
        Malformed: the bytes are not such a model.
    """
    graph = next((value for number, value in wire.fields(data) if number == 7), None)
    if graph is None:
        raise Malformed("it has no graph")
    external: dict[str, None] = {}
    _external(data, "model", external, 0)
    inputs: list[Declared] = []
    outputs: list[Declared] = []
    constants: set[str] = set()
    for number, value in wire.fields(wire.submessage(graph, "the graph")):
        if number == 5:
            constants.add(_initializer(wire.submessage(value, "an initializer")))
        elif number == 11:
            inputs.append(_declared(wire.submessage(value, "an input")))
        elif number == 12:
            outputs.append(_declared(wire.submessage(value, "an output")))
    fed = [tensor for tensor in inputs if tensor.name not in constants]
    return Graph(fed, outputs, [], tuple(external))


def _initializer(message: memoryview) -> str:
    names = (value for number, value in wire.fields(message) if number == 8)
    return next((wire.text(name, "an initializer's name") for name in names), "")


def _external(message: memoryview, kind: str, found: dict[str, None], depth: int) -> None:
    """Note the files that tensors name, wherever in a model they are.

    A location that nobody looked at would be opened by the engine all the same (CVE-2022-25882).
    """
    if depth > _DEPTH_MAX:
        raise Malformed("its graphs are nested too deeply")
    within = _WITHIN[kind]
    for number, value in wire.fields(message):
        below = within.get(number)
        if below == "location":
            location = _location(wire.submessage(value, "an external file's entry"))
            if location is not None:
                found[location] = None
        elif below is not None:
            _external(wire.submessage(value, f"part of a {kind}"), below, found, depth + 1)


def _location(entry: memoryview) -> str | None:
    parts = {
        key: wire.text(part, "an external file's entry")
        for key, part in wire.fields(entry)
        if key in (1, 2)
    }
    return parts.get(2, "") if parts.get(1) == "location" else None


def _declared(message: memoryview) -> Declared:
    name, code, shape = "", -1, []
    for number, value in wire.fields(message):
        if number == 1:
            name = wire.text(value, "a tensor's name")
        elif number == 2:
            for kind, tensor in wire.fields(wire.submessage(value, "a tensor's type")):
                if kind != 1:
                    continue
                for inner, field in wire.fields(wire.submessage(tensor, "a tensor's type")):
                    if inner == 1:
                        code = wire.number(field, "a data type")
                    elif inner == 2:
                        shape = _shape(wire.submessage(field, "a shape"))
    dtype = _DTYPES.get(code)
    if dtype is None:
        raise Malformed(f"tensor {name!r} has data type {code}, which no engine takes")
    return Declared(name, dtype, shape)


def _shape(message: memoryview) -> list[int]:
    sizes = []
    for number, value in wire.fields(message):
        if number == 1:
            parts = dict(wire.fields(wire.submessage(value, "a dimension")))
            sizes.append(wire.number(parts[1], "a dimension") if 1 in parts else -1)
    return sizes
