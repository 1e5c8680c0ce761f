"""`inference.GRPCInferenceService`: the Open Inference Protocol, with Triton's additions."""

from __future__ import annotations

from typing import Any

import msgspec
from paddlesrv_client.wire.messages import message

from paddlesrv import __version__
from paddlesrv.errors import Unavailable
from paddlesrv.server.access.grpc import caller
from paddlesrv.server.grpc.calls import Call, Calls, Handlers
from paddlesrv.server.grpc.streams import Streams
from paddlesrv.server.protocols import open_inference, open_inference_proto
from paddlesrv.server.protocols.open_inference_proto import ModelInferRequest
from paddlesrv.server.refusal import Refusal
from paddlesrv.server.repository import Repository
from paddlesrv.server.service import VERSION, Service

NAME = "inference.GRPCInferenceService"

_ServerLive = message("inference.ServerLiveResponse")
_ServerReady = message("inference.ServerReadyResponse")
_ModelReady = message("inference.ModelReadyResponse")
_ServerMetadata = message("inference.ServerMetadataResponse")
_Statistics = message("inference.ModelStatisticsResponse")
_Index = message("inference.RepositoryIndexResponse")
_Load = message("inference.RepositoryModelLoadResponse")
_Unload = message("inference.RepositoryModelUnloadResponse")
_StreamAnswer = message("inference.ModelStreamInferResponse")

_WANTS_FINAL = "triton_enable_empty_final_response"
_FINAL = "triton_final_response"


class OpenInference:
    """The service's methods."""

    def __init__(self, service: Service, repository: Repository) -> None:
        self._service = service
        self._repository = repository

    def handlers(self, calls: Calls, streams: Streams) -> Handlers:
        """What answers each method."""
        unary = {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "ModelInfer": self._infer,
            "ModelConfig": self._config,
            "ModelStatistics": self._statistics,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
        }
        streamed = calls.embedded(ModelInferRequest, self._infer_streamed, _stream_error)
        return {"ModelStreamInfer": streams.handler(streamed)} | {
            name: calls.unary(message(f"inference.{name}Request"), function)
            for name, function in unary.items()
        }

    async def _server_live(self, _: Any, __: Call) -> Any:
        return _ServerLive(live=True)

    async def _server_ready(self, _: Any, __: Call) -> Any:
        return _ServerReady(ready=self._service.ready)

    async def _model_ready(self, request: Any, _: Call) -> Any:
        try:
            ready = self._service.find(request.name, request.version).ready
        except Unavailable:  # unloaded, and that is the question
            ready = False
        return _ModelReady(ready=ready)

    async def _server_metadata(self, _: Any, __: Call) -> Any:
        extensions = list(open_inference.EXTENSIONS)
        return _ServerMetadata(name="paddlesrv", version=__version__, extensions=extensions)

    async def _model_metadata(self, request: Any, _: Call) -> Any:
        model = self._service.find(request.name, request.version)
        return open_inference_proto.metadata(model.setup.spec, VERSION)

    async def _config(self, request: Any, _: Call) -> Any:
        setup = self._service.find(request.name, request.version).setup
        limits = setup.limits
        return open_inference_proto.config(
            setup.spec, max_batch_size=limits.max_batch_size, max_delay=limits.max_delay
        )

    async def _infer(self, request: Any, call: Call) -> Any:
        call.model = self._service.find(request.model_name, request.model_version).name
        inference = open_inference_proto.decode(request)
        inference.timeout = call.timeout(inference.timeout)
        return open_inference_proto.encode(await self._service.infer(inference))

    async def _infer_streamed(self, request: Any, call: Call) -> Any:
        answer = await self._infer(request, call)
        if open_inference_proto.flag(request, _WANTS_FINAL):
            answer.parameters[_FINAL].bool_param = True  # each request has one answer here
        return _StreamAnswer(infer_response=answer)

    async def _statistics(self, request: Any, _: Call) -> Any:
        found = self._repository.statistics(request.name, request.version or None)
        sums = [open_inference.statistics(name, VERSION, each) for name, each in found.items()]
        return _Statistics(model_stats=sums)

    async def _index(self, request: Any, _: Call) -> Any:
        entries = await self._repository.index(ready=request.ready)
        return _Index(models=[msgspec.structs.asdict(entry) for entry in entries])

    async def _load(self, request: Any, _: Call) -> Any:
        _require_admin()
        await self._repository.load(request.model_name, _parameters(request))
        return _Load()

    async def _unload(self, request: Any, _: Call) -> Any:
        _require_admin()
        await self._repository.unload(request.model_name, _parameters(request))
        return _Unload()


def _require_admin() -> None:
    asking = caller()
    if asking is not None:
        asking.require_admin()


def _parameters(request: Any) -> dict[str, Any]:
    """Those of a change to the repository, whatever their types."""
    found: dict[str, Any] = {}
    for name, parameter in request.parameters.items():
        choice = parameter.WhichOneof("parameter_choice")
        found[name] = getattr(parameter, choice) if choice else None
    return found


def _stream_error(request: Any, refusal: Refusal) -> Any:
    """What stands in a stream for the answer to a request that has none."""
    answer = _StreamAnswer(error_message=refusal.line)
    if request is not None:
        answer.infer_response.id = request.id
        answer.infer_response.model_name = request.model_name
    return answer
