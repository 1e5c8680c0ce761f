"""The calls over HTTP: the Open Inference Protocol with binary tensors, and task models.

Specifications: KServe open-inference-protocol, `inference_rest.md`; Triton Inference Server,
`extension_binary_data.md`. A sequence's offsets are one more INT64 tensor, `NAME.lod`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from paddlesrv_client.errors import DeadlineExceeded, PaddlesrvClientError, ServerError
from paddlesrv_client.protocol import Call, Codec, PredictInput, check_outputs
from paddlesrv_client.results import InferResult, ModelMetadata, Prediction, TensorMetadata
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

HEADER_LENGTH = "Inference-Header-Content-Length"
_JSON = "application/json"
_BYTES = "application/octet-stream"
_PNG = b"\x89PNG\r\n\x1a\n"
_TRANSIENT = (429, 503)
_LONGEST_TIMEOUT = (1 << 63) - 1


@dataclass
class HttpRequest:
    """What is sent."""

    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class HttpAnswer:
    """What came; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpCodec(Codec):
    """Calls over HTTP."""

    name = "http"

    def infer(
        self,
        model: str,
        inputs: Mapping[str, Tensor],
        outputs: Sequence[str],
        request_id: str | None,
        seconds: float,
    ) -> Call[InferResult]:
        """`POST /v2/models/MODEL/infer`; tensors go, and are wanted, as bytes."""
        arrays = flat(inputs)
        blobs = [to_bytes(array) for array in arrays.values()]
        said: dict[str, Any] = {
            "inputs": [
                {
                    "name": name,
                    "datatype": datatype(array),
                    "shape": list(array.shape),
                    "parameters": {"binary_data_size": len(blob)},
                }
                for (name, array), blob in zip(arrays.items(), blobs, strict=True)
            ],
            "parameters": {
                "binary_data_output": True,
                "timeout": min(max(int(seconds * 1e6), 1), _LONGEST_TIMEOUT),
            },
        }
        if request_id is not None:
            said["id"] = request_id
        if outputs:
            said["outputs"] = [
                {"name": name, "parameters": {"binary_data": True}} for name in outputs
            ]
        head = json.dumps(said).encode()
        headers = {"Content-Type": _BYTES, HEADER_LENGTH: str(len(head))}
        request = HttpRequest("POST", _path(model, "infer"), b"".join([head, *blobs]), headers)
        return Call(request, lambda answer: check_outputs(_result(answer, model), outputs))

    def predict(self, model: str, item: PredictInput) -> Call[Prediction]:
        """`POST /predict/MODEL`."""
        return Call(_predict(model, item, {}), _prediction)

    def picture(self, model: str, item: PredictInput, wanted: str) -> Call[bytes]:
        """`POST /predict/MODEL?draw=1` or `?map=1`."""
        return Call(_predict(model, item, {wanted: 1}), _picture)

    def metadata(self, model: str) -> Call[ModelMetadata]:
        """`GET /v2/models/MODEL`."""
        return Call(HttpRequest("GET", _path(model)), _metadata)

    def ready(self, model: str) -> Call[bool]:
        """`GET /v2/models/MODEL/ready`."""
        return Call(HttpRequest("GET", _path(model, "ready")), _yes)

    def live(self) -> Call[bool]:
        """`GET /v2/health/live`."""
        return Call(HttpRequest("GET", "/v2/health/live"), _yes)


def _path(model: str, *more: str) -> str:
    return "/".join(["/v2/models", quote(model, safe=""), *more])


def _predict(model: str, item: PredictInput, more: dict[str, Any]) -> HttpRequest:
    options = {**item.options, **more}
    told = {name: int(v) if isinstance(v, bool) else v for name, v in options.items()}
    path = f"/predict/{quote(model, safe='')}" + (f"?{urlencode(told)}" if told else "")
    if len(item.pictures) == 1 and not item.texts and not item.features:
        # As it is: base64 would make it a third larger.
        return HttpRequest("POST", path, item.pictures[0], {"Content-Type": _BYTES})
    parts: dict[str, list[Any]] = {
        "images": [base64.b64encode(picture).decode() for picture in item.pictures],
        "texts": item.texts,
        "features": item.features,
    }
    body = json.dumps({name: part for name, part in parts.items() if part}).encode()
    return HttpRequest("POST", path, body, {"Content-Type": _JSON})


