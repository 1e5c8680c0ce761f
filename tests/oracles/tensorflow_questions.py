"""One question to TensorFlow Serving by min_tfs_client, in a process of its own.

Its messages need a protobuf of its time. Run with both on the path, as: python
tensorflow_questions.py HOST PORT MODEL INPUTS ANSWERS, with files of arrays (.npz) by the names of
inputs and outputs. It prints the types of the outputs.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np


def pack(data: Any) -> Any:
    """An array as a file can hold it without pickles: texts as `S`, with a full stop behind each.

    numpy drops zeros from the end of such texts.
    """
    if data.dtype != object:
        return data
    return np.array([text + b"." for text in data.ravel()]).reshape(data.shape)


def unpack(data: Any, texts: bool) -> Any:
    """What `pack` packed."""
    if not texts:
        return data
    found = np.empty(data.shape, object)
    found.ravel()[:] = [text[:-1] for text in data.ravel().tolist()]
    return found


def main(host: str, port: str, model: str, inputs: str, answers: str) -> None:
    from min_tfs_client.requests import TensorServingClient
    from min_tfs_client.tensors import (
        extract_shape,
        ndarray_to_tensor_proto,
        tensor_proto_to_ndarray,
    )
    from tensorflow.core.framework import types_pb2
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    with np.load(inputs) as arrays:
        for name, array in arrays.items():
            tensor = request.inputs[name]
            if array.dtype.kind == "S":  # that client has strings of str alone
                tensor.dtype = types_pb2.DT_STRING
                tensor.string_val.extend(text[:-1] for text in array.ravel().tolist())
            elif array.dtype == np.float16:  # and writes no bits
                tensor.dtype = types_pb2.DT_HALF
                tensor.tensor_content = array.tobytes()
            else:
                tensor.CopyFrom(ndarray_to_tensor_proto(array))
                continue
            for size in array.shape:
                tensor.tensor_shape.dim.add(size=size)
    client = TensorServingClient(host, int(port))
    stub = prediction_service_pb2_grpc.PredictionServiceStub(client._channel)
    kinds = {}
    found = {}
    for name, tensor in stub.Predict(request, 60).outputs.items():
        shape = extract_shape(tensor)
        if tensor.dtype == types_pb2.DT_STRING:
            texts = np.empty(len(tensor.string_val), object)
            texts[:] = list(tensor.string_val)
            found[name], kinds[name] = pack(texts.reshape(shape)), "bytes"
        elif tensor.dtype == types_pb2.DT_HALF:
            bits = np.array(tensor.half_val, np.uint16)
            found[name], kinds[name] = bits.view(np.float16).reshape(shape), "float16"
        else:
            found[name] = tensor_proto_to_ndarray(tensor)
            kinds[name] = found[name].dtype.name
    np.savez(answers, **found)
    json.dump(kinds, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
