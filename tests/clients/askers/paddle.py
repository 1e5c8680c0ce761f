"""Paddle Serving's own clients and published messages, and its bRPC in frames by hand."""

from __future__ import annotations

import ast
import contextlib
import gc
import io
import re
import tempfile
import warnings
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np

from tests.clients.askers.question import LOD, TEXT, Arrays, Asker, Question, array
from tests.clients.networks import NUMBERS, PADDLE_SERVING
from tests.protocols.brpc_client import SERVICE, Connection, Response, frame
from tests.protocols.old_client import messages, old_client
from tests.protocols.old_pipeline import old_pipeline_client
from tests.standins import serving_conf
from tests.standins.serving_conf import Variable

FEW = ("int32", "int64", "float32")
"""What `HttpClient` knows."""

NO_DOUBLE = tuple(name for name in NUMBERS if name != "float64")
"""`PipelineClient` writes eight digits of a number as text, which are too few for these."""

_FIELDS = {
    "int64": (0, "int64_data"), "float32": (1, "float_data"), "int32": (2, "int_data"),
    "float64": (3, "float64_data"), "int16": (4, ""), "float16": (5, ""), "uint8": (7, ""),
    "int8": (8, ""), "bool": (9, "bool_data"), TEXT: (20, "data"),
}  # fmt: skip
_BY_CODE = {code: (kind, field) for kind, (code, field) in _FIELDS.items()}


def _kind(data: np.ndarray) -> str:
    return TEXT if data.dtype == object else data.dtype.name


def _outputs(question: Question) -> list[str]:
    return [name for name in question.kinds if not name.endswith(LOD)]


def _request(question: Question) -> Any:
    """The question in the published messages."""
    request = messages("general_model_service")["Request"](fetch_var_names=_outputs(question))
    for name, x in question.tensors.items():
        code, field = _FIELDS[_kind(x)]
        tensor = request.tensor.add(name=name, alias_name=name, elem_type=code, shape=x.shape)
        tensor.lod.extend(question.offsets(name) or [])
        if field:
            getattr(tensor, field).extend(x.ravel().tolist())
        else:
            tensor.tensor_content = x.tobytes()
    return request


def _arrays(answer: Any) -> Arrays:
    found: Arrays = {}
    for tensor in answer.outputs[0].tensor:
        kind, field = _BY_CODE[tensor.elem_type]
        shape = list(tensor.shape)
        if field:
            found[tensor.name] = array(list(getattr(tensor, field)), kind, shape)
        else:
            found[tensor.name] = np.frombuffer(tensor.tensor_content, kind).reshape(shape)
        if tensor.lod:
            found[tensor.name + LOD] = np.int64(tensor.lod)
    return found


