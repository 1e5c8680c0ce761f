"""Every codec of the server as one function from bytes to nothing, and sound messages for it.

A function here goes as far as a message goes before it is queued: parsed, decoded, bound to the
model's names, checked at the door.
"""

from __future__ import annotations

import base64
import contextlib
import io
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import numpy as np
from paddlesrv_client.wire import baidu_std
from paddlesrv_client.wire.baidu_std import FrameError, FrameReader, RpcMeta
from paddlesrv_client.wire.compression import CompressionError, compress, decompress
from paddlesrv_client.wire.messages import message

from paddlesrv.errors import InvalidInput, PayloadTooLarge
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.server.form import form_items
from paddlesrv.server.grpc.calls import parse
from paddlesrv.server.protocols import (
    open_inference,
    open_inference_proto,
    paddle_pipeline,
    paddle_serving,
    predict,
    tensorflow_proto,
    tensorflow_rest,
)
from paddlesrv.server.protocols.json_body import decode_json
from paddlesrv.server.protocols.paddle_serving import GeneralRequest
from paddlesrv.server.routes_pipeline import samples_decoder
from paddlesrv.server.validation import check_inputs, fold_offsets
from tests.fuzz.trees import damaged_json, damaged_message
from tests.unit.server.damage import damaged

LIMIT = 1_000_000
"""Bytes of a body."""

SPEC = ModelSpec(
    name="m", task="tensors", format="onnx",
    inputs=(
        TensorSpec(name="x", dtype="float32", shape=(-1, 3)),
        TensorSpec(name="ids", dtype="int64", shape=(-1, 1), lod_level=1),
        TensorSpec(name="t", dtype="bytes", shape=(-1,)),
    ),
    outputs=(TensorSpec(name="y", dtype="float32", shape=(-1, 3)),),
    aliases={"ex": "x", "why": "y"},
)  # fmt: skip
PLAIN = msgspec.structs.replace(SPEC, inputs=SPEC.inputs[:1])


class Codec(NamedTuple):
    """A codec: its name, what makes a message damaged or (seed None) sound, and what reads one."""

    name: str
    make: Callable[[int | None], Any]
    read: Callable[[Any], None]


def _check(spec: ModelSpec, inputs: dict[str, Tensor]) -> None:
    # No engine takes texts yet: the door is shut for them.
    open_for = tuple(tensor for tensor in spec.inputs if tensor.dtype != "bytes")
    spec = msgspec.structs.replace(spec, inputs=open_for)
    given = {name: tensor for name, tensor in inputs.items() if name != "t"}
    check_inputs(spec, fold_offsets(spec, given))


def _json(original: Any) -> Callable[[int | None], bytes]:
    return lambda seed: (
        msgspec.json.encode(original) if seed is None else damaged_json(seed, original)
    )


def _message(*originals: Any) -> Callable[[int | None], bytes]:
    def make(seed: int | None) -> bytes:
        original = originals[(seed or 0) % len(originals)]
        return original.SerializeToString() if seed is None else damaged_message(seed, original)

    return make


# -- Open Inference Protocol ------------------------------------------------------------

OIP = {
    "id": "1",
    "parameters": {"timeout": 1_000_000, "binary_data_output": False},
    "inputs": [
        {"name": "x", "shape": [2, 3], "datatype": "FP32", "data": [[1, 2, 3], [4, 5.5, 6]]},
        {"name": "ids", "shape": [3, 1], "datatype": "INT64", "data": [1, 2, 3]},
        {"name": "ids.lod", "shape": [3], "datatype": "INT64", "data": [0, 1, 3]},
        {"name": "t", "shape": [2], "datatype": "BYTES", "data": ["a", "é"]},
    ],
    "outputs": [{"name": "y", "parameters": {"binary_data": True}}],
}
_BLOBS = (
    np.arange(6, dtype=np.float32).tobytes(), np.arange(3, dtype=np.int64).tobytes(),
    np.array([0, 1, 3]).tobytes(), b"\1\0\0\0a\2\0\0\0bc",
)  # fmt: skip
OIP_BINARY = OIP | {
    "inputs": [
        {k: v for k, v in part.items() if k != "data"}
        | {"parameters": {"binary_data_size": len(blob)}}
        for part, blob in zip(OIP["inputs"], _BLOBS, strict=True)  # type: ignore[arg-type]
    ]
}
LENGTHS = ("", "-1", "0", "1", "+5", " 7", "1_0", "1e3", "²", "9" * 18, "9" * 30, "0x10", "007")


