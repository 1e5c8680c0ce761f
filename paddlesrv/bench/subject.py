"""What is measured: a server, a model on it, and the bytes of a request in each protocol."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import httpx
import msgspec
from paddlesrv_client.general_model import BrpcCodec
from paddlesrv_client.items import predict_input
from paddlesrv_client.open_inference import HttpCodec, HttpRequest
from paddlesrv_client.open_inference_proto import GrpcCodec
from paddlesrv_client.tensors import Tensor, datatype, flat
from paddlesrv_client.wire import baidu_std
from paddlesrv_client.wire.messages import message

from paddlesrv.bench.load import Job
from paddlesrv.bench.wires import Sent
from paddlesrv.engines.check_input import check_input
from paddlesrv.errors import InvalidInput, NotFound, SourceUnreachable, UsageError
from paddlesrv.models.spec import DType, ModelSpec, TensorSpec

Protocol = Literal[
    "http", "http-binary", "grpc", "brpc", "tensorflow-rest", "tensorflow-grpc", "predict"
]
TENSORS: tuple[Protocol, ...] = (
    "http", "http-binary", "grpc", "brpc", "tensorflow-rest", "tensorflow-grpc"
)  # fmt: skip
"""Protocols that carry a network's own tensors."""
PROTOCOLS: tuple[Protocol, ...] = (*TENSORS, "predict")

LOD = ".lod"
_SECONDS = 600.0
"""The time limit that requests carry, where their protocol has one."""
_DTYPES: dict[str, DType] = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
    "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64", "FP16": "float16",
    "FP32": "float32", "FP64": "float64", "BYTES": "bytes",
}  # fmt: skip
_TENSORFLOW: dict[str, DType] = {
    "DT_FLOAT": "float32", "DT_DOUBLE": "float64", "DT_INT32": "int32", "DT_INT64": "int64",
    "DT_UINT8": "uint8", "DT_INT8": "int8", "DT_INT16": "int16", "DT_UINT16": "uint16",
    "DT_UINT32": "uint32", "DT_UINT64": "uint64", "DT_BOOL": "bool", "DT_HALF": "float16",
    "DT_STRING": "bytes",
}  # fmt: skip
_TF_CODES = {
    "float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "int64": 9,
    "bool": 10, "uint16": 17, "float16": 19, "uint32": 22, "uint64": 23,
}  # fmt: skip
"""tensorflow/core/framework/types.proto, DataType."""


@dataclass(frozen=True)
class Subject:
    """A model on a server: its address, its name there, and its inputs, if it takes tensors."""

    url: str
    model: str
    inputs: tuple[TensorSpec, ...]


def find(url: str, model: str | None, client: httpx.Client) -> Subject:
    """What the server says of a model: Open Inference metadata, or TensorFlow Serving's.

    Args:
        url: The server's address.
        model: The model's name there; None: the only one, by the repository's index.
        client: Who asks.

    Raises:
        SourceUnreachable: nobody answers there.
        NotFound: the server has no such model, or describes none.
        UsageError: it has several models, and none is named.
    """
    name = model or _only(url, client)
    answer = _get(client, f"{url}/v2/models/{quote(name, safe='')}")
    if answer.status_code == 200:
        return Subject(url, name, _open_inference(answer.json()))
    older = _get(client, f"{url}/v1/models/{quote(name, safe='')}/metadata")
    if older.status_code == 200:
        return Subject(url, name, _tensorflow(older.json()))
    raise NotFound(
        f"{url} describes no model {name!r}",
        context={"found": f"HTTP {answer.status_code} at /v2/models/{name}"},
        hints=["name the model: --model NAME"],
    )


