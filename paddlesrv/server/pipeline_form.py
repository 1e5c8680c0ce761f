"""Paddle Serving's pipeline form, as every transport of it asks: a name, and texts or tensors."""

from __future__ import annotations

from typing import Any

from paddlesrv.errors import InvalidInput
from paddlesrv.server import general_model
from paddlesrv.server.protocols import paddle_pipeline
from paddlesrv.server.protocols.paddle_pipeline import PipelineRequest
from paddlesrv.server.protocols.paddle_serving import GeneralRequest
from paddlesrv.server.service import ServedModel, Service
from paddlesrv.tasks.base import TaskOptions


def choose(service: Service, request: PipelineRequest, name: str | None = None) -> ServedModel:
    """The model that is named; without a name, the only one that stands by itself.

    Args:
        service: What serves.
        request: It may name a model itself.
        name: The name by which the transport says it, if it has a place for that.

    Raises:
        NotFound: no such model is served.
        InvalidInput: none is named, and there are several.
    """
    if request.name or name:
        return service.find(request.name or name or "")
    parts = {part.name for model in service.models.values() for part in model.components}
    whole = [model for model in service.models.values() if model.name not in parts]
    if len(whole) == 1:
        return whole[0]
    raise InvalidInput(
        "the request names no model",
        context={"wanted": f"`name`, one of: {', '.join(m.name for m in whole) or 'none'}"},
    )


async def answer(
    service: Service, request: PipelineRequest, model: ServedModel, timeout: float | None = None
) -> Any:
    """The answer of a model, as a `Response`.

    Raises:
        InvalidInput: what was sent is nothing that the model takes; and all that `Service.infer`
            and `Service.predict` raise.
    """
    task = model.setup.task
    if task is not None:
        request = paddle_pipeline.texts(request)
    if request.pairs and task is not None and not request.tensors:
        asked = paddle_pipeline.items(request, task.accepts[0])
        done = await service.predict(model.name, asked, TaskOptions(), timeout)
        return paddle_pipeline.write_results(done.results)
    spec = model.setup.spec
    tensors = [*request.tensors, *paddle_pipeline.inputs(request, spec)]
    general = GeneralRequest(tensors, (), request.log_id)
    found = await general_model.infer(service, general, model.name, timeout)
    return paddle_pipeline.write_outputs(spec, found.response.outputs)