def _binary(seed: int | None) -> tuple[bytes, str | None]:
    blobs = b"".join(_BLOBS)
    if seed is None:
        header = msgspec.json.encode(OIP_BINARY)
        return header + blobs, str(len(header))
    chance = random.Random(seed)
    header = damaged_json(seed, OIP_BINARY) if seed % 3 else msgspec.json.encode(OIP_BINARY)
    if seed % 3 != 1:
        blobs = damaged(seed, blobs)
    length: str | None = str(len(header))
    if chance.random() < 0.15:
        length = chance.choice((*LENGTHS, str(len(header) + chance.randrange(-9, 99)), None))
    return header + blobs, length


def _read_oip(body: bytes, length: str | None = None) -> None:
    request, forms = open_inference.decode("m", None, body, length)
    forms.binary("y")
    _check(SPEC, request.inputs)


def _oip_messages() -> list[Any]:
    raw = message("inference.ModelInferRequest")(model_name="m", id="1")
    raw.parameters["timeout"].int64_param = 5
    for part, blob in zip(OIP["inputs"], _BLOBS, strict=True):  # type: ignore[arg-type]
        raw.inputs.add(**{k: part[k] for k in ("name", "shape", "datatype")})  # type: ignore[index]
        raw.raw_input_contents.append(blob)
    raw.outputs.add(name="y")
    typed = message("inference.ModelInferRequest")(model_name="m")
    for name, datatype, shape, values in (
        ("x", "FP32", [2, 3], {"fp32_contents": range(6)}),
        ("ids", "INT64", [3, 1], {"int64_contents": range(3)}),
        ("ids.lod", "INT64", [3], {"int64_contents": [0, 1, 3]}),
        ("t", "BYTES", [2], {"bytes_contents": [b"a", b"b"]}),
    ):
        typed.inputs.add(name=name, datatype=datatype, shape=shape, contents=values)
    return [raw, typed]


def _read_oip_message(body: bytes) -> None:
    request = open_inference_proto.decode(parse(open_inference_proto.ModelInferRequest, body))
    _check(SPEC, request.inputs)


# -- TensorFlow Serving ------------------------------------------------------------

TF_COLUMNS = {
    "signature_name": "serving_default",
    "inputs": {"x": [[1, 2, 3], [4, 5, 6]], "ids": [[1], [2], [3]], "ids.lod": [0, 1, 3],
               "t": ["a", {"b64": "AAE="}]},
}  # fmt: skip
TF_ROWS = {"instances": [{"x": [1, 2.5, 3]}, {"x": [4, 5, 6]}]}
TF_CLASSIFY = {"examples": [{"image": {"b64": "AAE="}}], "signature_name": ""}


def _read_tf(spec: ModelSpec) -> Callable[[bytes], None]:
    return lambda body: _check(spec, tensorflow_rest.decode_predict(spec, None, body)[0].inputs)


def _read_classify(body: bytes) -> None:
    tensorflow_rest.decode_classify(PLAIN, body)


def _tf_messages() -> list[Any]:
    request = message("tensorflow.serving.PredictRequest")(output_filter=["y"])
    request.model_spec.name = "m"
    arrays = {"x": np.ones((2, 3), np.float32), "ids": np.ones((3, 1), np.int64),
              "ids.lod": np.array([0, 1, 3])}  # fmt: skip
    for name, data in arrays.items():
        tensorflow_proto.fill_tensor(request.inputs[name], data)
    request.inputs["t"].dtype = 7
    request.inputs["t"].tensor_shape.dim.add(size=2)
    request.inputs["t"].string_val.extend([b"a", b"b"])
    content = type(request).FromString(request.SerializeToString())
    content.inputs["x"].ClearField("float_val")
    content.inputs["x"].tensor_content = arrays["x"].tobytes()
    return [request, content]


def _read_tf_message(body: bytes) -> None:
    kind = message("tensorflow.serving.PredictRequest")
    _check(SPEC, tensorflow_proto.decode_predict(parse(kind, body)).inputs)


# -- Paddle Serving ------------------------------------------------------------


def _general() -> Any:
    request = paddle_serving.RequestMessage(fetch_var_names=["why"], log_id=3)
    request.tensor.add(alias_name="ex", elem_type=1, shape=[2, 3], float_data=range(6))
    request.tensor.add(name="ids", elem_type=0, shape=[3, 1], int64_data=range(3), lod=[0, 1, 3])
    request.tensor.add(name="t", elem_type=20, shape=[2], data=[b"a", b"b"])
    return request


def _content() -> Any:
    request = _general()
    request.tensor[0].ClearField("float_data")
    request.tensor[0].elem_type = 5
    request.tensor[0].tensor_content = bytes(12)
    return request