def tensors(
    subject: Subject, batch: int, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    """Inputs for so many rows, the same every time.

    Args:
        subject: The model.
        batch: Rows.
        shapes: Shapes of inputs, where the sides that the model leaves open are to be others than
            the usual ones (96 pixels for pictures, else 8).

    Raises:
        UsageError: a shape is of no input, or contradicts the model's.
        InvalidInput: the model takes no tensors.
    """
    if not subject.inputs:
        raise InvalidInput(
            f"{subject.model!r} takes no tensors",
            hints=["give it a picture or a text: --protocol predict --input FILE"],
        )
    inputs = {spec.name: spec for spec in subject.inputs}
    for name, shape in shapes.items():
        if name not in inputs:
            raise UsageError(
                f"--shape {name}: {subject.model!r} has no such input",
                context={"inputs": ", ".join(inputs)},
            )
        declared = inputs[name].shape
        if len(shape) != len(declared) or any(
            d >= 0 and d != s for d, s in list(zip(declared, shape, strict=False))[1:]
        ):
            raise UsageError(
                f"--shape {name}: {list(shape)} is not of this input",
                context={"wanted": str(list(declared)).replace("-1", "any")},
            )
        inputs[name] = msgspec.structs.replace(inputs[name], shape=shape)
    spec = ModelSpec(
        name=subject.model, task="tensors", format="onnx", program="-", inputs=(*inputs.values(),)
    )
    made = check_input(spec, batch)
    return {name: Tensor(tensor.data, tensor.lod) for name, tensor in made.items()}


def requests(subject: Subject, protocol: Protocol, inputs: Mapping[str, Tensor], host: str) -> Sent:
    """A request with tensors, as bytes.

    Raises:
        UsageError: the protocol does not carry such tensors.
    """
    try:
        return _MADE[protocol](subject.model, inputs, host)
    except (ValueError, KeyError) as error:
        raise UsageError(f"{protocol} does not carry these inputs: {error}") from None


def prediction(subject: Subject, item: Any, host: str) -> Sent:
    """A request with a picture, a text or features: `POST /predict/MODEL`."""
    call = HttpCodec().predict(subject.model, predict_input(item, {}))
    return _http(call.request, host)


def address(url: str) -> tuple[str, int, bool]:
    """Host, port, and whether it is TLS.

    Raises:
        UsageError: that is no address of a server.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise UsageError(
            f"{url!r} is not the address of a server",
            hints=["write it like http://127.0.0.1:9393"],
        )
    tls = parts.scheme == "https"
    return parts.hostname, port or (443 if tls else 80), tls


# -- what the server says --------------------------------------------------------------------------


def _get(client: httpx.Client, url: str) -> httpx.Response:
    try:
        return client.get(url)
    except httpx.HTTPError as error:
        raise SourceUnreachable(
            f"nobody answers at {url}",
            context={"why": str(error) or type(error).__name__},
            hints=["see what runs here: paddlesrv ps"],
        ) from None


def _only(url: str, client: httpx.Client) -> str:
    try:
        answer = client.post(f"{url}/v2/repository/index", json={})
        names = [each["name"] for each in answer.json()] if answer.status_code == 200 else []
    except httpx.HTTPError as error:
        raise SourceUnreachable(
            f"nobody answers at {url}",
            context={"why": str(error) or type(error).__name__},
            hints=["see what runs here: paddlesrv ps"],
        ) from None
    except (ValueError, KeyError, TypeError):
        names = []
    if len(names) == 1:
        return str(names[0])
    raise UsageError(
        f"which model of {url}?",
        context={"served": ", ".join(map(str, names)) or "it does not say"},
        hints=["name one: --model NAME"],
    )


def _open_inference(said: Any) -> tuple[TensorSpec, ...]:
    found = {t["name"]: t for t in said.get("inputs") or ()}
    return tuple(
        TensorSpec(
            name=name,
            dtype=_DTYPES.get(told["datatype"], "float32"),
            shape=tuple(int(side) for side in told["shape"]),
            lod_level=int(name + LOD in found),
        )
        for name, told in found.items()
        if not (name.endswith(LOD) and name.removesuffix(LOD) in found)
    )


def _tensorflow(said: Any) -> tuple[TensorSpec, ...]:
    signatures = said["metadata"]["signature_def"]["signature_def"]
    signature = signatures.get("serving_default") or next(iter(signatures.values()))
    return tuple(
        TensorSpec(
            name=name,
            dtype=_TENSORFLOW.get(told["dtype"], "float32"),
            shape=tuple(int(d["size"]) for d in told["tensor_shape"].get("dim", ())),
        )
        for name, told in signature["inputs"].items()
    )


# -- requests --------------------------------------------------------------------------------------


def _json(model: str, inputs: Mapping[str, Tensor], host: str) -> Sent:
    told = [
        {"name": name, "datatype": datatype(a), "shape": list(a.shape), "data": _values(a)}
        for name, a in flat(inputs).items()
    ]
    body = msgspec.json.encode({"inputs": told})
    path = f"/v2/models/{quote(model, safe='')}/infer"
    return _http(HttpRequest("POST", path, body, {"Content-Type": "application/json"}), host)


def _binary(model: str, inputs: Mapping[str, Tensor], host: str) -> Sent:
    return _http(HttpCodec().infer(model, inputs, (), None, _SECONDS).request, host)


def _grpc(model: str, inputs: Mapping[str, Tensor], host: str) -> Sent:
    made = GrpcCodec().infer(model, inputs, (), None, _SECONDS).request
    return Sent("grpc", made.body, made.path, host)


def _brpc(_: str, inputs: Mapping[str, Tensor], __: str) -> Sent:
    made = BrpcCodec().infer("", inputs, (), None, _SECONDS).request
    made.meta.correlation_id = 1
    return Sent("frames", baidu_std.encode(made.meta, made.body))


def _tensorflow_rest(model: str, inputs: Mapping[str, Tensor], host: str) -> Sent:
    columns = {name: _nested(array) for name, array in flat(inputs).items()}
    body = msgspec.json.encode({"inputs": columns})
    path = f"/v1/models/{quote(model, safe='')}:predict"
    return _http(HttpRequest("POST", path, body, {"Content-Type": "application/json"}), host)


def _tensorflow_grpc(model: str, inputs: Mapping[str, Tensor], host: str) -> Sent:
    request = message("tensorflow.serving.PredictRequest")()
    request.model_spec.name = model
    for name, array in flat(inputs).items():
        part = request.inputs[name]
        for side in array.shape:
            part.tensor_shape.dim.add(size=side)
        if array.dtype.kind == "O":
            part.dtype = 7
            part.string_val.extend(array.ravel().tolist())
        else:
            part.dtype = _TF_CODES[array.dtype.name]
            part.tensor_content = array.tobytes()
    path = "/tensorflow.serving.PredictionService/Predict"
    return Sent("grpc", request.SerializeToString(), path, host)


_MADE: dict[Protocol, Callable[[str, Mapping[str, Tensor], str], Sent]] = {
    "http": _json,
    "http-binary": _binary,
    "grpc": _grpc,
    "brpc": _brpc,
    "tensorflow-rest": _tensorflow_rest,
    "tensorflow-grpc": _tensorflow_grpc,
}


def _http(request: HttpRequest, host: str) -> Sent:
    headers = {"host": host, "content-length": str(len(request.body)), **request.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"{request.method} {request.path} HTTP/1.1\r\n{lines}\r\n"
    return Sent("http", head.encode() + request.body)


def _values(array: Any) -> list[Any]:
    if array.dtype.kind == "O":
        return [each.decode() for each in array.ravel()]
    if array.dtype.name == "float16":
        raise ValueError("JSON has no FP16")
    values: list[Any] = array.ravel().tolist()
    if array.dtype.kind == "f" and not all(map(math.isfinite, values)):
        raise ValueError("JSON has no infinite numbers")
    return values


def _nested(array: Any) -> Any:
    if array.dtype.kind != "O":
        return array.tolist()
    flat_texts = [each.decode() for each in array.ravel()]
    return flat_texts if array.ndim == 1 else _reshaped(flat_texts, list(array.shape))


def _reshaped(values: list[Any], shape: list[int]) -> Any:
    if len(shape) == 1:
        return values
    step = len(values) // shape[0]
    return [_reshaped(values[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])]


def refusal(job: Job) -> str:
    """What a gRPC server says to the request, asked once by gRPC's own client; empty: nothing."""
    if job.sent.kind != "grpc":
        return ""
    import grpc

    with grpc.insecure_channel(f"{job.host}:{job.port}") as channel:
        call = channel.unary_unary(job.sent.path, bytes, bytes)
        try:
            call(job.sent.data, timeout=job.timeout, metadata=tuple(job.sent.metadata.items()))
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"
    return ""
