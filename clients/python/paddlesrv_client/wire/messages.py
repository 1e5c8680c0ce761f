"""The messages of every binary protocol that is spoken, as protobuf classes.

Their definitions are in `protos/`, compiled into `protos/descriptors.binpb` (by
`generate_descriptors.py`; a test holds the two together). They live in a pool of their own: the
packages of others (tritonclient, tensorflow-serving-api, ...) bring messages of the same names,
and in protobuf's common pool whichever came second could not be imported.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

DESCRIPTORS = "descriptors.binpb"


def _load() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for known in (any_pb2, wrappers_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    compiled = (resources.files("paddlesrv_client.wire") / "protos" / DESCRIPTORS).read_bytes()
    for file in descriptor_pb2.FileDescriptorSet.FromString(compiled).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


POOL = _load()
"""All of them, for gRPC's reflection too."""


def message(full_name: str) -> Any:
    """The class of a message by its full name, e.g. `inference.ModelInferRequest`.

    It is made when the program runs, so that no type checker knows its fields.
    """
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(full_name))
