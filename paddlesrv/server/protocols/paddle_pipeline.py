"""Paddle Serving's `PipelineService`: keys and values as text, or tensors.

Source: PaddlePaddle/Serving v0.7.0, python/pipeline/proto/pipeline_service.proto, channel.py (the
numbers of errors) and operator.py (types of tensors). There, what a key means is up to a server's
own code; here it is the task's, or an input's name.

Its `BYTES` hold an array as `numpy.save` writes it; one that would have to be unpickled is refused.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from google.protobuf import json_format
from paddlesrv_client.wire.messages import message

from paddlesrv.errors import (
    DeadlineExceeded,
    EngineError,
    InvalidInput,
    NotFound,
    Overloaded,
    PaddlesrvError,
    Unavailable,
)
from paddlesrv.models.spec import ModelSpec
from paddlesrv.models.tensor import Array, Tensor, dtype_name
from paddlesrv.server.protocols.datatypes import FROM_NUMPY, check_shape, from_json, of_elements
from paddlesrv.server.protocols.paddle_serving import Named
from paddlesrv.server.protocols.predict import from_base64
from paddlesrv.tasks.base import InputKind, TaskInput

_PACKAGE = "baidu.paddle_serving.pipeline_serving"
SERVICE = f"{_PACKAGE}.PipelineService"

RequestMessage = message(f"{_PACKAGE}.Request")
ResponseMessage = message(f"{_PACKAGE}.Response")


class _Type(NamedTuple):
    name: str
    dtype: str
    field: str


TYPES = {
    0: _Type("INT64", "int64", "int64_data"),
    1: _Type("FP32", "float32", "float_data"),
    2: _Type("INT32", "int32", "int_data"),
    3: _Type("FP64", "float64", "float64_data"),
    4: _Type("INT16", "int16", "int_data"),
    5: _Type("FP16", "float16", "float_data"),
    7: _Type("UINT8", "uint8", "uint32_data"),
    8: _Type("INT8", "int8", "int_data"),
    9: _Type("BOOL", "bool", "bool_data"),
    12: _Type("STRING", "object", "str_data"),
}
"""By `elem_type`. 13 is BYTES; 6, BF16, has no numpy type; 10 and 11 were never supported."""

BYTES = 13
_CODES = {kind.dtype: code for code, kind in TYPES.items()}

_NUMBERS: tuple[tuple[type[PaddlesrvError], int], ...] = (
    (DeadlineExceeded, 1), (NotFound, 7), (InvalidInput, 9), (Overloaded, 5), (EngineError, 5),
    (Unavailable, 6),
)  # fmt: skip
PROFILE = "pipeline.profile"
"""A key that asks for times; it is nothing of the model's."""

UNKNOWN = 8
NO_MESSAGE = 4


_ARRAY = re.compile(r"array\((\[.*\])(?:,\s*dtype=\w+)?\)", re.DOTALL)
_POINT = re.compile(r"(\d)\.(?!\d)")
"""What numpy writes and JSON has not: a point with nothing behind it."""


class PipelineRequest(NamedTuple):
    """A request: the name of a model (none: the only one), and texts by key, or tensors."""

    name: str
    pairs: tuple[tuple[str, str], ...]
    tensors: tuple[Named, ...]
    log_id: int = 0


def read(request: Any) -> PipelineRequest:
    """A request from its message.

    Raises:
        InvalidInput: keys and values are not as many, or a tensor contradicts itself.
    """
    if len(request.key) != len(request.value):
        raise InvalidInput(
            "the request has not one value for each key",
            context={"found": f"{len(request.key)} keys, {len(request.value)} values"},
        )
    pairs = [p for p in zip(request.key, request.value, strict=True) if p[0] != PROFILE]
    tensors = tuple(_tensor(each) for each in request.tensors)
    return PipelineRequest(request.name, tuple(pairs), tensors, request.logid)


def decode_json(body: bytes) -> PipelineRequest:
    """A request from JSON, as protobuf's own mapping has it.

    Raises:
        InvalidInput: it is none; and as `read`.
    """
    try:
        request = json_format.Parse(body, RequestMessage(), ignore_unknown_fields=True)
    except (json_format.ParseError, RecursionError, ValueError) as error:
        raise InvalidInput(f"the body is no request to a pipeline: {error}") from None
    return read(request)


