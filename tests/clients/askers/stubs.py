"""gRPC without a client: messages that the server describes itself, and others' messages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import grpc
import numpy as np
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from tests import packages
from tests.clients.askers.question import NO_HALF, TEXT, Arrays, Asker, Question, array, plain
from tests.clients.networks import NUMBERS, datatype
from tests.oracles import tensorflow_questions

OPEN_INFERENCE = "inference.GRPCInferenceService"
_KINDS = {datatype(name): name for name in NUMBERS} | {"BYTES": TEXT}


def _contents(kind: str) -> str:
    if kind == "bool" or kind == TEXT:
        return f"{kind}_contents"
    if kind.startswith("float"):
        return "fp32_contents" if kind == "float32" else "fp64_contents"
    sign = "uint" if kind.startswith("u") else "int"
    return f"{sign}64_contents" if kind.endswith("64") else f"{sign}_contents"


def reflection(question: Question) -> Arrays:
    """As grpcurl asks: what the server says of itself, and JSON that is made a message by it."""
    with grpc.insecure_channel(question.address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert OPEN_INFERENCE in database.get_services()
        pool = DescriptorPool(database)
        method = pool.FindServiceByName(OPEN_INFERENCE).FindMethodByName("ModelInfer")
        inputs = []
        for name, x in question.inputs.items():
            kind = TEXT if x.dtype == object else x.dtype.name
            values = plain(x) if kind != TEXT else [_base64(text) for text in x.ravel()]
            inputs.append(
                {
                    "name": name,
                    "datatype": "BYTES" if kind == TEXT else datatype(kind),
                    "shape": list(x.shape),
                    "contents": {_contents(kind): values},
                }
            )
        request = ParseDict(
            {"model_name": question.model, "inputs": inputs}, GetMessageClass(method.input_type)()
        )
        stub = channel.unary_unary(
            f"/{OPEN_INFERENCE}/{method.name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        said = stub(request, timeout=60)
    return {
        tensor.name: _of_bytes(raw, _KINDS[tensor.datatype], list(tensor.shape))
        for tensor, raw in zip(said.outputs, said.raw_output_contents, strict=True)
    }


def _base64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()


def _of_bytes(raw: bytes, kind: str, shape: list[int]) -> np.ndarray:
    if kind != TEXT:
        return np.frombuffer(raw, kind).reshape(shape)
    texts = []
    while raw:
        end = 4 + int.from_bytes(raw[:4], "little")
        texts.append(raw[4:end])
        raw = raw[end:]
    return array(texts, TEXT, shape)


def tensorflow(question: Question) -> Arrays:
    """min_tfs_client and TensorFlow Serving's own messages, in a process of their own."""
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "inputs.npz", Path(folder) / "answers.npz"
        # Without pickles there are no objects: texts go as a matrix of their bytes' numbers.
        packed = {name: tensorflow_questions.pack(x) for name, x in question.inputs.items()}
        np.savez(files[0], **packed)
        path = [str(packages.unpacked(name)) for name in ("protobuf", "min-tfs-client")]
        done = subprocess.run(
            [sys.executable, tensorflow_questions.__file__, *question.address.split(":"),
             question.model, *map(str, files)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        with np.load(files[1]) as answers:
            kinds: dict[str, str] = json.loads(done.stdout)
            return {
                name: tensorflow_questions.unpack(answers[name], kind == TEXT)
                for name, kind in kinds.items()
            }


ASKERS = (
    Asker("reflection, as grpcurl", reflection, NO_HALF),
    Asker("TensorFlow Serving's messages", tensorflow),
)
