"""Paddle Serving's `GeneralModelService`: its messages, in protobuf and in JSON.

Source: PaddlePaddle/Serving v0.7.0, core/configure/proto/general_model_service.proto, and what
its C++ server does with them (core/general-server/op/general_reader_op.cpp). Where that server
believes the client (how many numbers there are, which type, which outputs), an error says here
what does not fit.

A tensor has two names there: the network's own, and an alias from `serving_server_conf.prototxt`.
Either is taken; both are answered.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from google.protobuf.message import DecodeError
from paddlesrv_client.wire.messages import message

from paddlesrv.errors import InvalidInput
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Array, Tensor, dtype_name
from paddlesrv.server.protocols.datatypes import check_shape
from paddlesrv.server.protocols.json_body import decode_json
from paddlesrv.server.request import InferRequest, InferResponse

_PACKAGE = "baidu.paddle_serving.predictor.general_model"
SERVICE = f"{_PACKAGE}.GeneralModelService"
METHODS = ("inference", "debug")

RequestMessage = message(f"{_PACKAGE}.Request")
ResponseMessage = message(f"{_PACKAGE}.Response")

ENGINE_NAME = "general_infer_0"
"""What the ancestor calls the node that ran the network; its clients look it up by this name."""


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
    4: ElementType("INT16", "int16", "tensor_content"),
    5: ElementType("FP16", "float16", "tensor_content"),
    7: ElementType("UINT8", "uint8", "tensor_content"),
    8: ElementType("INT8", "int8", "tensor_content"),
    9: ElementType("BOOL", "bool", "bool_data"),
    20: ElementType("STRING", "bytes", "data"),
}
"""By `elem_type`. 6, BF16, has no numpy type; 10 and 11, complex, were never supported."""

_CODES = {kind.dtype: code for code, kind in TYPES.items()}


class Named(NamedTuple):
    """A tensor as it was sent: under a name, an alias, or both."""

    name: str
    alias: str
    tensor: Tensor

    def __str__(self) -> str:
        return repr(self.alias or self.name)


class GeneralRequest(NamedTuple):
    """A request that names no model: tensors, and the outputs that are asked for."""

    tensors: list[Named]
    fetch: tuple[str, ...]
    log_id: int = 0
    profile: bool = False

    def fits(self, spec: ModelSpec) -> bool:
        """Whether every input of a model was sent, nothing else, and it has what is asked for."""
        sent = {_input(spec, each) for each in self.tensors}
        wanted = {tensor.name for tensor in spec.inputs}
        return sent == wanted and all(_output(spec, name) for name in self.fetch)

    def suits(self, spec: ModelSpec) -> bool:
        """Whether a model that it fits takes tensors of these types and shapes."""
        for each in self.tensors:
            declared = spec.input(_input(spec, each) or "")
            data = each.tensor.data
            if declared is None or dtype_name(data) != declared.dtype:
                return False
            sides = declared.shape[1:] if data.ndim == len(declared.shape) else None
            if sides is None or any(
                wanted not in (-1, found)
                for wanted, found in zip(sides, data.shape[1:], strict=True)
            ):
                return False
        return True


# -- requests ----------------------------------------------------------------------------------


def decode(body: bytes) -> GeneralRequest:
    """A request from its protobuf bytes.

    Raises:
        InvalidInput: they are none, or a tensor contradicts itself; the message says which.
    """
    try:
        return read(RequestMessage.FromString(body))
    except DecodeError:
        raise InvalidInput("the body is not a Request of GeneralModelService") from None


def read(request: Any) -> GeneralRequest:
    """A request from its message.

    Raises:
        InvalidInput: as `decode`.
    """
    tensors = [
        _tensor(
            each.name, each.alias_name, each.elem_type, each.shape, each.lod,
            lambda field, each=each: getattr(each, field),
        )
        for each in request.tensor
    ]  # fmt: skip
    fetch = tuple(request.fetch_var_names)
    return GeneralRequest(tensors, fetch, request.log_id, request.profile_server)


def bind(request: GeneralRequest, spec: ModelSpec) -> InferRequest:
    """The request to one model, by the names that its network has.

    Raises:
        InvalidInput: it has no such input or output, or one comes twice.
    """
    inputs: dict[str, Tensor] = {}
    for each in request.tensors:
        name = _input(spec, each)
        if name is None:
            raise InvalidInput(
                f"model {spec.name!r} has no input {each}",
                context={"wanted": ", ".join(_both(spec, t) for t in spec.inputs)},
            )
        if name in inputs:
            raise InvalidInput(f"input {each} comes twice")
        inputs[name] = each.tensor
    outputs = []
    for word in request.fetch:
        found = _output(spec, word)
        if found is None:
            raise InvalidInput(
                f"model {spec.name!r} has no output {word!r}",
                context={"wanted": ", ".join(_both(spec, t) for t in spec.outputs)},
            )
        outputs.append(found)
    # A name and its alias may both be asked for; the output is answered once.
    return InferRequest(spec.name, inputs, outputs=tuple(dict.fromkeys(outputs)))


def _tensor(
    name: str, alias: str, code: int, shape: Iterable[int], lod: Iterable[int], field: Any
) -> Named:
    said = alias or name
    if not said:
        raise InvalidInput("a tensor has neither name nor alias_name")
    kind = TYPES.get(code)
    if kind is None:
        raise InvalidInput(
            f"tensor {said!r} has an elem_type that is not taken",
            context={
                "found": str(code),
                "wanted": ", ".join(f"{number} {each.name}" for number, each in TYPES.items()),
            },
        )
    sides = list(shape)
    count = check_shape(said, sides)
    values = _values(said, kind, field(kind.field))
    if values.size != count:
        raise InvalidInput(
            f"tensor {said!r} has as many values as its shape does not say",
            context={
                "found": f"{values.size} values in {kind.field}",
                "wanted": f"{count} for {kind.name} {sides}",
            },
        )
    offsets = tuple(lod)
    return Named(name, alias, Tensor(values.reshape(sides), offsets or None))


def _values(name: str, kind: ElementType, field: Any) -> Array:
    if kind.field == "data":
        array = np.empty(len(field), dtype=object)
        array[:] = list(field)
        return array
    if kind.field != "tensor_content":
        with np.errstate(over="ignore"):  # infinite then, and refused by whoever minds
            return np.array(field, dtype=kind.dtype)
    dtype = np.dtype(kind.dtype).newbyteorder("<")
    if len(field) % dtype.itemsize:
        raise InvalidInput(
            f"the tensor_content of {name!r} is no whole number of {kind.name}",
            context={"found": f"{len(field)} bytes"},
        )
    return np.frombuffer(field, dtype=dtype)


def _input(spec: ModelSpec, sent: Named) -> str | None:
    """The name of the input that was sent; its own name counts more than its alias."""
    for word in (sent.name, sent.alias):
        for name in (word, spec.aliases.get(word)):
            if name is not None and spec.input(name) is not None:
                return name
    return None


def _output(spec: ModelSpec, word: str) -> str | None:
    """The name of the output that is called so, or has that alias."""
    names = {tensor.name for tensor in spec.outputs}
    return next((name for name in (word, spec.aliases.get(word)) if name in names), None)


def alias_of(spec: ModelSpec, name: str) -> str:
    """The name for clients; the network's own where there is no other."""
    return next((alias for alias, own in spec.aliases.items() if own == name), name)


