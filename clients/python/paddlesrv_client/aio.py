"""The client that does not block."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

from paddlesrv_client.client import POLL_SECONDS
from paddlesrv_client.connect import Protocol, connect_async
from paddlesrv_client.errors import (
    ConnectionFailed,
    DeadlineExceeded,
    PaddlesrvClientError,
    ServerError,
)
from paddlesrv_client.items import Item, predict_input
from paddlesrv_client.protocol import Call
from paddlesrv_client.results import InferResult, ModelMetadata, Prediction
from paddlesrv_client.retries import Attempts, RetryPolicy
from paddlesrv_client.tensors import prepare

T = TypeVar("T")


class AsyncClient:
    """One server, for one event loop. To be closed, or used in an `async with`.

    Its calls are those of `Client`; any number of them may run at once.

    Args:
        url: Where it listens, e.g. `http://127.0.0.1:9393`; with https, TLS.
        protocol: What is spoken: "http", "grpc" (needs grpcio) or "brpc". A paddlesrv server
            speaks all of them on one port.
        timeout: Seconds that a call may take, with all its attempts.
        retries: How a call is tried again after what may pass.
        headers: Sent with each request, such as `{"authorization": "Bearer KEY"}`; metadata over
            gRPC. Over bRPC that key alone is sent.
        verify: False: any certificate is taken (not over gRPC); a path: of certificates to trust.
        compression: Of bRPC's messages: "none", "gzip", "zlib", or "snappy" (needs cramjam).

    Raises:
        ValueError: the address or an option cannot be meant so.
    """

    def __init__(
        self,
        url: str,
        protocol: Protocol = "http",
        *,
        timeout: float = 60.0,
        retries: RetryPolicy | None = None,
        headers: Mapping[str, str] | None = None,
        verify: bool | str = True,
        compression: str = "none",
    ) -> None:
        self._timeout = timeout
        self._retries = retries or RetryPolicy()
        self._codec, self._transport = connect_async(
            url, protocol, dict(headers or {}), verify, compression
        )

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, Any],
        outputs: Sequence[str] = (),
        *,
        lod: Mapping[str, Sequence[int]] | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> InferResult:
        """A model's outputs for these inputs.

        Args:
            model: The model's name. bRPC does not carry it: there the server finds the model that
                has these inputs.
            inputs: Names to arrays, of any type that the model takes; texts as arrays of str or
                bytes.
            outputs: The outputs that are wanted; all, if none is named.
            lod: For inputs whose rows belong to sequences: where each begins and the last ends.
                It may as well be an input, `NAME.lod`.
            request_id: An id for the request, which is answered with the result.
            timeout: Seconds for this call in place of the client's.

        Raises:
            PaddlesrvClientError: there is no answer; its kind says why.
            ValueError: the inputs cannot be sent.
        """
        tensors = prepare(inputs, lod)
        return await self._ask(
            lambda left: self._codec.infer(model, tensors, tuple(outputs), request_id, left),
            timeout,
        )

    async def predict(
        self, model: str, item: Item, *, timeout: float | None = None, **options: Any
    ) -> Prediction:
        """A task model's answer (HTTP only).

        Args:
            model: The model's name.
            item: A picture (the bytes of its file, or its path), a text, features (a list of
                numbers, or a mapping), or a list of several.
            timeout: Seconds for this call in place of the client's.
            options: The task's: `top`, `threshold`, `tokens`.

        Raises:
            PaddlesrvClientError: there is no answer; its kind says why.
            OSError: the picture cannot be read.
        """
        told = await asyncio.to_thread(predict_input, item, options)
        return await self._ask(lambda _: self._codec.predict(model, told), timeout)

    async def draw(
        self, model: str, item: Item, *, timeout: float | None = None, **options: Any
    ) -> bytes:
        """The picture with the result painted on it, as a PNG file; else as `predict`."""
        told = await asyncio.to_thread(predict_input, item, options)
        return await self._ask(lambda _: self._codec.picture(model, told, "draw"), timeout)

    async def class_map(
        self, model: str, item: Item, *, timeout: float | None = None, **options: Any
    ) -> bytes:
        """A PNG file whose pixels' values are their classes' numbers; else as `predict`."""
        told = await asyncio.to_thread(predict_input, item, options)
        return await self._ask(lambda _: self._codec.picture(model, told, "map"), timeout)

    async def metadata(self, model: str, *, timeout: float | None = None) -> ModelMetadata:
        """A model's inputs and outputs (HTTP and gRPC)."""
        return await self._ask(lambda _: self._codec.metadata(model), timeout)

    async def ready(self, model: str, *, timeout: float | None = None) -> bool:
        """Whether a model would answer now (HTTP and gRPC).

        Raises:
            ServerError: the server does not serve it.
        """
        return await self._ask(lambda _: self._codec.ready(model), timeout)

    async def live(self, *, timeout: float | None = None) -> bool:
        """Whether the server answers; False if nobody listens."""
        try:
            return await self._ask(lambda _: self._codec.live(), timeout, RetryPolicy(1))
        except (ConnectionFailed, DeadlineExceeded):
            return False

    async def wait_ready(self, model: str, seconds: float) -> None:
        """Wait until a model would answer; a server that is not there yet is waited for too.

        Raises:
            DeadlineExceeded: it did not become ready in that time.
            ServerError: the server does not serve it.
        """
        end = time.monotonic() + seconds
        while not await self._is_ready(model, max(end - time.monotonic(), POLL_SECONDS)):
            if time.monotonic() + POLL_SECONDS >= end:
                raise DeadlineExceeded(f"{model} was not ready within {seconds:g} s")
            await asyncio.sleep(POLL_SECONDS)

    async def _is_ready(self, model: str, left: float) -> bool:
        try:
            return await self._ask(lambda _: self._codec.ready(model), left, RetryPolicy(1))
        except (ConnectionFailed, DeadlineExceeded):
            return False
        except ServerError as error:
            if error.transient:
                return False
            raise

    async def _ask(
        self,
        make: Callable[[float], Call[T]],
        timeout: float | None,
        retries: RetryPolicy | None = None,
    ) -> T:
        attempts = Attempts(retries or self._retries, self._timeout if timeout is None else timeout)
        while True:
            left = attempts.begin()
            call = make(left)
            try:
                return call.read(await self._transport.send(call.request, left))
            except PaddlesrvClientError as error:
                wait = attempts.pause(error)
            await asyncio.sleep(wait)
