"""Paddle Serving's pipeline and web service over HTTP: `POST /{model}/prediction`, in JSON.

Two forms share the route there, and do here: parallel arrays `key` and `value` (or `tensors`), and
the older one of samples, `feed` and `fetch`. Source: PaddlePaddle/Serving v0.7.0,
python/pipeline/gateway/proxy_server.go and python/paddle_serving_server/web_service.py.

An error has the ancestor's number and text where it has a place for them, and a status of its own
besides: the ancestor answered 200 to everything.
"""

from __future__ import annotations

from typing import Any

import msgspec

from paddlesrv.errors import InvalidInput
from paddlesrv.server import pipeline_form
from paddlesrv.server.connection import Request, Response
from paddlesrv.server.protocols import paddle_pipeline
from paddlesrv.server.protocols.json_body import decode_json
from paddlesrv.server.protocols.paddle_pipeline import PipelineRequest
from paddlesrv.server.refusal import refuse
from paddlesrv.server.service import Service

METHOD = "prediction"


class _Samples(msgspec.Struct):
    """The older form, or no field of it."""

    feed: list[dict[str, Any]] | None = None
    fetch: list[str] = []


samples_decoder = msgspec.json.Decoder(_Samples)


async def predict(service: Service, request: Request, model: str) -> Response:
    """Answer in the form of the request.

    Raises:
        InvalidInput: the body is neither; and for the older form, all that an answer raises.
    """
    body = await request.body()
    samples = decode_json(samples_decoder, body, "a request to a pipeline: key and value, or feed")
    if samples.feed is None:
        return await _keys(service, request, model, body)
    asked = PipelineRequest(model, paddle_pipeline.of_samples(samples.feed), ())
    answer = await pipeline_form.answer(service, asked, service.find(model))
    found = dict(zip(answer.key, answer.value, strict=True))
    wanted = samples.fetch or list(found)
    for name in wanted:
        if name not in found:
            raise InvalidInput(
                f"model {model!r} has no output {name!r}", context={"wanted": ", ".join(found)}
            )
    result = {name: msgspec.Raw(found[name].encode()) for name in wanted}
    return Response(body=msgspec.json.encode({"result": result}))


async def _keys(service: Service, request: Request, model: str, body: bytes) -> Response:
    status = 200
    headers: tuple[tuple[bytes, bytes], ...] = ()
    try:
        asked = paddle_pipeline.decode_json(body)
        answer = await pipeline_form.answer(service, asked, service.find(model))
    except Exception as error:  # noqa: BLE001 - a client is always answered
        refusal = refuse("http", error, request.header(b"x-request-id"))
        answer = paddle_pipeline.write_error(refusal.error, refusal.line)
        status = refusal.error.http_status
        headers = ((b"x-request-id", refusal.request_id.encode()),)
    return Response(status, paddle_pipeline.encode_json(answer), headers=headers)
