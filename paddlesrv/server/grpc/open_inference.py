"""`inference.GRPCInferenceService`: the Open Inference Protocol, with Triton's additions."""

from __future__ import annotations

from typing import Any

import grpc
from paddlesrv_client.wire.messages import message

from paddlesrv import __version__
from paddlesrv.server.grpc.calls import Call, Calls
from paddlesrv.server.protocols import open_inference, open_inference_proto
from paddlesrv.server.service import VERSION, Service

NAME = "inference.GRPCInferenceService"

_ServerLive = message("inference.ServerLiveResponse")
_ServerReady = message("inference.ServerReadyResponse")
_ModelReady = message("inference.ModelReadyResponse")
_ServerMetadata = message("inference.ServerMetadataResponse")


class OpenInference:
    """The service's methods."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """What answers each method."""
        unary = {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "ModelInfer": self._infer,
            "ModelConfig": self._config,
        }
        return {
            name: calls.unary(message(f"inference.{name}Request"), function)
            for name, function in unary.items()
        }

    async def _server_live(self, _: Any, __: Call) -> Any:
        return _ServerLive(live=True)

    async def _server_ready(self, _: Any, __: Call) -> Any:
        return _ServerReady(ready=self._service.ready)

    async def _model_ready(self, request: Any, _: Call) -> Any:
        return _ModelReady(ready=self._service.find(request.name, request.version).ready)

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