# -- answers -----------------------------------------------------------------------------------


def _good(answer: HttpAnswer) -> HttpAnswer:
    if answer.status != 200:
        raise _refusal(answer)
    return answer


def _refusal(answer: HttpAnswer) -> PaddlesrvClientError:
    """A server's error; a page of something between is told by its status alone."""
    try:
        said = json.loads(answer.body)
        message = said["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        said, message = {}, None
    if not isinstance(message, str):
        said, message = {}, f"the server answered HTTP {answer.status}"
    if said.get("code") == "deadline-exceeded":
        return DeadlineExceeded(message)
    return ServerError(
        message,
        answer.status,
        code=_text(said.get("code")),
        hint=_text(said.get("hint")),
        request_id=_text(said.get("request_id")) or answer.headers.get("x-request-id"),
        retry_after=_seconds(answer.headers.get("retry-after", "")),
        transient=answer.status in _TRANSIENT,
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _seconds(text: str) -> float | None:
    """`Retry-After` in seconds; its other form, a date, is left to the policy's own waits."""
    text = text.strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _result(answer: HttpAnswer, model: str) -> InferResult:
    body = _good(answer).body
    length = _length(answer.headers.get(HEADER_LENGTH.lower()), len(body))
    said = json.loads(body[:length])
    arrays: dict[str, Array] = {}
    position = length
    for output in said["outputs"]:
        name, shape = output["name"], output["shape"]
        if name in arrays:
            raise ValueError(f"output {name!r} comes twice")
        size = (output.get("parameters") or {}).get("binary_data_size")
        if size is None:
            arrays[name] = from_values(name, output["datatype"], shape, output["data"])
            continue
        if type(size) is not int or not 0 <= size <= len(body) - position or "data" in output:
            raise ValueError(f"output {name!r}: binary_data_size is {size!r}, or data too")
        blob = body[position : position + size]
        arrays[name] = from_bytes(name, output["datatype"], shape, blob)
        position += size
    if position != len(body):
        raise ValueError(f"{len(body) - position} bytes are left behind the last output")
    return InferResult(
        joined(arrays),
        model=_text(said.get("model_name")) or model,
        version=_text(said.get("model_version")) or "",
        id=_text(said.get("id")),
    )


def _length(text: str | None, whole: int) -> int:
    if text is None:
        return whole
    if not (text.isascii() and text.isdigit() and len(text) < 16) or int(text) > whole:
        raise ValueError(f"{HEADER_LENGTH} is {text[:20]}, the body has {whole} bytes")
    return int(text)


def _prediction(answer: HttpAnswer) -> Prediction:
    said = json.loads(_good(answer).body)
    model, task, results = said["model"], said["task"], said["results"]
    if not (isinstance(model, str) and isinstance(task, str) and isinstance(results, list)):
        raise ValueError("not a prediction")
    return Prediction(model, task, results, said)


def _picture(answer: HttpAnswer) -> bytes:
    if not _good(answer).body.startswith(_PNG):
        raise ValueError("not a picture")
    return answer.body


def _metadata(answer: HttpAnswer) -> ModelMetadata:
    said = json.loads(_good(answer).body)
    return ModelMetadata(
        name=str(said["name"]),
        versions=tuple(str(version) for version in said.get("versions", ())),
        platform=str(said.get("platform", "")),
        inputs=_tensors(said["inputs"]),
        outputs=_tensors(said["outputs"]),
        properties=dict(said.get("properties") or {}),
    )


def _tensors(told: Any) -> tuple[TensorMetadata, ...]:
    return tuple(
        TensorMetadata(str(t["name"]), str(t["datatype"]), tuple(int(s) for s in t["shape"]))
        for t in told
    )


def _yes(answer: HttpAnswer) -> bool:
    if answer.status == 503:
        return False
    _good(answer)
    return True
