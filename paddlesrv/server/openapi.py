"""`/openapi.json`: the routes of this very server, for the models that it serves."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from paddlesrv import __version__
from paddlesrv.server.openapi_schemas import SCHEMAS
from paddlesrv.server.protocols.paddle_serving import METHODS as GENERAL_METHODS
from paddlesrv.server.routes_tensorflow import CLASSIFIER
from paddlesrv.server.service import VERSION, ServedModel, Service
from paddlesrv.tasks.base import Task

PROTOBUF = "application/proto"
_IMAGE_TYPES = ("image/png", "image/jpeg", "application/octet-stream")


def describe(service: Service) -> dict[str, Any]:
    """The OpenAPI 3.1 document: every route, with the names of the models in it."""
    paths = _server_paths()
    for model in service.models.values():
        paths |= _model_paths(model)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "paddlesrv",
            "version": __version__,
            "description": "Models served by paddlesrv: plain JSON under /predict, tensors under "
            "/v2 (Open Inference Protocol), TensorFlow Serving's routes under /v1, Paddle "
            "Serving's under /GeneralModelService and /{model}/prediction. gRPC and bRPC are on "
            "the same port.",
        },
        "paths": paths,
        "components": {"schemas": SCHEMAS},
    }


def _server_paths() -> dict[str, Any]:
    """What belongs to no one model."""
    one = {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
    protobuf = {"schema": {"type": "string", "format": "binary"}}
    general = _post(
        "Tensors in, tensors out (Paddle Serving's general model service): the model that takes "
        "these tensors, or that the header `model` names",
        "server",
        {"application/json": _body("GeneralRequest"), PROTOBUF: protobuf},
        {"application/json": _body("GeneralResponse"), PROTOBUF: protobuf},
    )
    general["parameters"] = [{"name": "model", "in": "header", "schema": {"type": "string"}}]
    paths: dict[str, Any] = {
        "/": {"get": {"summary": "The way to /docs", "tags": ["server"],
                      "responses": {"307": {"description": "to /docs"}}}},
        "/docs": _get("A page to try the models on", "server", content="text/html"),
        "/openapi.json": _get("This document", "server"),
        "/v2": _get("Server metadata", "server"),
        "/v2/health/live": _get("Whether the process answers", "server"),
        "/v2/health/ready": _get("Whether every model would take a request", "server", 503),
        "/v2/models/stats": _get("Sums of requests and runs, of every model", "server"),
        "/v2/repository/index": {
            "post": _post("The models there are, and their state", "server", _json("Index"),
                          {"application/json": {"schema": {"type": "array"}}})
        },
        "/metrics": _get("Prometheus metrics", "server", content="text/plain"),
    }  # fmt: skip
    for verb, summary in (("load", "Load an installed model"), ("unload", "Unload a model")):
        change = _post(f"{summary} (servers with --admin)", "server", _json("Change"), {})
        change["parameters"] = [one]
        change["responses"]["403"] = {"description": "the server was started without --admin"}
        paths[f"/v2/repository/models/{{model}}/{verb}"] = {"post": change}
    for method in GENERAL_METHODS:
        paths[f"/GeneralModelService/{method}"] = {"post": general}
    return paths


def _model_paths(model: ServedModel) -> dict[str, Any]:
    """What belongs to one model; a version may be named in most routes, and is always 1."""
    name = quote(model.name, safe="")
    asked, word = _pipeline(model), {"schema": {"type": "string"}, "required": True}
    any_word = {
        **asked,
        "deprecated": True,
        "parameters": [{"name": "method", "in": "path", **word}],
    }
    paths: dict[str, Any] = {
        f"/{name}/prediction": {"post": asked},
        f"/{name}/{{method}}": {"post": any_word},
    }
    task = model.setup.task
    if task is not None:
        paths[f"/predict/{name}"] = {"post": _predict(model)}
    for version in ("", f"/versions/{VERSION}"):
        own, other = f"/v2/models/{name}{version}", f"/v1/models/{name}{version}"
        paths[own] = _get("Metadata: tensors, task, format", model.name)
        paths[f"{own}/ready"] = _get("Whether it would take a request", model.name, 503)
        paths[f"{own}/stats"] = _get("Sums of its requests and runs", model.name)
        paths[other] = _get("State (TensorFlow Serving)", model.name)
        paths[f"{other}/metadata"] = _get("Signatures (TensorFlow Serving)", model.name)
        if model.scheduler is not None:
            paths[f"{own}/infer"] = {"post": _infer(model)}
            paths[f"{other}:predict"] = {
                "post": _post("Tensors in, tensors out (TensorFlow Serving)", model.name,
                              _json("TensorFlowPredict"), {"application/json": {}})
            }  # fmt: skip
        if task is not None and task.name == CLASSIFIER:
            paths[f"{other}:classify"] = {
                "post": _post("Pictures in, labels out (TensorFlow Serving)", model.name,
                              _json("TensorFlowClassify"), {"application/json": {}})
            }  # fmt: skip
    return paths


def _get(
    summary: str, tag: str, other: int | None = None, content: str = "application/json"
) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": {"description": "yes", "content": {content: {}}}}
    if other is not None:
        responses[str(other)] = {"description": "no"}
    return {"get": {"summary": summary, "tags": [tag], "responses": responses}}


def _post(
    summary: str, tag: str, content: dict[str, Any], answers: dict[str, Any]
) -> dict[str, Any]:
    answered = {"description": "done", **({"content": answers} if answers else {})}
    return {
        "summary": summary,
        "tags": [tag],
        "requestBody": {"content": content},
        "responses": {"200": answered, **_ERRORS},
    }


def _pipeline(model: ServedModel) -> dict[str, Any]:
    both = [{"schema": {"anyOf": [_ref(f"Pipeline{kind}"), _ref(f"Samples{kind}")]}}
            for kind in ("Request", "Response")]  # fmt: skip
    return _post(
        "Key and value, or feed and fetch (Paddle Serving's pipelines and web services)",
        model.name,
        {"application/json": both[0]},
        {"application/json": both[1]},
    )


def _predict(model: ServedModel) -> dict[str, Any]:
    task = model.setup.task
    assert task is not None
    content: dict[str, Any] = {"application/json": {"schema": _ref("PredictRequest")}}
    if "image" in task.accepts:
        for kind in _IMAGE_TYPES:
            content[kind] = {"schema": {"type": "string", "format": "binary"}}
        form = {"type": "object", "properties": {"image": {"type": "string", "format": "binary"}}}
        content["multipart/form-data"] = {"schema": form}
    if "text" in task.accepts:
        content["text/plain"] = {"schema": {"type": "string"}}
    parameters = [
        {"name": "top", "in": "query", "schema": {"type": "integer", "minimum": 1}},
        {"name": "threshold", "in": "query", "schema": {"type": "number"}},
        {"name": "tokens", "in": "query", "schema": {"type": "boolean"}},
        {"name": "timeout", "in": "query", "schema": {"type": "number"}, "description": "seconds"},
    ]
    answers: dict[str, Any] = {"application/json": {"schema": _ref("PredictResponse")}}
    if "image" in task.accepts:
        draw = {"name": "draw", "in": "query", "schema": {"type": "boolean"}}
        parameters.append({**draw, "description": "answer the picture with the result painted on"})
        if type(task).class_map is not Task.class_map:
            described = "answer the class map: a PNG with a palette, whose values are classes"
            parameters.append({**draw, "name": "map", "description": described})
        answers["image/png"] = {"schema": {"type": "string", "format": "binary"}}
    return {
        "summary": f"{task.name}: send {' or '.join(task.accepts)}, get the result",
        "tags": [model.name],
        "parameters": parameters,
        "requestBody": {"required": True, "content": content},
        "responses": {"200": {"description": "results", "content": answers}, **_ERRORS},
    }


def _infer(model: ServedModel) -> dict[str, Any]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    return _post(
        "Tensors in, tensors out (Open Inference Protocol)",
        model.name,
        {"application/json": _body("InferRequest"), "application/octet-stream": binary},
        {"application/json": _body("InferResponse"), "application/octet-stream": binary},
    )


def _json(name: str) -> dict[str, Any]:
    return {"application/json": _body(name)}


def _body(name: str) -> dict[str, Any]:
    return {"schema": _ref(name)}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


_ERRORS = {
    status: {
        "description": text,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    for status, text in {
        "400": "bad input: what came and what was expected",
        "404": "no such model",
        "413": "too large",
        "429": "the queue is full; try after Retry-After seconds",
        "503": "not ready",
        "504": "out of time",
    }.items()
}
