"""Paddle Serving's pipeline service: its messages, in protobuf and in JSON.

Source: PaddlePaddle/Serving v0.7.0, python/pipeline/proto/pipeline_service.proto, what its server
makes of a request (python/pipeline/operator.py), and its gateway to HTTP
(python/pipeline/gateway/proxy_server.go). Where that server unpickles what comes over the
network (`elem_type` 13), arrays of numbers are read here and anything else is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from google.protobuf.message import DecodeError
from paddlesrv_client.wire.messages import message

from paddlesrv.errors import (
    DeadlineExceeded,
    InvalidInput,
    NotFound,
    PaddlesrvError,
    Unavailable,
)
from paddlesrv.models.tensor import Array, Tensor
from paddlesrv.server.protocols.datatypes import check_shape, of_elements
from paddlesrv.server.protocols.npy import read_npy

_PACKAGE = "baidu.paddle_serving.pipeline_serving"
SERVICE = f"{_PACKAGE}.PipelineService"
METHOD = "inference"

RequestMessage = message(f"{_PACKAGE}.Request")
ResponseMessage = message(f"{_PACKAGE}.Response")

PROFILE = "pipeline.profile"
"""A key that asks for times, and is no input."""

STRING, BYTES = 12, 13


class ElementType(NamedTuple):
    """How a type travels: its name there, numpy's, and the field that holds the values."""

    name: str
    dtype: str
    field: str


TYPES = {
    0: ElementType("INT64", "int64", "int64_data"),
    1: ElementType("FP32", "float32", "float_data"),
    2: ElementType("INT32", "int32", "int_data"),
    3: ElementType("FP64", "float64", "float64_data"),
    4: ElementType("INT16", "int16", "int_data"),
    5: ElementType("FP16", "float16", "float_data"),
    # Called BF16; what its client sends under that number are numpy's 16 bits without a sign.
    6: ElementType("BF16", "uint16", "uint32_data"),
    7: ElementType("UINT8", "uint8", "uint32_data"),
    8: ElementType("INT8", "int8", "int_data"),
    9: ElementType("BOOL", "bool", "bool_data"),
}
"""By `elem_type`; besides them there are `STRING` and `BYTES`."""

_ERRORS: tuple[tuple[type[PaddlesrvError], int], ...] = (
    (InvalidInput, 9),
    (NotFound, 7),
    (DeadlineExceeded, 1),
    (Unavailable, 6),
)
_FAILED = 5
"""`err_no` (python/pipeline/channel.py): 1 TIMEOUT, 5 CLIENT_ERROR (an operator failed), 6
CLOSED_ERROR, 7 NO_SERVICE, 9 INPUT_PARAMS_ERROR."""


_Int64 = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_Int32 = Annotated[int, msgspec.Meta(ge=-(1 << 31), le=(1 << 31) - 1)]
_Uint32 = Annotated[int, msgspec.Meta(ge=0, le=(1 << 32) - 1)]


class _JsonTensor(msgspec.Struct):
    int64_data: list[_Int64] = []
    float_data: list[float] = []
    int_data: list[_Int32] = []
    float64_data: list[float] = []
    uint32_data: list[_Uint32] = []
    bool_data: list[bool] = []
    str_data: list[str] = []
    byte_data: bytes = b""
    elem_type: int = 0
    shape: list[_Int32] = []
    lod: list[_Int32] = []
    name: str = ""


class _JsonRequest(msgspec.Struct):
    """The message's fields in JSON."""

    key: list[str] = []
    value: list[str] = []
    tensors: list[_JsonTensor] = []
    name: str = ""


@dataclass(slots=True)
class PipelineRequest:
    """What was sent: texts by key, in their order, and tensors by name.

    `name` is the service's, where the message or the path says one.
    """

    texts: dict[str, str]
    tensors: dict[str, Tensor] = field(default_factory=dict)
    name: str = ""
    profile: bool = False


def decode(body: bytes) -> PipelineRequest:
    """A request from its protobuf bytes.

    Raises:
        InvalidInput: they are none, or contradict themselves; the message says where.
    """
    try:
        return read(RequestMessage.FromString(body))
    except DecodeError:
        raise InvalidInput("the body is not a Request of PipelineService") from None


