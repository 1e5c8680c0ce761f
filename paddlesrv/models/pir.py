"""Inputs, outputs and parameters of a PIR program: `*.json` beside `*.pdiparams`.

Read without paddle. An operator is `{"#": kind, "A": attributes, "O": results}`; inputs are `data`
operators, outputs are `fetch` operators, parameters are `p` operators. A result's type is
`[element type, shape, layout, LoD, offset]`. Kinds carry a dialect ("1.data", "pd_op.data").
"""

from __future__ import annotations

from typing import Any

import msgspec

from paddlesrv.models.graph import Declared, Graph
from paddlesrv.models.spec import DType
from paddlesrv.models.wire import Malformed

_DTYPES: dict[str, DType] = {
    "bool": "bool", "ui8": "uint8", "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64",
    "f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64",
}  # fmt: skip


class _Operator(msgspec.Struct):
    # Most operators of a program are looked at only for their kind, so the rest stays unparsed.
    kind: str = msgspec.field(name="#")
    attributes: msgspec.Raw = msgspec.field(name="A", default=msgspec.Raw(b"[]"))
    results: msgspec.Raw = msgspec.field(name="O", default=msgspec.Raw(b"[]"))


class _Block(msgspec.Struct):
    ops: list[_Operator]


class _Region(msgspec.Struct):
    blocks: list[_Block]


class _Program(msgspec.Struct):
    regions: list[_Region]


class _BaseCode(msgspec.Struct):
    magic: str


class _File(msgspec.Struct):
    base_code: _BaseCode
    program: _Program


class _Tagged(msgspec.Struct):
    """A typed value: `{"#": "0.t_f32"}` or `{"#": "0.a_str", "D": "x"}`."""

    kind: str = msgspec.field(name="#")
    data: Any = msgspec.field(name="D", default=None)


class _Attribute(msgspec.Struct):
    name: str = msgspec.field(name="N")
    value: _Tagged = msgspec.field(name="AT")


class _ResultType(msgspec.Struct):
    data: list[Any] = msgspec.field(name="D")


class _Result(msgspec.Struct):
    type: _ResultType = msgspec.field(name="TT")


def is_pir(head: bytes) -> bool:
    """Whether a JSON file that begins so is a PIR program, and not any other JSON file."""
    start = head.lstrip()
    return start.startswith(b"{") and b'"magic"' in start and b'"pir"' in start


def read_pir(data: bytes) -> Graph:
    """Declared tensors and parameter names of a PIR program.

    Raises:
        Malformed: the text is not such a program.
    """
    try:
        file = msgspec.json.decode(data, type=_File)
        if file.base_code.magic != "pir":
            raise Malformed(f"its magic word is {file.base_code.magic!r}, not 'pir'")
        return _graph(file.program.regions[0].blocks[0].ops)
    except RecursionError:
        raise Malformed("its values are nested too deeply") from None
    except (IndexError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise Malformed(f"it is not a PIR program: {error}") from None


def _graph(operators: list[_Operator]) -> Graph:
    inputs: list[Declared] = []
    fetched: list[tuple[int, Declared]] = []
    parameters: list[str] = []
    for operator in operators:
        kind = operator.kind.rpartition(".")[2]
        if kind in ("data", "feed"):
            inputs.append(_declared(operator, _attributes(operator)))
        elif kind == "fetch":
            attributes = _attributes(operator)
            column = attributes.get("col", 0)
            order = column if isinstance(column, int) else 0
            fetched.append((order, _declared(operator, attributes)))
        elif kind in ("p", "parameter"):
            parameters.append(f"parameter {len(parameters)}")
    fetched.sort(key=lambda pair: pair[0])
    return Graph(inputs, [tensor for _, tensor in fetched], parameters)


def _attributes(operator: _Operator) -> dict[str, Any]:
    found = msgspec.json.decode(operator.attributes, type=list[_Attribute])
    return {attribute.name: attribute.value.data for attribute in found}


def _declared(operator: _Operator, attributes: dict[str, Any]) -> Declared:
    results = msgspec.json.decode(operator.results, type=list[_Result])
    element = msgspec.convert(results[0].type.data[0], _Tagged).kind.rpartition("t_")[2]
    shape = msgspec.convert(results[0].type.data[1], list[int])
    name = msgspec.convert(attributes.get("name"), str)
    dtype = _DTYPES.get(element)
    if dtype is None:
        raise Malformed(f"tensor {name!r} has data type {element!r}, which no engine takes")
    return Declared(name, dtype, shape)
