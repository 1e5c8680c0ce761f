"""TensorFlow Serving's messages: tensors, Predict, metadata and status.

Field numbers: tensorflow/core/framework/tensor.proto and tensorflow/serving/apis. What the fields
of a tensor mean: tensorflow/core/framework/tensor.cc. Answers hold their values in the typed
fields, as TensorFlow Serving's own do: some clients read nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from paddlesrv_client.wire.messages import POOL, message

from paddlesrv.errors import InvalidInput, NotFound, PayloadTooLarge
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Array, Tensor, dtype_name
from paddlesrv.server.protocols.datatypes import check_shape, of_elements
from paddlesrv.server.request import InferRequest, InferResponse
from paddlesrv.server.validation import LOD_SUFFIX

SIGNATURE = "serving_default"
"""The one signature that each model has; an empty name means it as well."""

METHOD = "tensorflow/serving/predict"

MAX_REPEATED_BYTES = 64 << 20
"""What a tensor may weigh whose last value stands for all that follow: a message of a few bytes
could ask for any amount of memory otherwise."""

PredictRequest = message("tensorflow.serving.PredictRequest")
MetadataRequest = message("tensorflow.serving.GetModelMetadataRequest")
StatusRequest = message("tensorflow.serving.GetModelStatusRequest")
TensorProto = message("tensorflow.TensorProto")
_PredictResponse = message("tensorflow.serving.PredictResponse")
_MetadataResponse = message("tensorflow.serving.GetModelMetadataResponse")
_StatusResponse = message("tensorflow.serving.GetModelStatusResponse")
_SignatureDefMap = message("tensorflow.serving.SignatureDefMap")

_FIELDS = {
    "float32": ("DT_FLOAT", "float_val"), "float64": ("DT_DOUBLE", "double_val"),
    "float16": ("DT_HALF", "half_val"),
    "int8": ("DT_INT8", "int_val"), "int16": ("DT_INT16", "int_val"),
    "int32": ("DT_INT32", "int_val"), "int64": ("DT_INT64", "int64_val"),
    "uint8": ("DT_UINT8", "int_val"), "uint16": ("DT_UINT16", "int_val"),
    "uint32": ("DT_UINT32", "uint32_val"), "uint64": ("DT_UINT64", "uint64_val"),
    "bool": ("DT_BOOL", "bool_val"), "bytes": ("DT_STRING", "string_val"),
    "complex64": ("DT_COMPLEX64", "scomplex_val"), "complex128": ("DT_COMPLEX128", "dcomplex_val"),
}  # fmt: skip
"""By the name of `dtype_name`: TensorFlow's type, and the field of its values."""

_TYPES = POOL.FindEnumTypeByName("tensorflow.DataType")
_NAMES = {
    _TYPES.values_by_name[word].number: (name, field) for name, (word, field) in _FIELDS.items()
}
_SPECIAL = {"bfloat16": "DT_BFLOAT16"}
"""Types of a model's tensors by names that are not numpy's."""


def decode_predict(request: Any) -> InferRequest:
    """A request from a `PredictRequest`.

    Raises:
        InvalidInput, PayloadTooLarge: it is none; the message says which tensor, and why.
        NotFound: it asks for a version by a label.
    """
    spec = request.model_spec
    if spec.signature_name not in ("", SIGNATURE):
        raise InvalidInput(
            f"model {spec.name!r} has no signature {spec.signature_name!r}",
            context={"wanted": SIGNATURE},
        )
    return InferRequest(
        model=spec.name,
        inputs={name: Tensor(decode_tensor(name, t)) for name, t in request.inputs.items()},
        version=version_of(spec),
        outputs=tuple(request.output_filter),
    )


def version_of(spec: Any) -> str | None:
    """The version that a TensorFlow `ModelSpec` names, if it names one.

    Raises:
        NotFound: it does so by a label, and there are none.
    """
    if spec.HasField("version"):
        return str(spec.version.value)
    if spec.HasField("version_label"):
        raise NotFound(f"model {spec.name!r} has no version labelled {spec.version_label!r}")
    return None


def encode_predict(response: InferResponse) -> Any:
    """The `PredictResponse` of an answer."""
    answer = _PredictResponse()
    _tell_model(answer.model_spec, response.model, response.version)
    for name, tensor in response.outputs.items():
        fill_tensor(answer.outputs[name], tensor.data)
        if tensor.lod is not None:
            fill_tensor(answer.outputs[name + LOD_SUFFIX], np.array(tensor.lod, dtype=np.int64))
    return answer


def metadata(request: Any, spec: ModelSpec, version: str) -> Any:
    """A model's `GetModelMetadataResponse`.

    Raises:
        InvalidInput: something else than its signatures is asked for.
    """
    fields = list(request.metadata_field)
    if not fields or any(field != "signature_def" for field in fields):
        raise InvalidInput(
            "the metadata of a model is its signatures",
            context={"found": ", ".join(fields) or "no metadata_field", "wanted": "signature_def"},
        )
    signatures = _SignatureDefMap()
    signature = signatures.signature_def[SIGNATURE]
    signature.method_name = METHOD
    _describe(signature.inputs, spec.inputs)
    _describe(signature.outputs, spec.outputs)
    answer = _MetadataResponse()
    _tell_model(answer.model_spec, spec.name, version)
    answer.metadata["signature_def"].Pack(signatures)
    return answer


def status(states: Mapping[str, str]) -> Any:
    """A `GetModelStatusResponse`: the state of each version, by TensorFlow's words."""
    answer = _StatusResponse()
    for version, state in states.items():
        answer.model_version_status.add(version=int(version), state=state, status={})
    return answer