def http(question: Question) -> Arrays:
    answer = httpx.post(
        f"{question.url}/GeneralModelService/inference",
        content=_request(question).SerializeToString(),
        headers={"Content-Type": "application/proto"},
        trust_env=False,
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    return _arrays(messages("general_model_service")["Response"].FromString(answer.content))


def stub(question: Question) -> Arrays:
    theirs = messages("general_model_service")
    with grpc.insecure_channel(question.address) as channel:
        ask = channel.unary_unary(
            f"/{SERVICE}/inference",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=theirs["Response"].FromString,
        )
        return _arrays(ask(_request(question), timeout=60))


def frames(question: Question) -> Arrays:
    with Connection(question.url) as connection:
        connection.send(frame(1, _request(question).SerializeToString()))
        meta, body = connection.read()
    assert meta.response.error_code == 0, meta.response.error_text
    return _arrays(Response.FromString(body))


_CODES = {"int64": 0, "float32": 1, "int32": 2}


def _http_client(question: Question, proto: bool, zipped: bool, by_grpc: bool) -> Arrays:
    feeds = [
        Variable(name, name, x.shape[1:], _CODES[x.dtype.name], name + LOD in question.inputs)
        for name, x in question.tensors.items()
    ]
    fetches = [
        Variable(name, name, (1,), _CODES[question.kinds[name]], name + LOD in question.kinds)
        for name in _outputs(question)
    ]
    with tempfile.TemporaryDirectory() as folder, old_client() as module, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it leaves files and channels open
        serving_conf.write_client(Path(folder), feeds, fetches)
        client = module.HttpClient()
        client.load_client_config(folder)
        client.set_http_proto(proto)
        client.set_request_compress(zipped)
        client.set_response_compress(zipped)
        client.set_use_grpc_client(by_grpc)
        client.connect([question.address])
        feed = dict(question.tensors)
        for name in question.tensors:
            if (offsets := question.offsets(name)) is not None:
                feed[name + LOD] = offsets
        said = client.predict(feed=feed, fetch=_outputs(question), batch=True)
        client.channel_.close()
        client.requests_session.close()
        del client
        gc.collect()
    assert said is not None, "it printed an error"
    if not isinstance(said, dict):
        return _arrays(said)
    found: Arrays = {}
    for tensor in said["outputs"][0]["tensor"]:
        kind, field = _BY_CODE[tensor.get("elem_type", 0)]
        found[tensor["name"]] = array(tensor[field], kind, tensor["shape"])
        if "lod" in tensor:
            found[tensor["name"] + LOD] = np.int64(tensor["lod"])
    return found


def client_proto(question: Question) -> Arrays:
    return _http_client(question, proto=True, zipped=False, by_grpc=False)


def client_json(question: Question) -> Arrays:
    return _http_client(question, proto=False, zipped=False, by_grpc=False)


def client_gzip(question: Question) -> Arrays:
    return _http_client(question, proto=True, zipped=True, by_grpc=False)


def client_grpc(question: Question) -> Arrays:
    return _http_client(question, proto=True, zipped=False, by_grpc=True)


def _pipeline(question: Question, **form: bool) -> Arrays:
    feed: dict[str, Any] = {"clientip": "127.0.0.1"}
    for name, x in question.tensors.items():
        feed[name] = x
        if (offsets := question.offsets(name)) is not None:
            # As text they are an array like any other; as tensors they are read as a list.
            feed[name + LOD] = offsets if form else np.int64(offsets)
    with contextlib.redirect_stdout(io.StringIO()), old_pipeline_client(question.address) as client:
        said = client.predict(feed, **form)
    assert (said.err_no, said.err_msg) == (0, "")
    return {
        key: _of_repr(text, question.kinds[key])
        for key, text in zip(said.key, said.value, strict=True)
    }


def _of_repr(text: str, kind: str) -> np.ndarray:
    """An array from numpy's `repr` of it, or from a list."""
    inside = re.fullmatch(r"array\((.*?)(, dtype=\w+)?\)", text, re.DOTALL)
    return array(ast.literal_eval(inside[1] if inside else text), kind)


def pipeline_texts(question: Question) -> Arrays:
    return _pipeline(question)


def pipeline_tensors(question: Question) -> Arrays:
    return _pipeline(question, pack_tensor_format=True)


def pipeline_bytes(question: Question) -> Arrays:
    return _pipeline(question, pack_tensor_format=True, use_tensor_bytes=True)


ASKERS = (
    Asker("Paddle Serving's messages, HTTP", http, PADDLE_SERVING),
    Asker("Paddle Serving's messages, gRPC", stub, PADDLE_SERVING),
    Asker("Paddle Serving's messages, bRPC", frames, PADDLE_SERVING),
    Asker("HttpClient, proto", client_proto, FEW, texts=False),
    Asker("HttpClient, JSON", client_json, FEW, texts=False),
    Asker("HttpClient, gzip", client_gzip, FEW, texts=False),
    Asker("HttpClient, gRPC", client_grpc, FEW, texts=False),
    Asker("PipelineClient, texts", pipeline_texts, NO_DOUBLE, texts=False),
    Asker("PipelineClient, tensors", pipeline_tensors, PADDLE_SERVING, texts=False),
    Asker("PipelineClient, bytes", pipeline_bytes, texts=False),
)
