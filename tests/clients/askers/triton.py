"""Triton's own client, over HTTP and gRPC, in each of its forms."""

from __future__ import annotations

import asyncio
import queue
from typing import Any

import numpy as np
import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as triton_aio
import tritonclient.http as triton_http

from tests.clients.askers.question import NO_HALF, Arrays, Asker, Question
from tests.clients.networks import datatype

SECONDS = 60


def _inputs(kind: Any, question: Question, **how: Any) -> list[Any]:
    made = []
    for name, x in question.inputs.items():
        word = "BYTES" if x.dtype == object else datatype(x.dtype.name)
        made.append(kind(name, list(x.shape), word))
        made[-1].set_data_from_numpy(x, **how)
    return made


def _arrays(question: Question, result: Any) -> Arrays:
    return {name: np.array(result.as_numpy(name)) for name in question.kinds}


def _http(question: Question, binary: bool, coding: str | None = None) -> Arrays:
    client = triton_http.InferenceServerClient(question.address)
    outputs = [triton_http.InferRequestedOutput(n, binary_data=binary) for n in question.kinds]
    try:
        result = client.infer(
            question.model,
            _inputs(triton_http.InferInput, question, binary_data=binary),
            outputs=outputs,
            request_compression_algorithm=coding,
            response_compression_algorithm=coding,
        )
        found = _arrays(question, result)
    finally:
        client.close()
    # What comes as JSON is an array of Python's objects for texts: str, not bytes.
    return {
        name: np.array([t.encode() if isinstance(t, str) else t for t in x.ravel()], object)
        .reshape(x.shape) if x.dtype == object else x
        for name, x in found.items()
    }  # fmt: skip


def json(question: Question) -> Arrays:
    return _http(question, binary=False)


def binary(question: Question) -> Arrays:
    return _http(question, binary=True)


def gzip(question: Question) -> Arrays:
    return _http(question, binary=True, coding="gzip")


def deflate(question: Question) -> Arrays:
    return _http(question, binary=True, coding="deflate")


def sync(question: Question) -> Arrays:
    with triton_grpc.InferenceServerClient(question.address) as client:
        inputs = _inputs(triton_grpc.InferInput, question)
        return _arrays(question, client.infer(question.model, inputs, compression_algorithm="gzip"))


def _told(answers: queue.Queue[tuple[Any, Any]], question: Question) -> Arrays:
    result, error = answers.get(timeout=SECONDS)
    assert error is None, error
    return _arrays(question, result)


def asynchronous(question: Question) -> Arrays:
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    with triton_grpc.InferenceServerClient(question.address) as client:
        inputs = _inputs(triton_grpc.InferInput, question)
        client.async_infer(
            question.model, inputs, lambda result, error: answers.put((result, error))
        )
        return _told(answers, question)


def stream(question: Question) -> Arrays:
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    with triton_grpc.InferenceServerClient(question.address) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        client.async_stream_infer(question.model, _inputs(triton_grpc.InferInput, question))
        return _told(answers, question)


def event_loop(question: Question) -> Arrays:
    async def ask() -> Arrays:
        async with triton_aio.InferenceServerClient(question.address) as client:
            inputs = _inputs(triton_aio.InferInput, question)
            return _arrays(question, await client.infer(question.model, inputs))

    return asyncio.run(ask())


ASKERS = (
    Asker("tritonclient.http, JSON", json, NO_HALF),
    Asker("tritonclient.http, binary", binary),
    Asker("tritonclient.http, gzip", gzip),
    Asker("tritonclient.http, deflate", deflate),
    Asker("tritonclient.grpc, sync", sync),
    Asker("tritonclient.grpc, async", asynchronous),
    Asker("tritonclient.grpc, stream", stream),
    Asker("tritonclient.grpc.aio", event_loop),
)
