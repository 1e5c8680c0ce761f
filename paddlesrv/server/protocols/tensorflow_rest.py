"""TensorFlow Serving's REST API: predict by rows or by columns, classify, status, metadata.

Source: tensorflow/serving, g3doc/api_rest.md, and util/json_tensor.cc where the two differ (the
answer to `:classify` is called `results`). A tensor's type is the model's own: JSON says none.
Values that are not finite become null, which is JSON, where TensorFlow Serving writes NaN, which
is none.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from paddlesrv.errors import InvalidInput
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Array, Tensor
from paddlesrv.server.protocols.datatypes import FROM_NUMPY, MAX_DIMENSIONS, from_json
from paddlesrv.server.protocols.json_body import decode_json
from paddlesrv.server.protocols.tensorflow_proto import SIGNATURE
from paddlesrv.server.request import InferRequest, InferResponse
from paddlesrv.server.validation import LOD_SUFFIX


class _Predict(msgspec.Struct):
    signature_name: str = ""
    instances: list[Any] | msgspec.UnsetType = msgspec.UNSET
    inputs: Any | msgspec.UnsetType = msgspec.UNSET


class _Classify(msgspec.Struct):
    examples: list[dict[str, Any]]
    signature_name: str = ""
    context: dict[str, Any] | None = None


_predict = msgspec.json.Decoder(_Predict)
_classify = msgspec.json.Decoder(_Classify)


def decode_predict(spec: ModelSpec, version: str | None, body: bytes) -> tuple[InferRequest, bool]:
    """A request, and whether it came by rows (`instances`) and is answered so.

    Raises:
        InvalidInput: the body is none; the message says where and why.
    """
    message = decode_json(_predict, body, "a predict request")
    _check_signature(spec, message.signature_name)
    rows, columns = message.instances, message.inputs
    named: dict[str, Any]
    if (rows is msgspec.UNSET) == (columns is msgspec.UNSET):
        raise InvalidInput("a predict request has either 'instances' or 'inputs'")
    if rows is not msgspec.UNSET:
        named = _columns_of(spec, rows)
    elif isinstance(columns, dict) and not _is_bytes(columns):
        named = columns
    else:
        named = {_only(spec.inputs, spec.name, "input").name: columns}
    inputs = {}
    for word, value in named.items():
        name, datatype = _declared(spec, word)
        if name in inputs:
            raise InvalidInput(f"input {word!r} comes twice")
        inputs[name] = Tensor(_array(word, datatype, value))
    return InferRequest(spec.name, inputs, version=version), rows is not msgspec.UNSET


def encode_predict(response: InferResponse, by_rows: bool) -> bytes:
    """The body of an answer; with one output, its name is left out."""
    found = {}
    for name, tensor in response.outputs.items():
        found[name] = _plain(tensor.data)
        if tensor.lod is not None:
            found[name + LOD_SUFFIX] = list(tensor.lod)
    if not by_rows:
        only = next(iter(found.values())) if len(found) == 1 else found
        return msgspec.json.encode({"outputs": only})
    lengths = {name: len(values) for name, values in found.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidInput(
            "the outputs of this model are not one for each row",
            context={"found": ", ".join(f"{name}: {count}" for name, count in lengths.items())},
            hints=['ask by columns: {"inputs": ...}'],
        )
    if len(found) == 1:
        return msgspec.json.encode({"predictions": next(iter(found.values()))})
    rows = [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]
    return msgspec.json.encode({"predictions": rows})


def decode_classify(spec: ModelSpec, body: bytes) -> list[bytes]:
    """The pictures of a classify request: of each example the only feature, `{"b64": ...}`.

    Raises:
        InvalidInput: the body is none, or an example holds something else.
    """
    message = decode_json(_classify, body, "a classify request")
    _check_signature(spec, message.signature_name)
    pictures = []
    for number, example in enumerate(message.examples):
        features = (message.context or {}) | example
        value = next(iter(features.values())) if len(features) == 1 else None
        # Features of an example are lists of values, or a value alone.
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if not isinstance(value, dict) or not _is_bytes(value):
            raise InvalidInput(
                f"example {number} is not one picture",
                context={"wanted": '{"image": {"b64": "..."}}, a picture file in base64'},
            )
        pictures.append(_bytes(f"example {number}", value))
    return pictures


def encode_classify(results: Sequence[Sequence[tuple[str, float]]]) -> bytes:
    """The answer: for each example, its labels with their scores, best first."""
    return msgspec.json.encode({"results": results})


def status(version: str, *, ready: bool) -> dict[str, Any]:
    """Of a model's only version."""
    return {
        "model_version_status": [
            {
                "version": version,
                "state": "AVAILABLE" if ready else "LOADING",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }


# -- inside ------------------------------------------------------------------------------------


def _check_signature(spec: ModelSpec, name: str) -> None:
    if name not in ("", SIGNATURE):
        raise InvalidInput(
            f"model {spec.name!r} has no signature {name!r}", context={"wanted": SIGNATURE}
        )


def _columns_of(spec: ModelSpec, rows: list[Any]) -> dict[str, list[Any]]:
    """Rows turned into columns; each row is an object with every input, or the only one's value."""
    if not rows:
        raise InvalidInput("there are no instances")
    if not isinstance(rows[0], dict) or _is_bytes(rows[0]):
        return {_only(spec.inputs, spec.name, "input").name: rows}
    columns: dict[str, list[Any]] = {name: [] for name in rows[0]}
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or row.keys() != columns.keys():
            raise InvalidInput(
                f"instance {number} has other inputs than the first",
                context={
                    "found": ", ".join(row) if isinstance(row, dict) else "a value",
                    "wanted": ", ".join(columns),
                },
            )
        for name, value in row.items():
            columns[name].append(value)
    return columns


def _declared(spec: ModelSpec, word: str) -> tuple[str, str]:
    """The name of an input that is called so, and its datatype."""
    owner = word.removesuffix(LOD_SUFFIX)
    for name in (word, spec.aliases.get(word, "")):
        declared = spec.input(name)
        if declared is not None:
            return name, FROM_NUMPY.get(declared.dtype, declared.dtype.upper())
    if owner != word:
        name, _ = _declared(spec, owner)
        return name + LOD_SUFFIX, "INT64"
    raise InvalidInput(
        f"model {spec.name!r} has no input {word!r}",
        context={"wanted": ", ".join(tensor.name for tensor in spec.inputs)},
    )


def _only(tensors: Sequence[TensorSpec], model: str, kind: str) -> TensorSpec:
    if len(tensors) != 1:
        raise InvalidInput(
            f"model {model!r} has several {kind}s, so that a value needs a name",
            context={"wanted": ", ".join(tensor.name for tensor in tensors)},
        )
    return tensors[0]


def _array(name: str, datatype: str, value: Any) -> Array:
    shape: list[int] = []
    level = value
    while isinstance(level, list) and len(shape) <= MAX_DIMENSIONS:
        shape.append(len(level))
        level = level[0] if level else None
    if datatype == "BYTES":
        value = _with_bytes(name, value)
    if datatype == "FP16":
        # TensorFlow Serving takes numbers for it, and rounds them.
        with np.errstate(over="ignore"):
            return from_json(name, "FP32", shape, value if shape else [value]).astype(np.float16)
    return from_json(name, datatype, shape, value if shape else [value])


def _is_bytes(value: Any) -> bool:
    return isinstance(value, Mapping) and value.keys() == {"b64"}


def _bytes(name: str, value: Mapping[str, Any]) -> bytes:
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise InvalidInput(f"the b64 of {name} cannot be read: {error}") from None


def _with_bytes(name: str, value: Any) -> Any:
    """The value with every `{"b64": ...}` in it decoded."""
    if isinstance(value, list):
        return [_with_bytes(name, each) for each in value]
    return _bytes(name, value) if _is_bytes(value) else value


def _plain(data: Array) -> Any:
    """Nested lists; bytes that are no text as `{"b64": ...}`."""
    return _texts(data.tolist()) if data.dtype.kind == "O" else data.tolist()


def _texts(values: Any) -> Any:
    if isinstance(values, list):
        return [_texts(each) for each in values]
    try:
        return values.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(values).decode()}