def _both(spec: ModelSpec, tensor: TensorSpec) -> str:
    alias = alias_of(spec, tensor.name)
    return f"{alias} ({tensor.name})" if alias != tensor.name else alias


# -- answers -----------------------------------------------------------------------------------


def encode(response: InferResponse, spec: ModelSpec, times: Sequence[int] = ()) -> bytes:
    """An answer's protobuf bytes."""
    return bytes(write(response, spec, times).SerializeToString())


def write(response: InferResponse, spec: ModelSpec, times: Sequence[int] = ()) -> Any:
    """An answer's message.

    Args:
        response: What the model answered.
        spec: The model.
        times: Beginnings and ends of what was done, in microseconds since 1970.
    """
    said = ResponseMessage(profile_time=times)
    output = said.outputs.add(engine_name=ENGINE_NAME)
    for name, tensor in response.outputs.items():
        kind = TYPES[_code(name, tensor.data)]
        part = output.tensor.add(
            name=name,
            alias_name=alias_of(spec, name),
            elem_type=_CODES[kind.dtype],
            shape=tensor.data.shape,
            lod=tensor.lod or (),
        )
        if kind.field == "tensor_content":
            part.tensor_content = _bytes(tensor.data)
        else:
            getattr(part, kind.field).extend(tensor.data.ravel().tolist())
    return said


