"""The calls over bRPC: Paddle Serving's `GeneralModelService`.

Source: PaddlePaddle/Serving v0.7.0, core/configure/proto/general_model_service.proto. A request
names no model: the server takes the one that has these inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from paddlesrv_client.errors import DeadlineExceeded
from paddlesrv_client.protocol import Call, Codec, check_outputs
from paddlesrv_client.refusals import server_error
from paddlesrv_client.results import InferResult
from paddlesrv_client.tensors import Array, Tensor, count
from paddlesrv_client.wire.baidu_std import Frame, RpcMeta
from paddlesrv_client.wire.compression import BRPC_CODES, compress, decompress
from paddlesrv_client.wire.messages import message

_PACKAGE = "baidu.paddle_serving.predictor.general_model"
_FIELDS = {
    "int64": (0, "int64_data"), "float32": (1, "float_data"), "int32": (2, "int_data"),
    "float64": (3, "float64_data"), "int16": (4, "tensor_content"),
    "float16": (5, "tensor_content"), "uint8": (7, "tensor_content"),
    "int8": (8, "tensor_content"), "bool": (9, "bool_data"), "object": (20, "data"),
}  # fmt: skip
_TYPES = {code: (dtype, field) for dtype, (code, field) in _FIELDS.items()}
_CODES = {name: code for code, name in BRPC_CODES.items()}
MAX_BODY = 1 << 30
"""Bytes of an answer."""
_LONGEST_TIMEOUT = (1 << 31) - 1
_TIMED_OUT = 1008
_TRANSIENT = (2003, 2004)
"""ELOGOFF, the server is ending, and ELIMIT, it has too much to do (apache/brpc, errno.proto)."""


@dataclass
class BrpcRequest:
    """A frame but for its correlation id."""

    meta: Any
    body: bytes


class BrpcCodec(Codec):
    """Calls over bRPC.

    Args:
        compression: How messages are compressed, both ways.

    Raises:
        ValueError: bRPC has no such compression.
    """

    name = "brpc"

    def __init__(self, compression: str = "none") -> None:
        if compression not in _CODES:
            raise ValueError(f"compression {compression!r} is none of {', '.join(_CODES)}")
        self._compression = _CODES[compression]

    def infer(
        self,
        model: str,
        inputs: Mapping[str, Tensor],
        outputs: Sequence[str],
        request_id: str | None,
        seconds: float,
    ) -> Call[InferResult]:
        """`inference`.

        Raises:
            ValueError: an input has a type that this protocol does not have.
        """
        request = message(f"{_PACKAGE}.Request")(fetch_var_names=outputs)
        for name, tensor in inputs.items():
            _write(request.tensor.add(), name, tensor)
        meta = RpcMeta(compress_type=self._compression)
        meta.request.service_name = f"{_PACKAGE}.GeneralModelService"
        meta.request.method_name = "inference"
        meta.request.timeout_ms = min(max(int(seconds * 1000), 1), _LONGEST_TIMEOUT)
        if request_id is not None:
            meta.request.request_id = request_id
        body = compress(BRPC_CODES[self._compression], request.SerializeToString())

        def read(answer: Frame) -> InferResult:
            found = InferResult(_read(answer), id=request_id)
            return check_outputs(found, outputs)

        return Call(BrpcRequest(meta, body), read)


def _write(part: Any, name: str, tensor: Tensor) -> None:
    data = tensor.data
    if data.dtype.name not in _FIELDS:
        raise ValueError(f"input {name!r} is {data.dtype}; bRPC carries {', '.join(_FIELDS)}")
    code, field = _FIELDS[data.dtype.name]
    part.name = part.alias_name = name
    part.elem_type = code
    part.shape.extend(data.shape)
    part.lod.extend(tensor.lod or ())
    if field == "tensor_content":
        part.tensor_content = data.astype(data.dtype.newbyteorder("<"), copy=False).tobytes()
    elif field == "data":
        part.data.extend(e.encode() if isinstance(e, str) else e for e in data.flat)
    else:
        getattr(part, field).extend(data.ravel().tolist())


def _read(answer: Frame) -> dict[str, Tensor]:
    said = answer.meta.response
    if said.error_code == _TIMED_OUT:
        raise DeadlineExceeded(said.error_text)
    if said.error_code:
        transient = said.error_code in _TRANSIENT
        raise server_error(said.error_text, said.error_code, transient=transient)
    body = decompress(BRPC_CODES[answer.meta.compress_type], answer.body, MAX_BODY)
    response = message(f"{_PACKAGE}.Response").FromString(body)
    found: dict[str, Tensor] = {}
    for output in response.outputs:
        for part in output.tensor:
            if part.name in found:
                raise ValueError(f"output {part.name!r} comes twice")
            found[part.name] = Tensor(_values(part), tuple(part.lod) or None)
            if part.alias_name and part.alias_name not in found:
                found[part.alias_name] = found[part.name]
    return found


def _values(part: Any) -> Array:
    dtype, field = _TYPES[part.elem_type]
    shape = list(part.shape)
    if field == "data":
        values: Array = np.empty(len(part.data), dtype=object)
        values[:] = list(part.data)
    elif field == "tensor_content":
        wire = np.dtype(dtype).newbyteorder("<")
        values = np.frombuffer(part.tensor_content, wire).astype(dtype)
    else:
        values = np.array(getattr(part, field), dtype=dtype)
    if values.size != count(shape):
        raise ValueError(f"output {part.name!r}: {values.size} values for {shape}")
    return values.reshape(shape)
