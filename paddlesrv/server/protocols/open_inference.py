"""The Open Inference Protocol over HTTP (KServe v2), with the binary tensor extension.

Specification: KServe open-inference-protocol, `inference_rest.md`; binary tensors: Triton
Inference Server, `extension_binary_data.md`. A sequence input's offsets travel as one more
INT64 tensor, `NAME.lod`, in both directions.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from paddlesrv.errors import InvalidInput
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Array, Tensor, dtype_name
from paddlesrv.server.protocols.datatypes import (
    FROM_NUMPY,
    TO_NUMPY,
    Buffer,
    bytes_of,
    from_bytes,
    from_json,
    of_elements,
)
from paddlesrv.server.protocols.json_body import decode_json
from paddlesrv.server.request import InferRequest, InferResponse
from paddlesrv.server.statistics import Statistics, Sum
from paddlesrv.server.validation import LOD_SUFFIX

EXTENSIONS = ("binary_tensor_data", "statistics", "model_repository")
PLATFORM = {
    "paddle-program": "paddle_inference",
    "paddle-pir": "paddle_inference",
    "onnx": "onnx_onnxv1",
    "pipeline": "paddlesrv_pipeline",
}

Parameters = dict[str, str | int | float | bool]


class _Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] | None = None
    data: list[Any] | None = None


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] | None = None


class _Request(msgspec.Struct):
    inputs: list[_Input]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[_Output] | None = None


class OutputForms(msgspec.Struct, frozen=True):
    """Which outputs the client wants in binary: by name, and for all others."""

    by_name: dict[str, bool] = {}
    default: bool = False

    def binary(self, name: str) -> bool:
        """Whether that output goes as bytes behind the JSON."""
        return self.by_name.get(name, self.default)


_ALL_JSON = OutputForms()
_decoder = msgspec.json.Decoder(_Request)
_encoder = msgspec.json.Encoder()


def decode(
    model: str, version: str | None, body: Buffer, header_length: str | None
) -> tuple[InferRequest, OutputForms]:
    """A request from its body.

    Args:
        model: The model's name, from the path.
        version: Its version, from the path.
        body: The whole body.
        header_length: The value of `Inference-Header-Content-Length`, if it came.

    Raises:
        InvalidInput: the body is not a request; the message says where and why.
    """
    header, blobs = _cut(body, header_length)
    message = decode_json(_decoder, header, "an inference request")
    inputs: dict[str, Tensor] = {}
    position = 0
    for part in message.inputs:
        if part.name in inputs:
            raise InvalidInput(f"tensor {part.name!r} comes twice")
        size = part.parameters.get("binary_data_size") if part.parameters else None
        if size is None:
            if part.data is None:
                raise InvalidInput(f"tensor {part.name!r} has neither data nor binary_data_size")
            if part.datatype in ("FP16", "BF16"):
                raise InvalidInput(
                    f"tensor {part.name!r} has a datatype that JSON cannot carry here",
                    context={"found": part.datatype},
                    hints=["send it as binary data"],
                )
            data = from_json(part.name, part.datatype, part.shape, part.data)
        else:
            if part.data is not None:
                raise InvalidInput(f"tensor {part.name!r} has both data and binary_data_size")
            blob, position = _take(part.name, blobs, position, size)
            data = from_bytes(part.name, part.datatype, part.shape, blob)
        inputs[part.name] = Tensor(data)
    if position != len(blobs):
        raise InvalidInput(
            "bytes are left behind the last tensor",
            context={"found": f"{len(blobs)} bytes", "wanted": f"{position} by binary_data_size"},
        )
    request = InferRequest(model=model, inputs=inputs, version=version, id=message.id)
    if message.parameters is None and message.outputs is None:  # as most requests are
        return request, _ALL_JSON
    wanted = message.outputs or []
    request.outputs = tuple([o.name for o in wanted])
    request.timeout = read_timeout((message.parameters or {}).get("timeout"))
    forms = OutputForms(
        {
            o.name: bool(o.parameters["binary_data"])
            for o in wanted
            if o.parameters and "binary_data" in o.parameters
        },
        bool((message.parameters or {}).get("binary_data_output", False)),
    )
    return request, forms


def is_raw(header_length: str | None) -> bool:
    """Whether the body has no JSON and is a tensor alone: its JSON is said to have no bytes."""
    return bool(header_length) and not (header_length or "").strip("0")


def decode_raw(
    spec: ModelSpec, version: str | None, body: Buffer
) -> tuple[InferRequest, OutputForms]:
    """A request whose whole body is one tensor's bytes, as a header length of 0 says.

    The tensor's shape is what the bytes make of the model's: rows, or where the model leaves one
    other side open, that side of a single row. Text is one element. Source: Triton Inference
    Server, extension_binary_data.md, "Raw Binary Request".

    Raises:
        InvalidInput: the model has several inputs, or the bytes make no whole rows.
    """
    if len(spec.inputs) != 1:
        raise InvalidInput(
            f"model {spec.name!r} has {len(spec.inputs)} inputs, and a raw body is one",
            hints=["send them behind JSON that says what they are"],
        )
    (declared,) = spec.inputs
    datatype = FROM_NUMPY.get(declared.dtype, declared.dtype.upper())
    if datatype == "BYTES":
        array = of_elements([bytes(body)], [1] * max(1, len(declared.shape)))
    else:
        size = np.dtype(declared.dtype).itemsize if datatype in TO_NUMPY else 0
        array = from_bytes(declared.name, datatype, _raw_shape(declared, body, size), body)
    request = InferRequest(spec.name, {declared.name: Tensor(array)}, version=version)
    return request, OutputForms({}, True)


def _raw_shape(declared: TensorSpec, body: Buffer, size: int) -> list[int]:
    count = len(body) // size if size else 0
    shape = list(declared.shape)
    if declared.batching != "whole":
        shape[:1] = [1 if any(side < 0 for side in shape[1:]) else -1]
    known = math.prod(side for side in shape if side >= 0)
    if shape.count(-1) > 1 or count % known or count * size != len(body) or not count:
        raise InvalidInput(
            f"a raw body of {len(body)} bytes makes no tensor {declared.name!r}",
            context={"wanted": f"{declared.dtype} {list(declared.shape)}"},
            hints=["send it behind JSON that says its shape"],
        )
    return [count // known if side < 0 else side for side in shape]


def encode(response: InferResponse, forms: OutputForms) -> tuple[bytes, int | None]:
    """The body of an answer, and the length of its JSON part if bytes follow it.

    Values that are not finite have no JSON form: they become null; binary output keeps them.
    """
    outputs: list[dict[str, Any]] = []
    blobs: list[Buffer] = []
    for name, tensor in response.outputs.items():
        outputs.append(_output(name, tensor.data, forms.binary(name), blobs))
        if tensor.lod is not None:
            offsets = np.array(tensor.lod, dtype=np.int64)
            outputs.append(_output(name + LOD_SUFFIX, offsets, forms.binary(name), blobs))
    message: dict[str, Any] = {"model_name": response.model, "model_version": response.version}
    if response.id is not None:
        message["id"] = response.id
    message["outputs"] = outputs
    header = _encoder.encode(message)
    if not blobs:
        return header, None
    return b"".join([header, *blobs]), len(header)


def describe(spec: ModelSpec, version: str) -> dict[str, Any]:
    """A model's metadata."""
    return {
        "name": spec.name,
        "versions": [version],
        "platform": PLATFORM[spec.format],
        "inputs": describe_tensors(spec.inputs),
        "outputs": describe_tensors(spec.outputs),
        "properties": {"task": spec.task, "format": spec.format},
    }


