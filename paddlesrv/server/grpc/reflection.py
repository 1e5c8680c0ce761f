"""gRPC's reflection: tools such as grpcurl ask the server what it offers, and in which form.

Two versions are served, of the same form but for their names: older tools know one of them only.
"""

from __future__ import annotations

from collections.abc import Iterable

import grpc
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha._async import ReflectionServicer
from paddlesrv_client.wire.messages import POOL

from paddlesrv.server.grpc.calls import Handlers

_ALPHA = "grpc.reflection.v1alpha"
_STABLE = "grpc.reflection.v1"
NAMES = tuple(f"{package}.ServerReflection" for package in (_ALPHA, _STABLE))


def handlers(services: Iterable[str]) -> Handlers:
    """What answers the one method of either version; `services` are all that are offered."""
    for package in (_ALPHA, _STABLE):
        POOL.AddSerializedFile(_file(package))
    servicer = ReflectionServicer(services, pool=POOL)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return {"ServerReflectionInfo": handler}


def _file(package: str) -> bytes:
    """The definition of the service itself, under a package's name."""
    file = descriptor_pb2.FileDescriptorProto.FromString(reflection_pb2.DESCRIPTOR.serialized_pb)
    old, new = f".{_ALPHA}.", f".{package}."
    file.package, file.name = package, f"{package.replace('.', '/')}/reflection.proto"
    for kind in file.message_type:
        for field in kind.field:
            if field.type_name:
                field.type_name = field.type_name.replace(old, new)
    for method in file.service[0].method:
        method.input_type = method.input_type.replace(old, new)
        method.output_type = method.output_type.replace(old, new)
    return file.SerializeToString()
