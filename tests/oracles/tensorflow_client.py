"""TensorFlow Serving asked by min_tfs_client, in a process of its own.

Its messages need a protobuf of its time. Run with both on the path, as: python tensorflow_client.py
HOST PORT INPUTS ANSWERS, where INPUTS (an .npz) has an array for input `x` of each model, by the
model's name.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np


def main(host: str, port: str, inputs: str, answers: str) -> None:
    from min_tfs_client.requests import TensorServingClient
    from min_tfs_client.tensors import extract_shape, tensor_proto_to_ndarray

    client = TensorServingClient(host, int(port))
    outputs = {}
    with np.load(inputs) as arrays:
        for model, array in arrays.items():
            if array.dtype == np.float16:  # that client writes no bits
                half = _predict_half(client._channel, model, array)
                bits = np.array(half.half_val, np.uint16)
                outputs[model] = bits.view(np.float16).reshape(extract_shape(half))
            else:
                answer = client.predict_request(model, {"x": array}, model_version=1)
                assert answer.model_spec.name == model
                outputs[model] = tensor_proto_to_ndarray(answer.outputs["y"])
    np.savez(answers, **outputs)
    json.dump({**_ask(client._channel), "fields": _fields()}, sys.stdout)


def _predict_half(channel: Any, model: str, array: np.ndarray) -> Any:
    from tensorflow.core.framework import types_pb2
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.output_filter.append("y")
    tensor = request.inputs["x"]
    tensor.dtype = types_pb2.DT_HALF
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = array.tobytes()
    return prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request).outputs["y"]


def _ask(channel: Any) -> dict[str, Any]:
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_service_pb2_grpc,
        prediction_service_pb2_grpc,
    )

    asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    asked.model_spec.name = "float32"
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    packed = stub.GetModelMetadata(asked).metadata["signature_def"]
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert packed.Unpack(signatures)
    (signature,) = signatures.signature_def.values()
    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name = "float32"
    (version,) = (
        model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(status).model_version_status
    )
    return {
        "signatures": list(signatures.signature_def),
        "method": signature.method_name,
        "input": [d.size for d in signature.inputs["x"].tensor_shape.dim],
        "dtype": signature.inputs["x"].dtype,
        "version": [version.version, version.state, version.status.error_code],
    }


def _fields() -> dict[str, dict[str, list[int]]]:
    """Number, type and label of each field of each message, and numbers of enumerations."""
    from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
    from tensorflow.core.protobuf import meta_graph_pb2
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_pb2,
        predict_pb2,
    )  # fmt: skip
    from tensorflow_serving.util import status_pb2

    found: dict[str, dict[str, list[int]]] = {}

    def add(message: Any) -> None:
        found[message.full_name] = {
            field.name: [field.number, field.type, field.label] for field in message.fields
        }
        for nested in message.nested_types:
            add(nested)
        for enum in message.enum_types:
            found[enum.full_name] = {v.name: [v.number] for v in enum.values}

    for module in (tensor_pb2, tensor_shape_pb2, types_pb2, meta_graph_pb2, get_model_metadata_pb2,
                   get_model_status_pb2, model_pb2, predict_pb2, status_pb2):  # fmt: skip
        for message in module.DESCRIPTOR.message_types_by_name.values():
            add(message)
        for enum in module.DESCRIPTOR.enum_types_by_name.values():
            found[enum.full_name] = {v.name: [v.number] for v in enum.values}
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