def decode_tensor(name: str, proto: Any) -> Array:
    """The array in a `TensorProto`.

    As TensorFlow reads it: raw content, or values of which the last stands for all that follow
    (none at all: zeros).

    Raises:
        InvalidInput: type, shape and values do not go together.
        PayloadTooLarge: values repeat without measure.
    """
    known = _NAMES.get(proto.dtype)
    if known is None:
        found = _TYPES.values_by_number.get(proto.dtype)
        raise InvalidInput(
            f"tensor {name!r} has a type that is not taken",
            context={
                "found": found.name if found is not None else str(proto.dtype),
                "wanted": ", ".join(word for word, _ in _FIELDS.values()),
            },
        )
    dtype, field = known
    if proto.tensor_shape.unknown_rank:
        raise InvalidInput(f"tensor {name!r} has no shape")
    shape = [d.size for d in proto.tensor_shape.dim]
    count = check_shape(name, shape)
    for present, _ in proto.ListFields():
        if present.name.endswith("_val") and (present.name != field or proto.tensor_content):
            raise InvalidInput(
                f"tensor {name!r} has values in the wrong field",
                context={
                    "found": present.name,
                    "wanted": "tensor_content alone" if proto.tensor_content else field,
                },
            )
    if proto.tensor_content:
        return _from_content(name, dtype, shape, count, proto.tensor_content)
    values = getattr(proto, field)
    given = _from_values(name, dtype, values)
    return _repeated(name, given, shape, count)


def fill_tensor(proto: Any, data: Array) -> None:
    """Make a `TensorProto` of an array."""
    word, field = _FIELDS[dtype_name(data)]
    proto.dtype = _TYPES.values_by_name[word].number
    dims = proto.tensor_shape.dim
    for size in data.shape:
        dims.add(size=size)
    flat = data.ravel()
    if data.dtype.kind == "c":
        flat = flat.view(np.float32 if data.dtype.itemsize == 8 else np.float64)
    elif data.dtype.name == "float16":
        flat = flat.view(np.uint16)
    getattr(proto, field).extend(flat.tolist())


def _from_content(name: str, dtype: str, shape: list[int], count: int, content: bytes) -> Array:
    if dtype == "bytes":
        raise InvalidInput(
            f"tensor {name!r} has strings in tensor_content", context={"wanted": "string_val"}
        )
    little = np.dtype(dtype).newbyteorder("<")
    if len(content) != count * little.itemsize:
        raise InvalidInput(
            f"the content of tensor {name!r} is not as long as its shape",
            context={
                "found": f"{len(content)} bytes",
                "wanted": f"{count * little.itemsize} bytes for {dtype} {shape}",
            },
        )
    return np.frombuffer(content, dtype=little).reshape(shape)


def _from_values(name: str, dtype: str, values: Any) -> Array:
    """The values that are given, in one dimension."""
    if dtype == "bytes":
        return of_elements(list(values), [len(values)])
    if dtype in ("complex64", "complex128"):
        if len(values) % 2:
            raise InvalidInput(f"tensor {name!r} has half a complex number")
        parts = np.fromiter(values, "float32" if dtype == "complex64" else "float64", len(values))
        return parts.view(dtype)
    integer = "uint16" if dtype == "float16" else dtype
    if values and integer in ("int8", "int16", "uint8", "uint16"):  # all of them come as int32
        limits = np.iinfo(integer)
        if min(values) < limits.min or max(values) > limits.max:
            raise InvalidInput(
                f"tensor {name!r} has values out of range for {dtype}",
                context={"wanted": f"{limits.min} to {limits.max}"},
            )
    array = np.fromiter(values, integer, len(values))
    return array.view(np.float16) if dtype == "float16" else array


def _repeated(name: str, given: Array, shape: list[int], count: int) -> Array:
    if given.size > count:
        raise InvalidInput(
            f"tensor {name!r} has more values than its shape",
            context={"found": f"{given.size} values", "wanted": f"{count} for shape {shape}"},
        )
    if given.size == count:
        return given.reshape(shape)
    if count * given.itemsize > MAX_REPEATED_BYTES:
        raise PayloadTooLarge(
            f"tensor {name!r} repeats its last value over more than {MAX_REPEATED_BYTES} bytes",
            context={"found": f"{given.size} values for shape {shape}"},
            hints=["send every value, or fewer rows at a time"],
        )
    array = np.empty(count, given.dtype)
    array[: given.size] = given
    nothing = b"" if given.dtype.kind == "O" else 0
    array[given.size :] = given[-1] if given.size else nothing
    return array.reshape(shape)


def _tell_model(spec: Any, name: str, version: str) -> None:
    spec.name = name
    spec.version.value = int(version)
    spec.signature_name = SIGNATURE


def _describe(target: Any, tensors: Iterable[TensorSpec]) -> None:
    for tensor in tensors:
        info = target[tensor.name]
        word = _SPECIAL.get(tensor.dtype) or _FIELDS[tensor.dtype][0]
        info.name, info.dtype = tensor.name, _TYPES.values_by_name[word].number
        for index, size in enumerate(tensor.shape):
            batch = index == 0 and tensor.batching != "whole"
            info.tensor_shape.dim.add(size=-1 if batch else size)
        if tensor.lod_level:
            offsets = target[tensor.name + LOD_SUFFIX]
            offsets.name = tensor.name + LOD_SUFFIX
            offsets.dtype = _TYPES.values_by_name["DT_INT64"].number
            offsets.tensor_shape.dim.add(size=-1)
