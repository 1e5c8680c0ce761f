"""curl, with JSON in a file: each form of it that the server takes over HTTP."""

from __future__ import annotations

import base64
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.clients.askers.question import (
    LOD,
    NO_HALF,
    TEXT,
    Arrays,
    Asker,
    Question,
    array,
    plain,
)
from tests.clients.networks import NUMBERS, PADDLE_SERVING, datatype

_KINDS = {datatype(name): name for name in NUMBERS} | {"BYTES": TEXT}


def post(url: str, body: dict[str, Any], *flags: str) -> Any:
    """What curl gets for a body."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "body.json"
        file.write_text(json.dumps(body))
        done = subprocess.run(
            ["curl", "-sS", "--noproxy", "*", "--fail-with-body", url, *flags, "-H",
             "Content-Type: application/json", "-d", f"@{file}"],
            capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def _word(data: np.ndarray) -> str:
    return "BYTES" if data.dtype == object else datatype(data.dtype.name)


def open_inference(question: Question) -> Arrays:
    inputs = [
        {"name": name, "shape": list(x.shape), "datatype": _word(x), "data": plain(x)}
        for name, x in question.inputs.items()
    ]
    url = f"{question.url}/v2/models/{question.model}/infer"
    said = post(url, {"inputs": inputs}, "--compressed")
    return {t["name"]: array(t["data"], _KINDS[t["datatype"]], t["shape"]) for t in said["outputs"]}


def _tensorflow(question: Question, body: dict[str, Any]) -> Any:
    return post(f"{question.url}/v1/models/{question.model}:predict", body)


def columns(question: Question) -> Arrays:
    inputs = {name: plain(x, flat=False) for name, x in question.inputs.items()}
    found = _tensorflow(question, {"inputs": inputs})["outputs"]
    if not isinstance(found, dict):  # an only output has no name there
        (name,) = question.kinds
        found = {name: found}
    return {name: array(values, question.kinds[name]) for name, values in found.items()}


def rows(question: Question) -> Arrays:
    listed = {name: plain(x, flat=False) for name, x in question.inputs.items()}
    count = len(next(iter(listed.values())))
    instances = [{name: values[row] for name, values in listed.items()} for row in range(count)]
    found = _tensorflow(question, {"instances": instances})["predictions"]
    if not isinstance(found[0], dict):
        (name,) = question.kinds
        found = [{name: row} for row in found]
    return {
        name: array([row[name] for row in found], kind) for name, kind in question.kinds.items()
    }


_FIELDS = {
    "int64": (0, "int64_data"), "float32": (1, "float_data"), "int32": (2, "int_data"),
    "float64": (3, "float64_data"), "int16": (4, ""), "float16": (5, ""), "uint8": (7, ""),
    "int8": (8, ""), "bool": (9, "bool_data"), TEXT: (20, "data"),
}  # fmt: skip
_BY_CODE = {code: (kind, field) for kind, (code, field) in _FIELDS.items()}
_CONTENT = "tensor_content"


def general_model(question: Question) -> Arrays:
    sent = []
    for name, x in question.tensors.items():
        code, field = _FIELDS[TEXT if x.dtype == object else x.dtype.name]
        tensor: dict[str, Any] = {
            "name": name, "alias_name": name, "elem_type": code, "shape": list(x.shape)
        }  # fmt: skip
        if x.dtype == object:
            tensor[field] = [base64.b64encode(text).decode() for text in x.ravel()]
        elif field:
            tensor[field] = plain(x)
        else:
            tensor[_CONTENT] = base64.b64encode(x.tobytes()).decode()
        offsets = question.offsets(name)
        sent.append(tensor if offsets is None else tensor | {"lod": offsets})
    url = f"{question.url}/GeneralModelService/inference"
    said = post(url, {"tensor": sent, "fetch_var_names": list(_wanted(question))})
    found: Arrays = {}
    for tensor in said["outputs"][0]["tensor"]:
        kind, field = _BY_CODE[tensor.get("elem_type", 0)]
        name = tensor["name"]
        if field:
            values: Any = tensor.get(field, [])
            if kind == TEXT:
                values = [base64.b64decode(text) for text in values]
            found[name] = array(values, kind, tensor["shape"])
        else:
            data = base64.b64decode(tensor[_CONTENT])
            found[name] = np.frombuffer(data, kind).reshape(tensor["shape"])
        if tensor.get("lod"):
            found[name + LOD] = np.int64(tensor["lod"])
    return found


def _wanted(question: Question) -> list[str]:
    return [name for name in question.kinds if not name.endswith(LOD)]


def feed_and_fetch(question: Question) -> Arrays:
    listed = {name: plain(x, flat=False) for name, x in question.tensors.items()}
    count = len(next(iter(listed.values())))
    feed = [{name: values[row] for name, values in listed.items()} for row in range(count)]
    url = f"{question.url}/{question.model}/prediction"
    found = post(url, {"feed": feed, "fetch": _wanted(question)})["result"]
    return {name: array(values, question.kinds[name]) for name, values in found.items()}


ASKERS = (
    Asker("curl, Open Inference Protocol", open_inference, NO_HALF),
    Asker("curl, TensorFlow Serving by columns", columns),
    Asker("curl, TensorFlow Serving by rows", rows, offsets=False),
    Asker("curl, Paddle Serving's general model", general_model, PADDLE_SERVING),
    Asker("curl, Paddle Serving's feed and fetch", feed_and_fetch, offsets=False),
)
