"""Paddle Serving's general model service, as every transport of it asks it.

Its requests name no model: the ancestor served one on each port. Here the model is the one that
takes the tensors which were sent.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from paddlesrv.errors import InvalidInput
from paddlesrv.models.spec import ModelSpec
from paddlesrv.server.protocols import paddle_serving
from paddlesrv.server.protocols.paddle_serving import GeneralRequest
from paddlesrv.server.request import InferResponse
from paddlesrv.server.service import ServedModel, Service


class GeneralAnswer(NamedTuple):
    """What a model answered, and all that is needed to write it down."""

    response: InferResponse
    spec: ModelSpec
    times: tuple[int, int]
    """When it began and ended, in microseconds since 1970."""


async def infer(
    service: Service,
    request: GeneralRequest,
    model: str | None = None,
    timeout: float | None = None,
) -> GeneralAnswer:
    """Ask the model that a request is meant for.

    Args:
        service: What serves.
        request: Tensors, and the outputs that are asked for.
        model: The model's name, where the transport has a place for it.
        timeout: Seconds that the client waits.

    Raises:
        InvalidInput: no model takes these tensors, or several do; and all that `Service.infer`
            raises.
    """
    spec = choose(service, request, model).setup.spec
    asked = paddle_serving.bind(request, spec)
    asked.timeout = timeout
    began = time.time_ns() // 1000
    response = await service.infer(asked)
    return GeneralAnswer(response, spec, (began, time.time_ns() // 1000))


def choose(service: Service, request: GeneralRequest, model: str | None = None) -> ServedModel:
    """The served model that takes exactly these tensors and has the outputs asked for.

    Raises:
        NotFound: a model is named that is not served.
        InvalidInput: none fits, or several do.
    """
    if model is not None:
        return service.find(model)
    networks = [each for each in service.models.values() if each.scheduler is not None]
    if len(networks) == 1:
        return networks[0]  # whatever does not fit is said of it
    fitting = [each for each in networks if request.fits(each.setup.spec)]
    if len(fitting) > 1:
        fitting = [each for each in fitting if request.suits(each.setup.spec)] or fitting
    if len(fitting) == 1:
        return fitting[0]
    sent = ", ".join(str(each) for each in request.tensors) or "no tensors"
    if fitting:
        raise InvalidInput(
            f"several models take {sent}",
            context={"models": ", ".join(each.name for each in fitting)},
            hints=["name one in a header `model` (HTTP, gRPC), or serve it on a port of its own"],
        )
    raise InvalidInput(
        "no model that is served here takes these tensors",
        context={
            "found": sent,
            "wanted": "; ".join(f"{each.name}: {_inputs(each.setup.spec)}" for each in networks)
            or "no model with a network is served",
        },
    )


def _inputs(spec: ModelSpec) -> str:
    return ", ".join(tensor.name for tensor in spec.inputs)