GENERAL = {
    "tensor": [
        {"alias_name": "ex", "elem_type": 1, "shape": [2, 3], "float_data": [1, 2, 3, 4, "5", 6]},
        {"name": "ids", "elem_type": 0, "shape": [3, 1], "int64_data": ["1", 2, 3],
         "lod": [0, 1, 3]},
        {"name": "t", "elem_type": 20, "shape": [2], "data": ["a", "b"]},
    ],
    "fetch_var_names": ["why"],
    "log_id": "7",
}  # fmt: skip


def _bound(request: GeneralRequest) -> None:
    request.fits(SPEC)
    request.suits(SPEC)
    _check(SPEC, paddle_serving.bind(request, SPEC).inputs)


def _pipelined(request: paddle_pipeline.PipelineRequest) -> None:
    plain = paddle_pipeline.texts(request)
    for kind in ("image", "text", "features"):
        with contextlib.suppress(InvalidInput):
            paddle_pipeline.items(plain, kind)  # type: ignore[arg-type]
    tensors = [*request.tensors, *paddle_pipeline.inputs(request, PLAIN)]
    _check(PLAIN, paddle_serving.bind(GeneralRequest(tensors, (), 0), PLAIN).inputs)


def _saved() -> bytes:
    file = io.BytesIO()
    np.save(file, np.ones((2, 3), np.float32))
    return file.getvalue()


def _pipelines() -> list[Any]:
    made = []
    for fields in (
        {"elem_type": 1, "shape": [2, 3], "float_data": range(6)},
        {"elem_type": 13, "byte_data": _saved()},
    ):
        request = paddle_pipeline.RequestMessage(name="m", logid=1)
        request.tensors.add(name="x", **fields)
        made.append(request)
    texts = ("1, 2, 3; 4, 5, 6", "[[1, 2, 3]]", "array([[1., 2., 3.]], dtype=float32)")
    made += [paddle_pipeline.RequestMessage(key=["x"], value=[text]) for text in texts]
    return made


PIPELINE = {"key": ["ex"], "value": ["[[1, 2, 3], [4, 5, 6]]"], "logid": 5}
PIPELINE_TENSORS = {
    "name": "m",
    "tensors": [{"name": "x", "elem_type": 1, "shape": [1, 3], "float_data": [1, 2, 3]}],
}
SAMPLES = {"feed": [{"x": [1, 2, 3]}, {"x": [4, 5.5, 6]}], "fetch": ["why"]}


def _pipeline_json(seed: int | None) -> bytes:
    original = (PIPELINE, PIPELINE_TENSORS, SAMPLES)[(seed or 0) % 3]
    return msgspec.json.encode(original) if seed is None else damaged_json(seed, original)


def _read_pipeline_json(body: bytes) -> None:
    samples = decode_json(samples_decoder, body, "a request to a pipeline")
    if samples.feed is None:
        _pipelined(paddle_pipeline.decode_json(body))
    else:
        pairs = paddle_pipeline.of_samples(samples.feed)
        _pipelined(paddle_pipeline.PipelineRequest("m", pairs, ()))


# -- /predict ------------------------------------------------------------

PREDICT = {
    "image": base64.b64encode(b"picture").decode(), "texts": ["a"], "features": [{"a": 1}, {}],
    "top": 3, "threshold": 0.5, "tokens": True,
}  # fmt: skip
QUERY = b"top=3&threshold=0.5&tokens=1&draw=1&timeout=2"
KINDS = ("application/json", "text/plain", "image/png", "", "multipart/form-data", "a/b; c", "\xff")
FORM_TYPE = b"multipart/form-data; boundary=cut"
FORM = (
    b'--cut\r\ncontent-disposition: form-data; name="image"; filename="a.png"\r\n'
    b"content-type: image/png\r\n\r\npicture\r\n"
    b'--cut\r\ncontent-disposition: form-data; name="text"\r\n\r\nwords\r\n--cut--\r\n'
)


def _predict(seed: int | None) -> tuple[str, bytes, bytes]:
    if seed is None:
        return "application/json", msgspec.json.encode(PREDICT), QUERY
    chance = random.Random(seed)
    kind = chance.choice(KINDS) if seed % 8 == 0 else "application/json"
    words = (b"nan", b"-1", b"inf", b"1e999", b"9" * 5000, b"%FF", b"\xff", b"%00", b"=&", b"")
    query = QUERY
    if seed % 4 == 0:
        query = damaged(seed, QUERY)
        place = chance.randrange(len(query) + 1)
        query = query[:place] + chance.choice(words) + query[place:]
    return kind, damaged_json(seed, PREDICT), query


def _read_predict(sent: tuple[str, bytes, bytes]) -> None:
    kind, body, query = sent
    predict.decode(kind, body, predict.decode_query(query))


