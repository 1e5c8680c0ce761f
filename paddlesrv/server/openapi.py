"""`/openapi.json`: what this very server serves, described."""

from __future__ import annotations

from typing import Any

from paddlesrv import __version__
from paddlesrv.server.service import ServedModel, Service
from paddlesrv.tasks.base import Task

_IMAGE_TYPES = ("image/png", "image/jpeg", "application/octet-stream")


def describe(service: Service) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    paths: dict[str, Any] = {
        "/v2": _get("Server metadata", "server"),
        "/v2/health/live": _get("Whether the process answers", "server"),
        "/v2/health/ready": _get("Whether every model would take a request", "server", 503),
        "/metrics": _get("Prometheus metrics", "server", content="text/plain"),
    }
    for model in service.models.values():
        name = model.name.replace("&", "%26")
        if model.setup.task is not None:
            paths[f"/predict/{name}"] = {"post": _predict(model)}
        paths[f"/v2/models/{name}"] = _get("Metadata: tensors, task, format", model.name)
        paths[f"/v2/models/{name}/ready"] = _get("Whether it would take a request", model.name, 503)
        if model.scheduler is not None:
            paths[f"/v2/models/{name}/infer"] = {"post": _infer(model)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "paddlesrv",
            "version": __version__,
            "description": "Models served by paddlesrv: plain JSON under /predict, tensors under "
            "/v2 (Open Inference Protocol).",
        },
        "paths": paths,
        "components": {"schemas": _SCHEMAS},
    }


def _get(
    summary: str, tag: str, other: int | None = None, content: str = "application/json"
) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": {"description": "yes", "content": {content: {}}}}
    if other is not None:
        responses[str(other)] = {"description": "no"}
    return {"get": {"summary": summary, "tags": [tag], "responses": responses}}


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
    return {
        "summary": "Tensors in, tensors out (Open Inference Protocol)",
        "tags": [model.name],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _ref("InferRequest")}},
        },
        "responses": {
            "200": {
                "description": "outputs",
                "content": {"application/json": {"schema": _ref("InferResponse")}},
            },
            **_ERRORS,
        },
    }


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

_TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer"}},
        "datatype": {"type": "string", "examples": ["FP32", "INT64"]},
        "data": {"type": "array"},
        "parameters": {"type": "object"},
    },
}

_SCHEMAS: dict[str, Any] = {
    "Error": {
        "type": "object",
        "properties": {
            "error": {"type": "string"},
            "code": {"type": "string"},
            "hint": {"type": ["string", "null"]},
            "request_id": {"type": "string"},
        },
    },
    "PredictRequest": {
        "type": "object",
        "properties": {
            "image": {"type": "string", "description": "base64"},
            "images": {"type": "array", "items": {"type": "string"}},
            "text": {"type": "string"},
            "texts": {"type": "array", "items": {"type": "string"}},
            "features": {"type": ["array", "object"]},
            "top": {"type": "integer", "minimum": 1},
            "threshold": {"type": "number"},
            "tokens": {"type": "boolean"},
        },
    },
    "PredictResponse": {
        "type": "object",
        "properties": {
            "schema": {"const": 1},
            "model": {"type": "string"},
            "task": {"type": "string"},
            "results": {"type": "array", "items": {"type": "object"}},
            "timing_ms": {
                "type": "object",
                "properties": {k: {"type": "number"} for k in ("queue", "compute", "total")},
            },
        },
    },
    "Tensor": _TENSOR,
    "InferRequest": {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "inputs": {"type": "array", "items": {"$ref": "#/components/schemas/Tensor"}},
            "outputs": {"type": "array", "items": {"type": "object"}},
        },
    },
    "InferResponse": {
        "type": "object",
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": {"type": "array", "items": {"$ref": "#/components/schemas/Tensor"}},
        },
    },
}
