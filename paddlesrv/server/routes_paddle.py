"""Paddle Serving's general model service over HTTP: `POST /GeneralModelService/inference`.

Source: PaddlePaddle/Serving v0.7.0, doc/C++_Serving/Http_Service_CN.md and
python/paddle_serving_client/httpclient.py.
"""

from __future__ import annotations

from paddlesrv.server import general_model
from paddlesrv.server.connection import Request, Response
from paddlesrv.server.protocols import paddle_serving
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
