"""What reads bytes from outside, each as a function of bytes, and sound messages to begin with.

A target refuses by the errors that are named, or reads; anything else that it raises is a defect.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import numpy as np
from paddlesrv_client.wire import baidu_std
from paddlesrv_client.wire.compression import CompressionError, compress, decompress
from paddlesrv_client.wire.messages import message

from paddlesrv.errors import InvalidInput, NotFound
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.server import pipeline
from paddlesrv.server.form import form_items
from paddlesrv.server.grpc.calls import parse
from paddlesrv.server.pipeline import Feed
from paddlesrv.server.protocols import (
    datatypes,
    npy,
    open_inference,
    open_inference_proto,
    paddle_pipeline,
    paddle_serving,
    predict,
    tensorflow_proto,
    tensorflow_rest,
    written_numbers,
)
from paddlesrv.server.protocols.json_body import decode_json
from paddlesrv.server.protocols.paddle_serving import GeneralRequest
from paddlesrv.server.request import InferRequest
from paddlesrv.server.validation import check_inputs, fold_offsets
from tests.fuzz.trees import damaged_json, damaged_message
from tests.unit.server.damage import damaged

REFUSALS = (InvalidInput, NotFound, CompressionError, baidu_std.FrameError)
LIMIT = 100_000
"""Bytes that something packed may become, and that a frame may have."""

SPEC = ModelSpec(
    name="m", task="tensors", format="program",
    inputs=(
        TensorSpec(name="x", dtype="float32", shape=(-1, 3)),
        TensorSpec(name="ids", dtype="int64", shape=(-1, 1), lod_level=1),
        TensorSpec(name="t", dtype="bytes", shape=(-1, -1)),
        TensorSpec(name="h", dtype="float16", shape=(-1, 2)),
        TensorSpec(name="b", dtype="bool", shape=(-1, 2)),
        TensorSpec(name="u", dtype="uint8", shape=(-1, 2)),
    ),
    outputs=(TensorSpec(name="y", dtype="float32", shape=(-1, 3)),),
    aliases={"ex": "x", "why": "y"},
)  # fmt: skip
ONE = ModelSpec(
    name="one", task="tensors", format="onnx",
    inputs=(TensorSpec(name="x", dtype="float32", shape=(-1, 3)),),
    outputs=(TensorSpec(name="y", dtype="float32", shape=(-1, 3)),),
)  # fmt: skip

DATA: dict[str, np.ndarray] = {
    "x": np.float32([[1, 2, 3], [4, 5, 6]]),
    "ids": np.int64([[1], [2], [3]]),
    "t": np.array([[b"ab"], [b"c"]], object),
    "h": np.float16([[1, 2], [3, 4]]),
    "b": np.array([[True, False], [False, True]]),
    "u": np.uint8([[1, 2], [3, 255]]),
}
OFFSETS = [0, 1, 3]


class Target(NamedTuple):
    """A reader, messages that it takes, and how they are damaged besides bit by bit."""

    read: Callable[[bytes], Any]
    sound: list[bytes]
    damage: Callable[[int, bytes], bytes] = damaged


def _json(seed: int, sound: bytes) -> bytes:
    return damaged_json(seed, json.loads(sound))


def _framed_json(seed: int, sound: bytes) -> bytes:
    """The JSON behind its length, and what follows it; the length is right, or nearly."""
    length = int.from_bytes(sound[:2], "big")
    end = 2 + length if length else len(sound)
    header = damaged_json(seed, json.loads(sound[2:end]))[:60_000]
    said = max(0, len(header) + (seed % 5 == 0) * (seed % 7 - 3)) if length else 0
    return struct.pack("!H", said) + header + sound[end:]


def _of(kind: Any) -> Callable[[int, bytes], bytes]:
    """Damage to the fields of a message."""
    return lambda seed, sound: damaged_message(seed, kind.FromString(sound))


def _checked(request: InferRequest, spec: ModelSpec = SPEC) -> None:
    check_inputs(spec, fold_offsets(spec, request.inputs))


def _bound(request: GeneralRequest, spec: ModelSpec = SPEC) -> None:
    if request.fits(spec) and request.suits(spec):
        _checked(paddle_serving.bind(request, spec), spec)
    _checked(paddle_serving.bind(request, spec), spec)


# -- Open Inference Protocol -----------------------------------------------------------------------


def _parts(binary: bool) -> tuple[list[dict[str, Any]], bytes]:
    blobs = b""
    parts: list[dict[str, Any]] = []
    for name, data in {**DATA, "ids.lod": np.int64(OFFSETS)}.items():
        word = "BYTES" if data.dtype == object else open_inference.FROM_NUMPY[data.dtype.name]
        part: dict[str, Any] = {"name": name, "datatype": word, "shape": list(data.shape)}
        if binary or word == "FP16":
            blob = datatypes.to_bytes(data)
            part["parameters"] = {"binary_data_size": len(blob)}
            blobs += blob
        else:
            part["data"] = [
                v.decode() if isinstance(v, bytes) else v for v in data.ravel().tolist()
            ]
        parts.append(part)
    return parts, blobs


def _framed(binary: bool) -> bytes:
    parts, blobs = _parts(binary)
    outputs = [{"name": "y", "parameters": {"binary_data": True}}]
    header = json.dumps({"id": "1", "inputs": parts, "outputs": outputs}).encode()
    return struct.pack("!H", len(header)) + header + blobs


def _plain() -> bytes:
    """All in JSON, which half floats cannot be: they are missing, as is said after all was read."""
    parts = [part for part in _parts(False)[0] if "data" in part]
    return b"\0\0" + json.dumps({"inputs": parts}).encode()


def _open_inference(data: bytes) -> None:
    """The first two bytes are the length of the JSON; none: all of it is."""
    length = int.from_bytes(data[:2], "big")
    request, _ = open_inference.decode("m", None, data[2:], str(length) if length else None)
    _checked(request)


def _raw(data: bytes) -> None:
    _checked(open_inference.decode_raw(ONE, None, data)[0], ONE)


def _infer_message(raw: bool) -> bytes:
    request = message("inference.ModelInferRequest")(model_name="m")
    fields = {"x": "fp32", "ids": "int64", "t": "bytes", "b": "bool", "u": "uint"}
    for name, data in {**DATA, "ids.lod": np.int64(OFFSETS)}.items():
        word = "BYTES" if data.dtype == object else open_inference.FROM_NUMPY[data.dtype.name]
        part = request.inputs.add(name=name, datatype=word, shape=data.shape)
        if raw:
            request.raw_input_contents.append(datatypes.to_bytes(data))
        elif name != "h":
            field = fields.get(name, "int64")
            getattr(part.contents, f"{field}_contents").extend(data.ravel().tolist())
    body: bytes = request.SerializeToString()
    return body


def _open_inference_proto(data: bytes) -> None:
    message_ = parse(open_inference_proto.ModelInferRequest, data)
    _checked(open_inference_proto.decode(message_))


# -- TensorFlow Serving ----------------------------------------------------------------------------


def _rest(data: bytes) -> None:
    request, _ = tensorflow_rest.decode_predict(SPEC, None, data)
    _checked(request)


def _rest_sound() -> list[bytes]:
    columns: dict[str, Any] = {
        name: data.tolist() for name, data in DATA.items() if data.dtype != object
    }
    columns |= {"t": [["ab"], [{"b64": "YWI="}]], "ids.lod": OFFSETS}
    row = {"x": [1, 2, 3], "t": ["a"], "h": [1, 2], "b": [True, False], "u": [1, 2]}
    return [json.dumps({"inputs": columns}).encode(), json.dumps({"instances": [row]}).encode()]


def _classify(data: bytes) -> None:
    tensorflow_rest.decode_classify(ONE, data)


def _predict_message() -> bytes:
    request = message("tensorflow.serving.PredictRequest")(model_spec={"name": "m"})
    for name, data in {**DATA, "ids.lod": np.int64(OFFSETS)}.items():
        tensorflow_proto.fill_tensor(request.inputs[name], data)
    body: bytes = request.SerializeToString()
    return body


def _tensorflow(data: bytes) -> None:
    _checked(tensorflow_proto.decode_predict(parse(tensorflow_proto.PredictRequest, data)))


# -- Paddle Serving --------------------------------------------------------------------------------


def _general(fields: bool) -> bytes:
    request = paddle_serving.RequestMessage(fetch_var_names=["why"])
    codes = {kind.dtype: (code, kind.field) for code, kind in paddle_serving.TYPES.items()}
    for name, data in DATA.items():
        code, field = codes["bytes" if data.dtype == object else data.dtype.name]
        tensor = request.tensor.add(name=name, elem_type=code, shape=data.shape)
        if name == "ids":
            tensor.lod.extend(OFFSETS)
        if (field == "tensor_content" or not fields) and data.dtype != object:
            tensor.tensor_content = data.tobytes()
            continue
        getattr(tensor, field).extend(data.ravel().tolist())
    body: bytes = request.SerializeToString()
    return body


def _general_json() -> bytes:
    tensors = [
        {"name": "x", "elem_type": 1, "shape": [2, 3], "float_data": [1, 2, 3, 4, 5, 6]},
        {"name": "ids", "elem_type": 0, "shape": [3, 1], "int64_data": [1, "2", 3], "lod": OFFSETS},
        {"name": "t", "elem_type": 20, "shape": [2, 1], "data": ["YWI=", "Yw=="]},
        {"name": "h", "elem_type": 5, "shape": [2, 2], "tensor_content": "ADwAQABCAEQ="},
        {"name": "b", "elem_type": 9, "shape": [2, 2], "bool_data": [True, False, False, True]},
        {"name": "u", "elem_type": 7, "shape": [2, 2], "tensor_content": "AQID/w=="},
    ]
    return json.dumps({"tensor": tensors, "fetch_var_names": ["y"], "log_id": 7}).encode()


def _pipeline_message(saved: bool) -> bytes:
    request = paddle_pipeline.RequestMessage(name="m", key=["b", "u"], value=["", ""])
    request.value[:] = [repr(DATA["b"]), "1, 2; 3, 255"]
    codes = {kind.dtype: (code, kind.field) for code, kind in paddle_pipeline.TYPES.items()}
    for name in ("x", "ids", "t", "h"):
        data = DATA[name]
        tensor = request.tensors.add(name=name, shape=data.shape)
        if data.dtype == object:
            tensor.elem_type = paddle_pipeline.STRING
            tensor.str_data.extend(text.decode() for text in data.ravel())
        elif saved:
            file = io.BytesIO()
            np.save(file, data)
            tensor.elem_type, tensor.byte_data = paddle_pipeline.BYTES, file.getvalue()
        else:
            tensor.elem_type, field = codes[data.dtype.name]
            getattr(tensor, field).extend(data.ravel().tolist())
        if name == "ids":
            tensor.lod.extend(OFFSETS)
    body: bytes = request.SerializeToString()
    return body


def _pipeline(data: bytes) -> None:
    _checked(pipeline._tensors(SPEC, paddle_pipeline.decode(data)))


_object = msgspec.json.Decoder(dict[str, Any])
_feed = msgspec.json.Decoder(list[dict[str, Any]])


def _pipeline_json(data: bytes) -> None:
    found = decode_json(_object, data, "an object")
    _checked(pipeline._tensors(SPEC, paddle_pipeline.decode_json(found)))


def _samples(data: bytes) -> None:
    found = decode_json(_feed, data, "samples")
    if found:
        _checked(pipeline._fed(SPEC, Feed(found, ["why"])))


def _numbers(data: bytes) -> None:
    kinds = ("float32", "int8", "bool", "float16", "uint64", "float64")
    kind = kinds[data[0] % len(kinds)] if data else kinds[0]
    declared = TensorSpec(name="x", dtype=kind, shape=(-1, 2))  # type: ignore[arg-type]
    written_numbers.read_numbers("x", data[1:].decode(errors="replace"), declared)


def _saved(data: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, data)
    return file.getvalue()


# -- the rest --------------------------------------------------------------------------------------

_TYPES = ("application/json", "image/png", "text/plain", "")


def _predict(data: bytes) -> None:
    """The first byte is the kind of the body; a query stands before the first line's end."""
    kind = _TYPES[data[0] % len(_TYPES)] if data else ""
    query, _, body = data[1:].partition(b"\n")
    predict.decode(kind, body, predict.decode_query(query))


