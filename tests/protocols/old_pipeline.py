"""Paddle Serving's own pipeline client, 0.9, as its package has it."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from tests import packages
from tests.protocols.old_client import messages

_PACKAGE = "paddle_serving_client"
_PROTO = f"{_PACKAGE}.pipeline.proto"
MODULE = ("pipeline_service", "pipeline/proto")
"""The generated module with its messages."""


@contextmanager
def old_pipeline_client(address: str) -> Iterator[Any]:
    """A connected `PipelineClient`; what it prints is dropped, and afterwards all is as it was."""
    root = packages.unpacked("paddle-serving-client") / _PACKAGE
    before = dict(sys.modules)
    made: dict[str, ModuleType] = {}
    for name, place in (
        (_PACKAGE, root),
        (f"{_PACKAGE}.pipeline", root / "pipeline"),
        (_PROTO, root / "pipeline" / "proto"),
    ):
        made[name] = ModuleType(name)
        made[name].__path__ = [str(place)]
    module = ModuleType(f"{_PROTO}.pipeline_service_pb2")
    vars(module).update(messages(*MODULE))
    made[module.__name__] = module
    vars(made[_PROTO])["pipeline_service_pb2"] = module
    # The generated stub imports the module above by one of these names.
    made["pipeline_service_pb2"] = module
    # All that the client takes from here is a number it does not use; the rest wants a server.
    channel = ModuleType(f"{_PACKAGE}.pipeline.channel")
    vars(channel)["ChannelDataErrcode"] = None
    made[channel.__name__] = channel
    sys.modules.update(made)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            client = importlib.import_module(f"{_PACKAGE}.pipeline.pipeline_client")
            connected = client.PipelineClient()
            connected.connect([address])
            yield connected
            connected._channel.close()
    finally:
        for name in set(sys.modules) - set(before):
            if name.startswith(_PACKAGE) or name in made:
                del sys.modules[name]
