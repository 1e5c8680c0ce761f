"""Paddle Serving's own Python client, 0.9, as its package has it.

Its generated modules want a protobuf of years ago: their messages are made here from the
descriptors that they hold. Its client in C++ (bRPC) is none that today's Python can load.
"""

from __future__ import annotations

import ast
import collections
import collections.abc
import importlib
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tests import packages

_PACKAGE = "paddle_serving_client"
_PROTOS = ("general_model_config", "general_model_service")


def published(name: str, folder: str = "proto") -> descriptor_pb2.FileDescriptorProto:
    """The definitions of a generated module: FOLDER/NAME_pb2.py."""
    source = packages.unpacked("paddle-serving-client") / _PACKAGE / folder / f"{name}_pb2.py"
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.keyword) and node.arg == "serialized_pb":
            # Bytes, or from older generators a text that stands for bytes: _b("...").
            value = node.value.args[0] if isinstance(node.value, ast.Call) else node.value
            assert isinstance(value, ast.Constant)
            data = value.value.encode("latin-1") if isinstance(value.value, str) else value.value
            return descriptor_pb2.FileDescriptorProto.FromString(data)
    raise AssertionError(f"{source} holds no descriptors")


def messages(name: str, folder: str = "proto") -> dict[str, Any]:
    """The classes of the messages of a generated module, by name."""
    pool = descriptor_pool.DescriptorPool()
    file = published(name, folder)
    pool.AddSerializedFile(file.SerializeToString())
    return {
        each.name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{file.package}.{each.name}")
        )
        for each in file.message_type
    }


@contextmanager
def old_client() -> Iterator[Any]:
    """The module `httpclient`, with its class `HttpClient`; afterwards all is as it was."""
    root: Path = packages.unpacked("paddle-serving-client") / _PACKAGE
    before = dict(sys.modules)
    made: dict[str, ModuleType] = {}
    for name, place in ((_PACKAGE, root), (f"{_PACKAGE}.proto", root / "proto")):
        made[name] = ModuleType(name)
        made[name].__path__ = [str(place)]
    for name in _PROTOS:
        module = ModuleType(f"{_PACKAGE}.proto.{name}_pb2")
        vars(module).update(messages(name))
        made[module.__name__] = module
        setattr(made[f"{_PACKAGE}.proto"], f"{name}_pb2", module)
    service = made[f"{_PACKAGE}.proto.general_model_service_pb2"]
    # Its generated stub imports the module above by its bare name.
    made["general_model_service_pb2"] = service
    path = list(sys.path)
    sys.modules.update(made)
    collections.Iterable = collections.abc.Iterable  # type: ignore[attr-defined]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # escapes in its texts that today's Python minds
            module = importlib.import_module(f"{_PACKAGE}.httpclient")
        yield module
    finally:
        del collections.Iterable  # type: ignore[attr-defined]
        sys.path[:] = path
        for name in set(sys.modules) - set(before):
            if name.startswith(_PACKAGE) or name in made:
                del sys.modules[name]
