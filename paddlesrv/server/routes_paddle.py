"""Paddle Serving over HTTP: its general model service, its pipelines, its older web services.

`POST /GeneralModelService/inference`, and `POST /MODEL/prediction` with `key` and `value`, or with
`feed` and `fetch`. Source: PaddlePaddle/Serving v0.7.0, doc/C++_Serving/Http_Service_CN.md,
python/paddle_serving_client/httpclient.py, python/pipeline/gateway/proxy_server.go and
python/paddle_serving_server/web_service.py.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from paddlesrv.errors import InvalidInput, PaddlesrvError
from paddlesrv.server import general_model, refused
from paddlesrv.server import pipeline as pipelines
from paddlesrv.server.connection import Request, Response
from paddlesrv.server.pipeline import Feed
from paddlesrv.server.protocols import paddle_pipeline, paddle_serving
from paddlesrv.server.protocols.json_body import decode_json
from paddlesrv.server.refusal import refuse
from paddlesrv.server.service import Service

PREFIX = "GeneralModelService"
PROTOBUF = b"application/proto"
_PROTOBUF_TYPES = ("application/proto", "application/x-protobuf", "application/protobuf")


async def general_inference(service: Service, request: Request) -> Response:
    """Answer in the form of the request: protobuf where its content type says so, else JSON.

    A header `model` chooses among several models that take the same tensors.

    Raises:
        InvalidInput: the body is none of a request; and all that `general_model.infer` raises.
    """
    body = await request.body()
    # Old clients send JSON without a content type, or with that of a form, as curl does.
    kind = (request.header(b"content-type") or "").partition(";")[0].strip().lower()
    binary = kind in _PROTOBUF_TYPES
    asked = paddle_serving.decode(body) if binary else paddle_serving.decode_json_request(body)
    answer = await general_model.infer(service, asked, request.header(b"model"))
    if binary:
        said = paddle_serving.encode(answer.response, answer.spec, answer.times)
        return Response(body=said, content_type=PROTOBUF)
    return Response(body=paddle_serving.encode_json(answer.response, answer.spec, answer.times))


# -- pipelines ---------------------------------------------------------------------------------

METHOD = "prediction"
"""What old clients ask for; any other word was as good."""

_body = msgspec.json.Decoder(dict[str, Any])


class _FeedBody(msgspec.Struct):
    feed: list[dict[str, Any]]
    fetch: list[str] = []


def is_pipeline(service: Service, method: str, parts: list[str]) -> bool:
    """Whether a path is a pipeline's: a model's name and a word."""
    if len(parts) != 2 or not all(parts):
        return False
    return parts[1] == METHOD or (method == "POST" and name_of(service, parts[0]) != "")


def name_of(service: Service, word: str) -> str:
    """The served model's own name; the empty string if none is."""
    try:
        return service.find(word).name
    except PaddlesrvError:
        return ""


async def pipeline(service: Service, request: Request, name: str) -> Response:
    """Answer in the form of the request: `key` and `value`, or `result` to `feed` and `fetch`.

    An error has the status and the body of any other here, with `err_no` and `err_msg` besides.
    """
    try:
        model = service.find(name)
        body = decode_json(_body, await request.body(), "an object with 'key' and 'value'")
        if "feed" in body:
            result = await pipelines.answer_feed(service, model, _feed(body))
            return Response(body=msgspec.json.encode({"result": result}))
        asked = paddle_pipeline.decode_json(body)
        found = await pipelines.answer(service, model, asked)
        return Response(body=paddle_pipeline.encode_json(found))
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001 - a client is always answered
        refusal = refuse("http", error, request.header(b"x-request-id"))
        number = paddle_pipeline.error_number(refusal.error)
        return refused.answer(refusal, paddle_pipeline.json_fields(number, refusal.line, {}))


def _feed(body: dict[str, Any]) -> Feed:
    try:
        found = msgspec.convert(body, _FeedBody)
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"the body is not a request with 'feed': {error}",
            context={"wanted": '{"feed": [{...}], "fetch": [...]}'},
        ) from None
    return Feed(found.feed, found.fetch)
