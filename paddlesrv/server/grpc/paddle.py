"""Paddle Serving's `GeneralModelService` and `PipelineService` over gRPC."""

from __future__ import annotations

from typing import Any

from paddlesrv.server import general_model, pipeline_form
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


class Pipeline:
    """The pipeline service's one method. Its errors are answers, with numbers of their own."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def handlers(self, calls: Calls) -> dict[str, Handlers]:
        """What answers each method of the service."""
        infer = calls.unary(paddle_pipeline.RequestMessage, self._infer, _pipeline_error)
        return {paddle_pipeline.SERVICE: {"inference": infer}}

    async def _infer(self, request: Any, call: Call) -> Any:
        asked = paddle_pipeline.read(request)
        model = pipeline_form.choose(self._service, asked, call.metadata(MODEL))
        call.model = model.name
        return await pipeline_form.answer(self._service, asked, model, call.timeout())


def _pipeline_error(request: Any, refusal: Refusal) -> Any:
    number = paddle_pipeline.NO_MESSAGE if request is None else None
    return paddle_pipeline.write_error(refusal.error, refusal.line, number)