def decode_json(found: dict[str, Any]) -> PipelineRequest:
    """A request from its JSON: `key` and `value` in parallel, or `tensors`.

    Its rules are protobuf's: bytes in base64, numbers also as text. Fields that are not known are
    passed over, as the gateway does.

    Raises:
        InvalidInput: as `decode`.
    """
    try:
        return read(msgspec.convert(found, _JsonRequest, strict=False))
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"the body is not a request of a pipeline: {error}",
            context={"wanted": '{"key": [...], "value": [...]}, both lists of texts'},
        ) from None


def read(request: Any) -> PipelineRequest:
    """A request from its message.

    Raises:
        InvalidInput: as `decode`.
    """
    keys, values = list(request.key), list(request.value)
    if len(keys) != len(values):
        raise InvalidInput(
            "a request has as many keys as values",
            context={"found": f"{len(keys)} keys, {len(values)} values"},
        )
    texts: dict[str, str] = {}
    tensors: dict[str, Tensor] = {}
    for key, value in zip(keys, values, strict=True):
        if key in texts:
            raise InvalidInput(f"key {key!r} comes twice")
        texts[key] = value
    for each in request.tensors:
        name = each.name
        if not name:
            raise InvalidInput("a tensor has no name")
        if name in texts or name in tensors:
            raise InvalidInput(f"tensor {name!r} comes twice")
        if each.elem_type == STRING and not each.shape:
            texts[name] = "".join(each.str_data)
        else:
            tensors[name] = _tensor(name, each)
    profile = texts.pop(PROFILE, "") not in ("", "0")
    return PipelineRequest(texts, tensors, request.name, profile)


def _tensor(name: str, sent: Any) -> Tensor:
    offsets = tuple(sent.lod) or None
    if sent.elem_type == BYTES:
        return Tensor(read_npy(name, sent.byte_data), offsets)
    kind = TYPES.get(sent.elem_type)
    shape = list(sent.shape)
    count = check_shape(name, shape)
    if sent.elem_type == STRING:
        texts = [text.encode() for text in sent.str_data]
        _check_count(name, "str_data", len(texts), count, shape)
        return Tensor(of_elements(texts, shape), offsets)
    if kind is None:
        raise InvalidInput(
            f"tensor {name!r} has an elem_type that is not taken",
            context={
                "found": str(sent.elem_type),
                "wanted": ", ".join(f"{number} {each.name}" for number, each in TYPES.items())
                + f", {STRING} STRING, {BYTES} BYTES",
            },
        )
    values = np.array(getattr(sent, kind.field))
    _check_count(name, kind.field, values.size, count, shape)
    return Tensor(_narrowed(name, values, kind).reshape(shape), offsets)


def _check_count(name: str, where: str, found: int, wanted: int, shape: list[int]) -> None:
    if found != wanted:
        raise InvalidInput(
            f"tensor {name!r} has as many values as its shape does not say",
            context={"found": f"{found} values in {where}", "wanted": f"{wanted} for {shape}"},
        )


def _narrowed(name: str, values: Array, kind: ElementType) -> Array:
    """Values of the type that was meant: small ones travel in fields of larger types."""
    dtype = np.dtype(kind.dtype)
    if dtype.kind in "iu" and values.size:
        limits = np.iinfo(dtype)
        if int(values.min()) < limits.min or int(values.max()) > limits.max:
            raise InvalidInput(
                f"tensor {name!r} has values out of range for {kind.name}",
                context={"wanted": f"{limits.min} to {limits.max}"},
            )
    with np.errstate(over="ignore"):  # what becomes infinite is refused as such
        return values.astype(dtype)


# -- answers -----------------------------------------------------------------------------------


def error_number(error: PaddlesrvError) -> int:
    """`err_no` for an error."""
    return next((number for kind, number in _ERRORS if isinstance(error, kind)), _FAILED)


def write(answer: Mapping[str, str]) -> Any:
    """An answer's message."""
    return ResponseMessage(key=answer.keys(), value=answer.values())


def write_error(error: PaddlesrvError, text: str) -> Any:
    """The message of an answer that is an error."""
    return ResponseMessage(err_no=error_number(error), err_msg=text)


def encode_json(answer: Mapping[str, str]) -> bytes:
    """An answer as the gateway writes it: every field, also those that are empty."""
    return msgspec.json.encode(json_fields(0, "", answer))


def json_fields(number: int, text: str, answer: Mapping[str, str]) -> dict[str, Any]:
    """The fields of an answer in JSON."""
    return {
        "err_no": number, "err_msg": text, "key": list(answer), "value": list(answer.values()),
        "tensors": [],
    }  # fmt: skip