def statistics(name: str, version: str, sums: Statistics) -> dict[str, Any]:
    """One model's sums, as Triton's statistics extension names them."""
    return {
        "name": name,
        "version": version,
        "last_inference": sums.last_ms,
        "inference_count": sums.rows,
        "execution_count": sums.runs,
        "inference_stats": {
            "success": _sum(sums.success),
            "fail": _sum(sums.failure),
            "queue": _sum(sums.queue),
            "compute_infer": _sum(sums.compute),
        },
        "batch_stats": [
            {"batch_size": rows, "compute_infer": _sum(batch)}
            for rows, batch in sorted(sums.batches.items())
        ],
    }


def _sum(found: Sum) -> dict[str, int]:
    return {"count": found.count, "ns": found.nanoseconds}


def describe_tensors(tensors: tuple[TensorSpec, ...]) -> list[dict[str, Any]]:
    """Inputs or outputs as metadata names them; offsets are tensors of their own there."""
    described: list[dict[str, Any]] = []
    for t in tensors:
        shape = list(t.shape)
        if shape and t.batching != "whole":
            shape[0] = -1
        datatype = FROM_NUMPY.get(t.dtype, t.dtype.upper())
        described.append({"name": t.name, "datatype": datatype, "shape": shape})
        if t.lod_level:
            lod = {"name": t.name + LOD_SUFFIX, "datatype": "INT64", "shape": [-1]}
            described.append(lod)
    return described


def _cut(body: Buffer, header_length: str | None) -> tuple[Buffer, Buffer]:
    """The JSON, and the bytes behind it; views, since they may be long."""
    if header_length is None:
        return body, b""
    if not (header_length.isascii() and header_length.isdigit()) or len(header_length) > 18:
        raise InvalidInput(
            "Inference-Header-Content-Length is not a number",
            context={"found": header_length[:40]},
        )
    length = int(header_length)
    if length > len(body):
        raise InvalidInput(
            "Inference-Header-Content-Length is larger than the body",
            context={"found": f"{length} of {len(body)} bytes"},
        )
    view = memoryview(body)
    return view[:length], view[length:]


def _take(name: str, blobs: Buffer, position: int, size: Any) -> tuple[Buffer, int]:
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise InvalidInput(f"binary_data_size of tensor {name!r} is not a number of bytes")
    if position + size > len(blobs):
        raise InvalidInput(
            f"the binary data of tensor {name!r} is cut short",
            context={"found": f"{len(blobs) - position} bytes", "wanted": f"{size} bytes"},
        )
    return blobs[position : position + size], position + size


def _output(name: str, data: Array, binary: bool, blobs: list[Buffer]) -> dict[str, Any]:
    datatype = FROM_NUMPY[dtype_name(data)]
    output: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(data.shape)}
    if binary or datatype == "FP16":
        blob = bytes_of(data)
        output["parameters"] = {"binary_data_size": len(blob)}
        blobs.append(blob)
    elif datatype == "BYTES":
        output["data"] = _texts(name, data)
    else:
        output["data"] = data.ravel().tolist()
    return output


def _texts(name: str, data: Array) -> list[str]:
    try:
        return [text.decode() for text in data.ravel()]
    except UnicodeDecodeError:
        raise InvalidInput(
            f"output {name!r} has bytes that are no text, which JSON cannot carry",
            hints=["ask for it as binary data: parameters binary_data: true"],
        ) from None


def read_timeout(value: object) -> float | None:
    """The `timeout` parameter in seconds: it comes in microseconds, as in Triton's scheduling
    policy extension.

    Raises:
        InvalidInput: it is no such number.
    """
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise InvalidInput("the parameter 'timeout' must be a number of microseconds")
    return value / 1e6 if value else None
