"""The calls over gRPC: the Open Inference Protocol with raw contents.

Specification: KServe open-inference-protocol, `inference_grpc.md`. A sequence's offsets are one
more INT64 tensor, `NAME.lod`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paddlesrv_client.protocol import Call, Codec, check_outputs
from paddlesrv_client.results import InferResult, ModelMetadata, TensorMetadata
from paddlesrv_client.tensors import (
    Array,
    Tensor,
    datatype,
    flat,
    from_bytes,
    from_values,
    joined,
    to_bytes,
)
from paddlesrv_client.wire.messages import message

_SERVICE = "inference.GRPCInferenceService"
_CONTENTS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents",
    "INT32": "int_contents", "INT64": "int64_contents", "UINT8": "uint_contents",
    "UINT16": "uint_contents", "UINT32": "uint_contents", "UINT64": "uint64_contents",
    "FP32": "fp32_contents", "FP64": "fp64_contents",
}  # fmt: skip


@dataclass
class GrpcRequest:
    """A method's path, and its message's bytes."""

    path: str
    body: bytes


def _request(method: str, **fields: Any) -> GrpcRequest:
    made = message(f"inference.{method}Request")(**fields)
    return GrpcRequest(f"/{_SERVICE}/{method}", made.SerializeToString())


class GrpcCodec(Codec):
    """Calls over gRPC. The deadline is gRPC's own."""

    name = "grpc"

    def infer(
        self,
        model: str,
        inputs: Mapping[str, Tensor],
        outputs: Sequence[str],
        request_id: str | None,
        seconds: float,
    ) -> Call[InferResult]:
        """`ModelInfer`."""
        arrays = flat(inputs)
        request = _request(
            "ModelInfer",
            model_name=model,
            id=request_id or "",
            inputs=[
                {"name": name, "datatype": datatype(array), "shape": array.shape}
                for name, array in arrays.items()
            ],
            outputs=[{"name": name} for name in outputs],
            raw_input_contents=[to_bytes(array) for array in arrays.values()],
        )
        return Call(request, lambda answer: check_outputs(_result(answer), outputs))

    def metadata(self, model: str) -> Call[ModelMetadata]:
        """`ModelMetadata`."""
        return Call(_request("ModelMetadata", name=model), _metadata)

    def ready(self, model: str) -> Call[bool]:
        """`ModelReady`."""
        return Call(_request("ModelReady", name=model), _ready)

    def live(self) -> Call[bool]:
        """`ServerLive`."""
        return Call(_request("ServerLive"), _live)


def _result(answer: bytes) -> InferResult:
    said = message("inference.ModelInferResponse").FromString(answer)
    raw = list(said.raw_output_contents)
    if raw and len(raw) != len(said.outputs):
        raise ValueError(f"{len(raw)} raw contents for {len(said.outputs)} outputs")
    arrays: dict[str, Array] = {}
    for place, output in enumerate(said.outputs):
        if output.name in arrays:
            raise ValueError(f"output {output.name!r} comes twice")
        shape = list(output.shape)
        if raw:
            arrays[output.name] = from_bytes(output.name, output.datatype, shape, raw[place])
        else:
            arrays[output.name] = _typed(output, shape)
    return InferResult(
        joined(arrays), model=said.model_name, version=said.model_version, id=said.id or None
    )


def _typed(output: Any, shape: list[int]) -> Array:
    """The values of a server that does not answer raw contents."""
    if output.datatype == "BYTES":
        parts = list(output.contents.bytes_contents)
        blob = b"".join(len(part).to_bytes(4, "little") + part for part in parts)
        return from_bytes(output.name, "BYTES", shape, blob)
    values = list(getattr(output.contents, _CONTENTS[output.datatype]))
    return from_values(output.name, output.datatype, shape, values)


def _metadata(answer: bytes) -> ModelMetadata:
    said = message("inference.ModelMetadataResponse").FromString(answer)
    return ModelMetadata(
        name=said.name,
        versions=tuple(said.versions),
        platform=said.platform,
        inputs=_tensors(said.inputs),
        outputs=_tensors(said.outputs),
        properties=dict(said.properties),
    )


def _tensors(told: Any) -> tuple[TensorMetadata, ...]:
    return tuple(TensorMetadata(t.name, t.datatype, tuple(t.shape)) for t in told)


def _ready(answer: bytes) -> bool:
    return bool(message("inference.ModelReadyResponse").FromString(answer).ready)


def _live(answer: bytes) -> bool:
    return bool(message("inference.ServerLiveResponse").FromString(answer).live)
