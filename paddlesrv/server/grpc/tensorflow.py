"""TensorFlow Serving's `PredictionService` and `ModelService`, as far as they are served."""

from __future__ import annotations

from typing import Any

from paddlesrv.server.grpc.calls import Call, Calls, Handlers
from paddlesrv.server.protocols import tensorflow_proto
from paddlesrv.server.service import VERSION, Service

PREDICTION = "tensorflow.serving.PredictionService"
MODEL = "tensorflow.serving.ModelService"


class TensorFlowServing:
    """The services' methods."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def handlers(self, calls: Calls) -> dict[str, Handlers]:
        """What answers each method of each service."""
        metadata = calls.unary(tensorflow_proto.MetadataRequest, self._metadata)
        predict = calls.unary(tensorflow_proto.PredictRequest, self._predict)
        status = calls.unary(tensorflow_proto.StatusRequest, self._status)
        return {
            PREDICTION: {"Predict": predict, "GetModelMetadata": metadata},
            MODEL: {"GetModelStatus": status},
        }

    async def _predict(self, request: Any, call: Call) -> Any:
        spec = request.model_spec
        call.model = self._service.find(spec.name, tensorflow_proto.version_of(spec)).name
        inference = tensorflow_proto.decode_predict(request)
        inference.timeout = call.timeout()
        return tensorflow_proto.encode_predict(await self._service.infer(inference))

    async def _metadata(self, request: Any, _: Call) -> Any:
        spec = request.model_spec
        model = self._service.find(spec.name, tensorflow_proto.version_of(spec))
        return tensorflow_proto.metadata(request, model.setup.spec, VERSION)

    async def _status(self, request: Any, _: Call) -> Any:
        spec = request.model_spec
        version = tensorflow_proto.version_of(spec)
        if spec.name in self._service.unloaded and version in (None, VERSION):
            return tensorflow_proto.status({VERSION: "END"})
        model = self._service.models.get(spec.name)
        if model is not None and model.state == "unloading":
            return tensorflow_proto.status({VERSION: "UNLOADING"})
        model = self._service.find(spec.name, version)
        return tensorflow_proto.status({VERSION: "AVAILABLE" if model.ready else "LOADING"})