def _code(name: str, data: Array) -> int:
    code = _CODES.get(dtype_name(data))
    if code is None:
        raise InvalidInput(
            f"output {name!r} is {dtype_name(data)}, which this protocol cannot carry",
            hints=["ask over HTTP or gRPC by the Open Inference Protocol"],
        )
    return code


def _bytes(data: Array) -> bytes:
    return bytes(data.astype(data.dtype.newbyteorder("<"), copy=False).tobytes())


# -- JSON --------------------------------------------------------------------------------------


class _JsonTensor(msgspec.Struct):
    int64_data: list[int | str] = []
    float_data: list[float | str] = []
    int_data: list[int] = []
    float64_data: list[float | str] = []
    bool_data: list[bool] = []
    data: list[str] = []
    tensor_content: str = ""
    elem_type: int = 0
    shape: list[int] = []
    lod: list[int] = []
    name: str = ""
    alias_name: str = ""


class _JsonRequest(msgspec.Struct):
    tensor: list[_JsonTensor] = []
    fetch_var_names: list[str] = []
    profile_server: bool = False
    log_id: int | str = 0


_json_decoder = msgspec.json.Decoder(_JsonRequest)


def decode_json_request(body: bytes) -> GeneralRequest:
    """A request from JSON: protobuf's field names; bytes in base64, 64 bits also as text.

    Raises:
        InvalidInput: as `decode`.
    """
    request = decode_json(_json_decoder, body, "a Request of GeneralModelService")
    try:
        log_id = int(request.log_id)
    except ValueError:
        raise InvalidInput(f"the log_id {request.log_id!r} is no number") from None
    tensors = [
        _tensor(
            each.name, each.alias_name, each.elem_type, each.shape, each.lod,
            lambda field, each=each: _json_field(each, field),
        )
        for each in request.tensor
    ]  # fmt: skip
    return GeneralRequest(tensors, tuple(request.fetch_var_names), log_id, request.profile_server)


def _json_field(tensor: _JsonTensor, field: str) -> Any:
    found = getattr(tensor, field)
    said = tensor.alias_name or tensor.name
    try:
        if field == "tensor_content":
            return base64.b64decode(found, validate=True)
        if field == "data":
            return [text.encode() for text in found]
        if field == "int64_data":
            return _checked([int(value) for value in found], np.int64)
        if field == "int_data":
            return _checked(found, np.int32)
        if field in ("float_data", "float64_data"):
            return [float(value) for value in found]
    except (binascii.Error, ValueError, OverflowError) as error:
        raise InvalidInput(f"the {field} of tensor {said!r} cannot be read: {error}") from None
    return found


def _checked(values: list[int], dtype: type[np.signedinteger[Any]]) -> list[int]:
    limits = np.iinfo(dtype)
    for value in values:
        if not limits.min <= value <= limits.max:
            raise ValueError(f"{value} is out of range")
    return values


def encode_json(response: InferResponse, spec: ModelSpec, times: Sequence[int] = ()) -> bytes:
    """An answer as JSON, with the fields that a client of the ancestor finds there.

    Numbers that are not finite have no JSON form, and become null.
    """
    tensors = []
    for name, tensor in response.outputs.items():
        kind = TYPES[_code(name, tensor.data)]
        values: Any = tensor.data.ravel().tolist()
        if kind.field == "tensor_content":
            values = base64.b64encode(_bytes(tensor.data)).decode()
        elif kind.field == "data":
            values = [text.decode(errors="replace") for text in values]
        part = {
            kind.field: values,
            "elem_type": _CODES[kind.dtype],
            "shape": list(tensor.data.shape),
            "name": name,
            "alias_name": alias_of(spec, name),
        }
        if tensor.lod is not None:
            part["lod"] = list(tensor.lod)
        tensors.append(part)
    said: dict[str, Any] = {"outputs": [{"tensor": tensors, "engine_name": ENGINE_NAME}]}
    if times:
        said["profile_time"] = list(times)
    return msgspec.json.encode(said)