def encode_json(answer: Any) -> bytes:
    """An answer as JSON, as the ancestor's gateway writes it: every field, empty or not."""
    plain = json_format.MessageToDict(
        answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return msgspec.json.encode(plain)


def of_samples(feed: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Samples as values by key: each text by itself, numbers of all samples together.

    Raises:
        InvalidInput: they have not the same keys.
    """
    pairs = []
    for key in feed[0] if feed else ():
        values = [sample.get(key) for sample in feed]
        if all(isinstance(value, str) for value in values):
            pairs += [(key, str(value)) for value in values]
        else:
            pairs.append((key, _text(values)))
    if any(set(sample) != set(feed[0]) for sample in feed):
        raise InvalidInput("the samples in feed have not the same keys")
    return tuple(pairs)


def texts(request: PipelineRequest) -> PipelineRequest:
    """The same request, with its tensors of text as values by key: a task takes those alone."""
    pairs = list(request.pairs)
    tensors = []
    for each in request.tensors:
        if each.tensor.data.dtype.kind == "O":
            pairs += [(each.name, text.decode()) for text in each.tensor.data.ravel()]
        else:
            tensors.append(each)
    return request._replace(pairs=tuple(pairs), tensors=tuple(tensors))


def items(request: PipelineRequest, kind: InputKind) -> list[TaskInput]:
    """What a task is asked: each value is one picture (base64), text, or row of numbers.

    Raises:
        InvalidInput: a value is none.
    """
    found = []
    for key, value in request.pairs:
        if kind == "image":
            found.append(TaskInput("image", from_base64(value)))
        elif kind == "text":
            found.append(TaskInput("text", value))
        else:
            found += [TaskInput("features", row) for row in _rows(key, value)]
    return found


def inputs(request: PipelineRequest, spec: ModelSpec) -> tuple[Named, ...]:
    """Tensors for a model without a task: each value has the numbers of the input of that key.

    Raises:
        InvalidInput: a value is no list of numbers, or they make no whole rows.
    """
    made = []
    for key, value in request.pairs:
        declared = spec.input(spec.aliases.get(key, key)) or spec.input(key)
        if declared is None:
            raise InvalidInput(
                f"model {spec.name!r} has no input {key!r}",
                context={"wanted": ", ".join(t.name for t in spec.inputs)},
            )
        rows = _rows(key, value)
        shape = [len(rows), *declared.shape[1:]]
        if -1 in shape[1:]:
            shape = [len(rows), len(rows[0]) if isinstance(rows[0], list) else 1]
        datatype = FROM_NUMPY.get(declared.dtype, declared.dtype)
        made.append(Named(declared.name, key, Tensor(from_json(key, datatype, shape, rows))))
    return tuple(made)


def write_outputs(spec: ModelSpec, outputs: Mapping[str, Tensor]) -> Any:
    """The answer of a model: every output as text by its alias, and as a tensor.

    Raises:
        InvalidInput: an output is of a type that this protocol cannot carry.
    """
    aliases = {own: alias for alias, own in spec.aliases.items()}
    answer = ResponseMessage()
    for name, tensor in outputs.items():
        alias = aliases.get(name, name)
        code = _CODES.get(dtype_name(tensor.data))
        if code is None:
            raise InvalidInput(
                f"output {name!r} is {dtype_name(tensor.data)}, which this protocol cannot carry"
            )
        values = tensor.data.ravel().tolist()
        if code == _CODES["object"]:
            values = [text.decode(errors="replace") for text in values]
        nested = values if code == _CODES["object"] else tensor.data.tolist()
        answer.key.append(alias)
        answer.value.append(_text(nested))
        part = answer.tensors.add(
            name=alias, elem_type=code, shape=tensor.data.shape, lod=tensor.lod or ()
        )
        getattr(part, TYPES[code].field).extend(values)
    return answer


def write_results(results: Sequence[msgspec.Struct]) -> Any:
    """The answer of a task: for each field of its results, their values as a JSON list.

    Classes are answered as the ancestor's examples do as well: the best `label` and its `prob`.
    """
    answer = ResponseMessage()
    plain = [msgspec.to_builtins(result) for result in results]
    fields: dict[str, list[Any]] = {}
    for number, result in enumerate(plain):
        for field, value in result.items():
            fields.setdefault(field, [None] * len(plain))[number] = value
    if all(fields.get("classes", [None])):
        best = [each[0] for each in fields["classes"]]
        fields["label"] = [each.get("label") for each in best]
        fields["prob"] = [each.get("score") for each in best]
    for field, values in fields.items():
        answer.key.append(field)
        answer.value.append(_text(values))
    return answer


def write_error(error: PaddlesrvError, line: str, number: int | None = None) -> Any:
    """An answer that is an error: its number there (unless another is given), and its text."""
    if number is None:
        number = next((found for kind, found in _NUMBERS if isinstance(error, kind)), UNKNOWN)
    return ResponseMessage(err_no=number, err_msg=line)


def _tensor(sent: Any) -> Named:
    name = sent.name
    if not name:
        raise InvalidInput("a tensor has no name")
    offsets = tuple(sent.lod) or None
    if sent.elem_type == BYTES:
        return Named(name, name, Tensor(_saved(name, sent.byte_data), offsets))
    kind = TYPES.get(sent.elem_type)
    if kind is None:
        known = [*((code, each.name) for code, each in TYPES.items()), (BYTES, "BYTES")]
        raise InvalidInput(
            f"tensor {name!r} has an elem_type that is not taken",
            context={
                "found": str(sent.elem_type),
                "wanted": ", ".join(f"{code} {word}" for code, word in known),
            },
        )
    shape = list(sent.shape)
    count = check_shape(name, shape)
    field = getattr(sent, kind.field)
    if len(field) != count:
        raise InvalidInput(
            f"tensor {name!r} has as many values as its shape does not say",
            context={"found": f"{len(field)} in {kind.field}", "wanted": f"{count} for {shape}"},
        )
    if kind.dtype == "object":
        return Named(name, name, Tensor(of_elements([t.encode() for t in field], shape), offsets))
    if kind.dtype in ("int8", "uint8", "int16") and count:
        limits = np.iinfo(kind.dtype)
        if min(field) < limits.min or max(field) > limits.max:
            raise InvalidInput(f"tensor {name!r} has values out of range for {kind.name}")
    with np.errstate(over="ignore"):  # infinite then, and refused by whoever minds
        array = np.fromiter(field, kind.dtype, count)
    return Named(name, name, Tensor(array.reshape(shape), offsets))


def _saved(name: str, content: bytes) -> Array:
    """An array as `numpy.save` writes it; nothing is unpickled, or made larger than it came."""
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read_header(file)
    except Exception:  # noqa: BLE001 - numpy's parser raises whatever it meets
        raise InvalidInput(f"the byte_data of tensor {name!r} is no saved array") from None
    data = content[file.tell() :]
    count = check_shape(name, list(shape))
    if dtype.kind not in "biuf" or math.prod((count, dtype.itemsize)) != len(data):
        raise InvalidInput(
            f"the byte_data of tensor {name!r} is no whole array of numbers",
            context={"found": f"{dtype} {list(shape)} in {len(data)} bytes"},
        )
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    return array.astype(dtype.newbyteorder("="), copy=False)


def _rows(key: str, value: str) -> list[Any]:
    """Rows of numbers: `1, 2, 3; 4, 5, 6` as the ancestor's examples write them, or
    `array([[1., 2., 3.]], dtype=float32)` as its client does, or JSON.
    """
    text = value.strip()
    written = _ARRAY.fullmatch(text)
    if written is not None:
        text = _POINT.sub(r"\1.0", written[1])
        text = text.replace("True", "true").replace("False", "false")
    try:
        if text.startswith(("[", "{")):
            found = msgspec.json.decode(text.encode())
            many = isinstance(found, list) and found and isinstance(found[0], list | dict)
            return list(found) if many else [found]
        rows = [[_number(word) for word in row.split(",")] for row in text.split(";") if row]
    except (ValueError, RecursionError, msgspec.MsgspecError):
        rows = []
    if not rows:
        raise InvalidInput(
            f"the value of {key!r} is no list of numbers",
            context={"found": repr(value[:40]), "wanted": "1.5, 2, 3; 4, 5, 6 or JSON"},
        )
    return rows


def _number(word: str) -> int | float:
    try:
        return int(word)
    except ValueError:
        return float(word)


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
