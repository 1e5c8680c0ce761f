"""A service or a whole server to test against, with real engines, workers and shared memory."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from paddlesrv.engines.base import EngineOptions
from paddlesrv.models.signature import read_signature
from paddlesrv.models.spec import ModelSpec
from paddlesrv.server.scheduler import Limits
from paddlesrv.server.service import ModelSetup, Service
from paddlesrv.tasks.base import Task

LIMITS = Limits(max_batch_size=8, max_delay=0.0, max_queue=1024, timeout=20.0)


def local_spec(directory: Path, name: str, **changes: object) -> ModelSpec:
    """The spec of a model that lies in a directory."""
    signature = read_signature(directory)
    fields: dict[str, object] = {
        "name": name,
        "task": "tensors",
        "format": signature.format,
        "program": signature.program,
        "params": signature.params,
        "inputs": signature.inputs,
        "outputs": signature.outputs,
    }
    return ModelSpec(**(fields | changes))  # type: ignore[arg-type]


def setup(
    spec: ModelSpec,
    root: Path,
    *,
    engine: str = "onnxruntime",
    limits: Limits = LIMITS,
    instances: int = 1,
    pin: bool = False,
    task: Task | None = None,
) -> ModelSetup:
    """How to serve it; one thread, since several servers share the machine in tests."""
    options = EngineOptions(engine=engine, threads=1)  # type: ignore[arg-type]
    return ModelSetup(
        spec=spec,
        root=root,
        task=task,
        options=options,
        instances=instances,
        pin=pin,
        limits=limits,
    )


@contextlib.asynccontextmanager
async def serving(*setups: ModelSetup) -> AsyncIterator[Service]:
    """A loaded service; afterwards nothing of it is left."""
    service = Service()
    try:
        for each in setups:
            service.add(each, load_timeout=60)
        await service.loaded()
        yield service
    finally:
        await service.close()
