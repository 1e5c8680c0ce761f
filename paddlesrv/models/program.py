"""Inputs, outputs and parameters of a ProgramDesc: `__model__` and `*.pdmodel`.

Read without paddle. Field numbers are those of Paddle's framework.proto:
ProgramDesc{blocks=1} BlockDesc{vars=3, ops=4} VarDesc{name=1, type=2, persistable=3}
VarType{type=1, lod_tensor=3} LoDTensorDesc{tensor=1, lod_level=2} TensorDesc{data_type=1, dims=2}
OpDesc{inputs=1, outputs=2, type=3, attrs=4} OpDesc.Var{arguments=2} OpDesc.Attr{name=1, i=3}
"""

from __future__ import annotations

from typing import NamedTuple

from paddlesrv.models import wire
from paddlesrv.models.graph import Declared, Graph
from paddlesrv.models.spec import DType
from paddlesrv.models.wire import Malformed

_LOD_TENSOR = 7  # VarType.Type
_DTYPES: dict[int, DType] = {
    0: "bool", 1: "int16", 2: "int32", 3: "int64", 4: "float16", 5: "float32", 6: "float64",
    20: "uint8", 21: "int8", 22: "bfloat16", 36: "uint16", 37: "uint32", 38: "uint64",
}  # fmt: skip


class _Variable(NamedTuple):
    name: str
    kind: int
    persistable: bool
    tensor: memoryview | None


class _Port(NamedTuple):
    """What one feed or fetch op names, and its place among its like."""

    column: int
    name: str


def read_program(data: memoryview) -> Graph:
    """Declared tensors and parameter names of a serialised ProgramDesc.

    Raises:
        Malformed: the bytes are not a program, or one without inputs or outputs.
    """
    block = next((value for number, value in wire.fields(data) if number == 1), None)
    if block is None:
        raise Malformed("it has no block of operators")
    variables: dict[str, _Variable] = {}
    feeds: list[_Port] = []
    fetches: list[_Port] = []
    for number, value in wire.fields(wire.submessage(block, "a block")):
        if number == 3:
            variable = _variable(wire.submessage(value, "a variable"))
            variables[variable.name] = variable
        elif number == 4:
            _operator(wire.submessage(value, "an operator"), feeds, fetches)
    # Exporters write feed ops in reverse; the predictor counts by column, and so do we.
    ports = {port.name for port in (*feeds, *fetches)}
    return Graph(
        inputs=[_declared(variables, port.name) for port in sorted(feeds, key=_column)],
        outputs=[_declared(variables, port.name) for port in sorted(fetches, key=_column)],
        parameters=[
            variable.name
            for variable in variables.values()
            if variable.persistable and variable.kind == _LOD_TENSOR and variable.name not in ports
        ],
    )


def _column(port: _Port) -> int:
    return port.column


def _variable(message: memoryview) -> _Variable:
    name, kind, persistable, tensor = "", -1, False, None
    for number, value in wire.fields(message):
        if number == 1:
            name = wire.text(value, "a variable's name")
        elif number == 2:
            for inner, field in wire.fields(wire.submessage(value, "a variable's type")):
                if inner == 1:
                    kind = wire.number(field, "a variable's type")
                elif inner == 3:
                    tensor = wire.submessage(field, "a variable's tensor")
        elif number == 3:
            persistable = bool(value)
    return _Variable(name, kind, persistable, tensor)


def _operator(message: memoryview, feeds: list[_Port], fetches: list[_Port]) -> None:
    parts: dict[int, list[memoryview]] = {1: [], 2: [], 4: []}
    kind = ""
    for number, value in wire.fields(message):
        if number == 3:
            kind = wire.text(value, "an operator's type")
        elif number in parts:
            parts[number].append(wire.submessage(value, "an operator's argument"))
    if kind == "feed":
        feeds.append(_port(parts[2], parts[4]))
    elif kind == "fetch":
        fetches.append(_port(parts[1], parts[4]))


def _port(arguments: list[memoryview], attributes: list[memoryview]) -> _Port:
    names = [
        wire.text(value, "a tensor's name")
        for argument in arguments
        for number, value in wire.fields(argument)
        if number == 2
    ]
    if len(names) != 1:
        raise Malformed(f"a feed or fetch operator names {len(names)} tensors, not one")
    column = 0
    for attribute in attributes:
        found = {number: value for number, value in wire.fields(attribute) if number in (1, 3)}
        if 3 in found and wire.text(found.get(1, memoryview(b"")), "an attribute's name") == "col":
            column = wire.number(found[3], "col")
    return _Port(column, names[0])


def _declared(variables: dict[str, _Variable], name: str) -> Declared:
    variable = variables.get(name)
    if variable is None or variable.tensor is None:
        raise Malformed(f"tensor {name!r} is used but not declared")
    code, shape, lod_level = -1, [], 0
    for number, value in wire.fields(variable.tensor):
        if number == 1:
            for inner, field in wire.fields(wire.submessage(value, "a tensor's type")):
                if inner == 1:
                    code = wire.number(field, "a data type")
                elif inner == 2:
                    shape += wire.numbers(field)
        elif number == 2:
            lod_level = wire.number(value, "a LoD level")
    dtype = _DTYPES.get(code)
    if dtype is None:
        raise Malformed(f"tensor {name!r} has data type {code}, which no engine takes")
    return Declared(name, dtype, shape, lod_level)
