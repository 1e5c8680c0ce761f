"""The Open Inference Protocol over gRPC: its messages, and requests made from and answered by them.

Field numbers and rules: KServe open-inference-protocol, `open_inference_grpc.proto`. A sequence
input's offsets travel as one more INT64 tensor, `NAME.lod`, in both directions, as over HTTP.

Outputs always go as raw bytes, however the inputs came. Triton does so, and its clients read
nothing else for FP16; every client of this protocol reads them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from paddlesrv_client.wire.messages import message

from paddlesrv.errors import InvalidInput
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Array, Tensor, dtype_name
from paddlesrv.server.protocols.datatypes import (
    FROM_NUMPY,
    TO_NUMPY,
    check_shape,
    from_bytes,
    of_elements,
    to_bytes,
)
from paddlesrv.server.protocols.open_inference import describe, read_timeout
from paddlesrv.server.request import InferRequest, InferResponse
from paddlesrv.server.validation import LOD_SUFFIX

ModelInferRequest = message("inference.ModelInferRequest")
ModelInferResponse = message("inference.ModelInferResponse")
_Metadata = message("inference.ModelMetadataResponse")
_Config = message("inference.ModelConfigResponse")

_CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip
"""Where a tensor's values are when they are not raw; FP16 and BF16 are always raw."""

_NARROW = ("INT8", "INT16", "UINT8", "UINT16")
"""Types whose values come in fields of a wider one."""

_CONFIG_TYPES = {"FP16": "TYPE_FP16", "FP32": "TYPE_FP32", "FP64": "TYPE_FP64"} | {
    "BYTES": "TYPE_STRING",
    "BFLOAT16": "TYPE_BF16",
}

_UNSERVED_INPUT = ("shared_memory_region",)
_UNSERVED_OUTPUT = ("shared_memory_region", "classification")


def decode(request: Any) -> InferRequest:
    """A request from a `ModelInferRequest`.

    Raises:
        InvalidInput: it is none; the message says which tensor, what came and what was expected.
    """
    raw = request.raw_input_contents
    parts = request.inputs
    for part in parts:
        _refuse_parameters("input", part, _UNSERVED_INPUT)
    if raw and len(raw) != len(parts):
        raise InvalidInput(
            "the request has not one raw content for each input",
            context={"found": f"{len(raw)} raw contents, {len(parts)} inputs"},
        )
    inputs: dict[str, Tensor] = {}
    for index, part in enumerate(parts):
        name = part.name
        if name in inputs:
            raise InvalidInput(f"tensor {name!r} comes twice")
        if raw:
            if part.HasField("contents") and part.contents.ListFields():
                raise InvalidInput(
                    f"tensor {name!r} has contents although the request has raw contents",
                    context={"wanted": "all tensors raw, or none"},
                )
            data = from_bytes(name, part.datatype, list(part.shape), raw[index])
        else:
            data = _from_contents(name, part.datatype, list(part.shape), part.contents)
        inputs[name] = Tensor(data)
    for output in request.outputs:
        _refuse_parameters("output", output, _UNSERVED_OUTPUT)
    return InferRequest(
        model=request.model_name,
        inputs=inputs,
        version=request.model_version or None,
        id=request.id or None,
        outputs=tuple([output.name for output in request.outputs]),
        timeout=_timeout(request),
    )


def encode(response: InferResponse) -> Any:
    """The `ModelInferResponse` of an answer."""
    answer = ModelInferResponse(
        model_name=response.model, model_version=response.version, id=response.id or ""
    )
    for name, tensor in response.outputs.items():
        _add(answer, name, tensor.data)
        if tensor.lod is not None:
            _add(answer, name + LOD_SUFFIX, np.array(tensor.lod, dtype=np.int64))
    return answer


def metadata(spec: ModelSpec, version: str) -> Any:
    """A model's `ModelMetadataResponse`."""
    return _Metadata(**describe(spec, version))


def config(spec: ModelSpec, *, max_batch_size: int, max_delay: float) -> Any:
    """A model's `ModelConfigResponse`, as far as Triton's fields have a meaning here.

    Args:
        spec: The model.
        max_batch_size: Rows in one run.
        max_delay: Seconds for which a batch may wait to grow.
    """
    answer = _Config()
    found = answer.config
    described = describe(spec, "")
    found.name, found.platform = described["name"], described["platform"]
    # As there: the batch is no dimension of a model that batches.
    batches = bool(spec.inputs) and all(t.batching != "whole" for t in spec.inputs)
    found.max_batch_size = max_batch_size if batches else 0
    if batches:
        found.dynamic_batching.max_queue_delay_microseconds = round(max_delay * 1e6)
    for tensors, target in ((spec.inputs, found.input), (spec.outputs, found.output)):
        for tensor in tensors:
            target.add(
                name=tensor.name,
                data_type=_config_type(tensor),
                dims=tensor.shape[1:] if batches and not tensor.lod_level else tensor.shape,
            )
    return answer


def flag(request: Any, name: str) -> bool:
    """Whether a request has that parameter, and it is true."""
    parameters = request.parameters
    return name in parameters and bool(parameters[name].bool_param)


def _config_type(tensor: TensorSpec) -> str:
    datatype = FROM_NUMPY.get(tensor.dtype, tensor.dtype.upper())
    return _CONFIG_TYPES.get(datatype, f"TYPE_{datatype}")


def _from_contents(name: str, datatype: str, shape: list[int], contents: Any) -> Array:
    field = _CONTENTS.get(datatype)
    if field is None:
        raise InvalidInput(
            f"tensor {name!r} has a datatype that typed contents cannot carry",
            context={"found": datatype[:40], "wanted": ", ".join(_CONTENTS)},
            hints=["send it in raw_input_contents"] if datatype == "FP16" else [],
        )
    count = check_shape(name, shape)
    for present, _ in contents.ListFields():
        if present.name != field:
            raise InvalidInput(
                f"tensor {name!r} has contents of another type than {datatype}",
                context={"found": present.name, "wanted": field},
            )
    values = getattr(contents, field)
    if len(values) != count:
        raise InvalidInput(
            f"tensor {name!r} has as many values as its shape does not say",
            context={"found": f"{len(values)} values", "wanted": f"{count} for shape {shape}"},
        )
    if datatype == "BYTES":
        return of_elements(list(values), shape)
    if datatype in _NARROW:
        limits = np.iinfo(TO_NUMPY[datatype])
        if count and (min(values) < limits.min or max(values) > limits.max):
            raise InvalidInput(
                f"tensor {name!r} has values out of range for {datatype}",
                context={"wanted": f"{limits.min} to {limits.max}"},
            )
    return np.fromiter(values, TO_NUMPY[datatype], count).reshape(shape)


def _add(answer: Any, name: str, data: Array) -> None:
    answer.outputs.add(name=name, datatype=FROM_NUMPY[dtype_name(data)], shape=data.shape)
    answer.raw_output_contents.append(to_bytes(data))


def _timeout(request: Any) -> float | None:
    parameters = request.parameters
    if "timeout" not in parameters:  # a look at a map makes what it looks for
        return None
    parameter = parameters["timeout"]
    choice = parameter.WhichOneof("parameter_choice")
    return read_timeout(getattr(parameter, choice) if choice else "")


def _refuse_parameters(kind: str, part: Any, unserved: tuple[str, ...]) -> None:
    """What changes an answer's meaning must not be passed over in silence."""
    for parameter in unserved if part.parameters else ():
        if parameter in part.parameters:
            raise InvalidInput(
                f"{kind} {part.name!r} has the parameter {parameter!r}, which is not served"
            )
