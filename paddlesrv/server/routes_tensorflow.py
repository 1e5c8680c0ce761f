"""TensorFlow Serving's REST routes: `/v1/models/{model}[/versions/{version}]` and what follows."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from google.protobuf import json_format
from paddlesrv_client.wire.messages import message

from paddlesrv.errors import InvalidInput, NotFound
from paddlesrv.server.connection import Request, Response
from paddlesrv.server.protocols import tensorflow_proto, tensorflow_rest
from paddlesrv.server.service import VERSION, Service
from paddlesrv.tasks.base import TaskInput, TaskOptions

PREFIX = ["v1", "models"]

CLASSIFIER = "image-classification"
"""The task whose models answer `:classify`."""

_SignatureDefMap = message("tensorflow.serving.SignatureDefMap")


class Target(NamedTuple):
    """What a path asks for: of a model, in a version, `predict`, `classify`, `metadata` or ""."""

    model: str
    version: str | None
    verb: str


def target(parts: list[str]) -> Target:
    """The target of a path behind `/v1/models/`.

    Raises:
        NotFound: there is nothing.
    """
    last, colon, verb = parts[-1].rpartition(":")
    words = [*parts[:-1], last] if colon else list(parts)
    if colon and verb not in ("predict", "classify"):
        raise _nothing()
    if not colon and len(words) in (2, 4) and words[-1] == "metadata":
        verb = words.pop()
    elif not colon:
        verb = ""
    version = words.pop() if len(words) == 3 and words[1] == "versions" else None
    if version is not None:
        words.pop()
    if len(words) != 1 or not words[0]:
        raise _nothing()
    return Target(words[0], version, verb)


def _nothing() -> NotFound:
    return NotFound(
        "there is nothing at that path",
        context={"wanted": "/v1/models/{model}[/versions/{version}][:predict|:classify]"},
    )


async def predict(service: Service, request: Request, asked: Target) -> Response:
    """Tensors in, tensors out, by rows or by columns.

    Raises:
        InvalidInput: the body is none of a request; and all that `Service.infer` raises.
    """
    spec = service.find(asked.model, asked.version).setup.spec
    inference, by_rows = tensorflow_rest.decode_predict(spec, asked.version, await request.body())
    answer = await service.infer(inference)
    return Response(body=tensorflow_rest.encode_predict(answer, by_rows))


async def classify(service: Service, request: Request, asked: Target) -> Response:
    """Pictures in, labels with scores out.

    Raises:
        InvalidInput: the model is no classifier, or the body none of a request; and all that
            `Service.predict` raises.
    """
    model = service.find(asked.model, asked.version)
    task = model.setup.task
    if task is None or task.name != CLASSIFIER:
        raise InvalidInput(
            f"model {model.name!r} is no classifier of pictures",
            hints=[f"ask for its tensors: POST /v1/models/{model.name}:predict"],
        )
    pictures = tensorflow_rest.decode_classify(model.setup.spec, await request.body())
    items = [TaskInput("image", picture) for picture in pictures]
    answer = await service.predict(model.name, items, TaskOptions())
    results: list[Any] = answer.results
    told = [[(each.label, each.score) for each in result.classes] for result in results]
    return Response(body=tensorflow_rest.encode_classify(told))


def describe(service: Service, asked: Target) -> dict[str, Any]:
    """A model's status, or its signatures as `metadata`.

    Raises:
        NotFound: it is not served.
    """
    model = service.find(asked.model, asked.version)
    if asked.verb != "metadata":
        return tensorflow_rest.status(VERSION, ready=model.ready)
    wanted = tensorflow_proto.MetadataRequest(metadata_field=["signature_def"])
    told = tensorflow_proto.metadata(wanted, model.setup.spec, VERSION)
    signatures = _SignatureDefMap()
    told.metadata["signature_def"].Unpack(signatures)
    as_json = json_format.MessageToJson(signatures, preserving_proto_field_name=True)
    return {
        "model_spec": {"name": model.name, "signature_name": "", "version": VERSION},
        "metadata": {"signature_def": msgspec.json.decode(as_json)},
    }