def _frames(data: bytes) -> None:
    """The first byte is where what comes is cut in two."""
    reader = baidu_std.FrameReader(LIMIT)
    cut = data[0] if data else 0
    for piece in (data[1 : 1 + cut], data[1 + cut :]):
        for frame in reader.feed(piece):
            frame.meta.SerializeToString()


def _frame() -> bytes:
    meta = baidu_std.RpcMeta(correlation_id=7, compress_type=1)
    meta.request.service_name, meta.request.method_name = "s", "inference"
    meta.request.timeout_ms = 100
    whole = baidu_std.encode(meta, _general(True), b"more")
    return b"\x20" + whole + whole


_INFER = _of(open_inference_proto.ModelInferRequest)
_FORM = (
    b'--b\r\ncontent-disposition: form-data; name="image"; filename="a.png"\r\n\r\npicture\r\n'
    b'--b\r\ncontent-disposition: form-data; name="text"\r\n\r\nwords\r\n--b--\r\n'
)


def _unpack(kind: Any) -> Target:
    def read(data: bytes) -> None:
        assert len(decompress(kind, data, LIMIT)) <= LIMIT

    return Target(read, [compress(kind, bytes(range(256)) * 8), compress(kind, bytes(50_000))])


TARGETS: dict[str, Target] = {
    "open-inference-json": Target(_open_inference, [_framed(False), _plain()], _framed_json),
    "open-inference-binary": Target(_open_inference, [_framed(True)], _framed_json),
    "open-inference-raw": Target(_raw, [bytes(24)]),
    "open-inference-grpc": Target(_open_inference_proto, [_infer_message(True)], _INFER),
    "open-inference-grpc-typed": Target(_open_inference_proto, [_infer_message(False)], _INFER),
    "tensorflow-rest": Target(_rest, _rest_sound(), _json),
    "tensorflow-classify": Target(
        _classify, [b'{"examples": [{"x": {"b64": "YWI="}}, {"x": {"b64": "Yw=="}}]}'], _json
    ),
    "tensorflow-grpc": Target(
        _tensorflow, [_predict_message()], _of(tensorflow_proto.PredictRequest)
    ),
    "general-model-proto": Target(
        lambda data: _bound(paddle_serving.decode(data)),
        [_general(True)],
        _of(paddle_serving.RequestMessage),
    ),
    "general-model-json": Target(
        lambda data: _bound(paddle_serving.decode_json_request(data)), [_general_json()], _json
    ),
    "pipeline-proto": Target(
        _pipeline,
        [_pipeline_message(True), _pipeline_message(False)],
        _of(paddle_pipeline.RequestMessage),
    ),
    "pipeline-json": Target(
        _pipeline_json,
        [
            b'{"key": ["x"], "value": ["1, 2, 3"], "tensors": [{"name": "ids", "elem_type": 0, '
            b'"shape": [3, 1], "int64_data": ["1", 2, 3], "lod": [0, 1, 3]}]}'
        ],
        _json,
    ),
    "pipeline-feed": Target(
        _samples, [json.dumps([{"x": [1, 2, 3], "u": [1, 2]}]).encode()], _json
    ),
    "written-numbers": Target(
        _numbers,
        [b"\0array([[1., 2.], [3., 4.]], dtype=float32)", b"\1[[1, 2]]", b"\0" + b"1, 2; 3, 4"],
    ),
    "saved-arrays": Target(
        lambda data: npy.read_npy("x", data), [_saved(DATA["x"]), _saved(DATA["ids"].T)]
    ),
    "predict": Target(
        _predict,
        [
            b'\0top=3&threshold=0.5\n{"images": ["YWI="], "top": 2}',
            b'\0\n{"features": [[1, 2.5], {"C1": [7], "I1": 0.5}]}',
            "\2tokens=1\nzwölf".encode(),
        ],
    ),
    "form": Target(lambda data: form_items(b"multipart/form-data; boundary=b", data), [_FORM]),
    "brpc-frames": Target(_frames, [_frame()]),
    "gzip": _unpack("gzip"),
    "zlib": _unpack("zlib"),
    "snappy": _unpack("snappy"),
    "zstd": _unpack("zstd"),
}
