"""Paddle Serving over gRPC: its `GeneralModelService` and its `PipelineService`."""

from __future__ import annotations

from typing import Any

import grpc

from paddlesrv.server import general_model, pipeline
from paddlesrv.server.grpc.calls import Call, Calls, Handlers
from paddlesrv.server.protocols import paddle_pipeline, paddle_serving
from paddlesrv.server.refusal import Refusal
from paddlesrv.server.service import Service

MODEL = "model"
"""In the metadata: which model is meant, where several take the same tensors."""


class GeneralModel:
    """The service's methods, which are one and the same."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def handlers(self, calls: Calls) -> dict[str, Handlers]:
        """What answers each method of the service."""
        infer = calls.unary(paddle_serving.RequestMessage, self._infer)
        return {paddle_serving.SERVICE: dict.fromkeys(paddle_serving.METHODS, infer)}

    async def _infer(self, request: Any, call: Call) -> Any:
        asked = paddle_serving.read(request)
        model = general_model.choose(self._service, asked, call.metadata(MODEL))
        call.model = model.name
        answer = await general_model.infer(self._service, asked, model.name, call.timeout())
        return paddle_serving.write(answer.response, answer.spec, answer.times)


class Pipelines:
    """The pipeline service's only method. Its errors are answers, as its clients look for them."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def handlers(self, calls: Calls) -> dict[str, Handlers]:
        """What answers it."""
        infer = calls.embedded(paddle_pipeline.RequestMessage, self._infer, _error)
        handler = grpc.unary_unary_rpc_method_handler(infer)
        return {paddle_pipeline.SERVICE: {paddle_pipeline.METHOD: handler}}

    async def _infer(self, request: Any, call: Call) -> Any:
        asked = paddle_pipeline.read(request)
        model = pipeline.choose(self._service, asked, call.metadata(MODEL))
        call.model = model.name
        found = await pipeline.answer(self._service, model, asked, call.timeout())
        return paddle_pipeline.write(found)


def _error(_: Any, refusal: Refusal) -> Any:
    return paddle_pipeline.write_error(refusal.error, refusal.line)
