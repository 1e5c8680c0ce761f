"""Our own clients in Python; those in other languages are driven by their own modules."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from paddlesrv_client import AsyncClient, Client

from tests.clients.askers.question import LOD, Arrays, Asker, Question
from tests.clients.networks import PADDLE_SERVING


def _offsets(question: Question) -> dict[str, list[int]]:
    found = {name: question.offsets(name) for name in question.tensors}
    return {name: offsets for name, offsets in found.items() if offsets is not None}


def with_offsets(outputs: Any, offsets: Any) -> Arrays:
    """Outputs, and their offsets as tensors beside them."""
    return {**outputs, **{name + LOD: np.int64(each) for name, each in offsets.items()}}


def _client(question: Question, protocol: Any, **how: Any) -> Arrays:
    with Client(question.url, protocol, **how) as client:
        found = client.infer(question.model, question.tensors, lod=_offsets(question))
        return with_offsets(found, found.lod)


def _async_client(question: Question, protocol: Any) -> Arrays:
    async def ask() -> Arrays:
        async with AsyncClient(question.url, protocol) as client:
            found = await client.infer(question.model, question.tensors, lod=_offsets(question))
            return with_offsets(found, found.lod)

    return asyncio.run(ask())


ASKERS = (
    Asker("paddlesrv_client, http", lambda q: _client(q, "http")),
    Asker("paddlesrv_client, grpc", lambda q: _client(q, "grpc")),
    Asker("paddlesrv_client, brpc", lambda q: _client(q, "brpc"), PADDLE_SERVING),
    Asker(
        "paddlesrv_client, brpc, snappy",
        lambda q: _client(q, "brpc", compression="snappy"),
        PADDLE_SERVING,
    ),
    Asker("paddlesrv_client, http, async", lambda q: _async_client(q, "http")),
    Asker("paddlesrv_client, grpc, async", lambda q: _async_client(q, "grpc")),
    Asker("paddlesrv_client, brpc, async", lambda q: _async_client(q, "brpc"), PADDLE_SERVING),
)