def _form(seed: int | None) -> tuple[bytes, bytes]:
    if seed is None:
        return FORM_TYPE, FORM
    chance = random.Random(seed)
    kind = damaged(seed, FORM_TYPE) if chance.random() < 0.3 else FORM_TYPE
    return kind, damaged(seed, FORM)


def _read_form(sent: tuple[bytes, bytes]) -> None:
    form_items(*sent)


# -- frames and content codings ------------------------------------------------------------


def brpc_frame(body: bytes, number: int = 5, *, attachment: bytes = b"") -> bytes:
    """A sound frame of a call."""
    meta = RpcMeta(correlation_id=number)
    meta.request.service_name = paddle_serving.SERVICE
    meta.request.method_name = "inference"
    return baidu_std.encode(meta, body, attachment)


def damaged_frame(seed: int, body: bytes) -> bytes:
    """A frame with a wrong length, a wrong meta, or wrong bytes."""
    chance = random.Random(seed)
    whole = brpc_frame(body, attachment=b"attached" if seed % 2 else b"")
    _, size, meta_size = baidu_std.HEADER.unpack_from(whole)
    kind = seed % 4
    if kind == 0:
        return damaged(seed, whole)
    meta = whole[12 : 12 + meta_size]
    rest = whole[12 + meta_size :]
    if kind == 1:
        sizes = (0, 1, size - 1, size + 1, meta_size, 2**16, 2**31, 2**32 - 1)
        head = baidu_std.HEADER.pack(
            b"PRPC", chance.choice((size, *sizes)), chance.choice((meta_size, *sizes))
        )
        return head + meta + rest
    meta = damaged_message(seed, RpcMeta.FromString(meta))
    if kind == 2:
        rest = _message(_general())(seed)
    return baidu_std.HEADER.pack(b"PRPC", len(meta) + len(rest), len(meta)) + meta + rest


def _frame(seed: int | None) -> bytes:
    body = _general().SerializeToString()
    return brpc_frame(body) if seed is None else damaged_frame(seed, body)


def _read_frames(data: bytes) -> None:
    reader = FrameReader(LIMIT)
    middle = len(data) // 2
    try:
        frames = [frame for part in (data[:middle], data[middle:]) for frame in reader.feed(part)]
    except FrameError as error:
        raise (PayloadTooLarge if error.too_large else InvalidInput)(str(error)) from None
    if reader.waiting or not frames:
        raise InvalidInput("more is awaited")
    for frame in frames:
        _bound(paddle_serving.decode(frame.body))


_PACKED: dict[str, tuple[bytes, ...]] = {
    kind: tuple(compress(kind, each) for each in (bytes(range(256)) * 8, bytes(8_000_000)))  # type: ignore[arg-type]
    for kind in ("snappy", "gzip", "zlib", "zstd")
}


def packed(kind: str) -> Codec:
    """A content coding; one original of eight is a bomb."""

    def make(seed: int | None) -> bytes:
        small, bomb = _PACKED[kind]
        if seed is None:
            return small
        if seed % 8 == 0:  # the beginning is where sizes stand
            return damaged(seed, bomb[:64]) + bomb[64:]
        return damaged(seed, small)

    def read(data: bytes) -> None:
        try:
            found = decompress(kind, data, LIMIT)  # type: ignore[arg-type]
        except CompressionError as error:
            raise (PayloadTooLarge if error.too_large else InvalidInput)(str(error)) from None
        assert len(found) <= LIMIT

    return Codec(f"coding {kind}", make, read)


CODECS = (
    Codec("OIP HTTP JSON", _json(OIP), _read_oip),
    Codec("OIP HTTP binary", _binary, lambda sent: _read_oip(*sent)),
    Codec("OIP gRPC", _message(*_oip_messages()), _read_oip_message),
    Codec("TF REST columns", _json(TF_COLUMNS), _read_tf(SPEC)),
    Codec("TF REST rows", _json(TF_ROWS), _read_tf(PLAIN)),
    Codec("TF REST classify", _json(TF_CLASSIFY), _read_classify),
    Codec("TF gRPC", _message(*_tf_messages()), _read_tf_message),
    Codec("general model proto", _message(_general(), _content()),
          lambda body: _bound(paddle_serving.decode(body))),
    Codec("general model JSON", _json(GENERAL),
          lambda body: _bound(paddle_serving.decode_json_request(body))),
    Codec("pipeline proto", _message(*_pipelines()), lambda body: _pipelined(
        paddle_pipeline.read(parse(paddle_pipeline.RequestMessage, body)))),
    Codec("pipeline JSON", _pipeline_json, _read_pipeline_json),
    Codec("predict", _predict, _read_predict),
    Codec("predict form", _form, _read_form),
    Codec("bRPC frames", _frame, _read_frames),
    *(packed(kind) for kind in _PACKED),
)  # fmt: skip
