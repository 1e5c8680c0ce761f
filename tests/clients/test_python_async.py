"""The Python client that does not block: the same answers, many at once."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import numpy as np
import pytest
from paddlesrv_client import (
    AsyncClient,
    ConnectionFailed,
    DeadlineExceeded,
    RetryPolicy,
    ServerError,
)

from tests.clients.conftest import PICTURE
from tests.clients.handmade import Stall, handmade
from tests.clients.networks import PADDLE_SERVING, TABLE, echoed
from tests.clients.test_compiled_faults import BUSY, GOOD, X
from tests.server.process import ServerProcess

PROTOCOLS = ("http", "grpc", "brpc")
AT_ONCE = RetryPolicy(attempts=3, first_delay=0, max_delay=0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_many_calls_at_once_each_get_their_own_answer(
    clients_server: ServerProcess, protocol: Any
) -> None:
    sent = [echoed(1 + seed % 3, seed, PADDLE_SERVING) for seed in range(24)]

    async def ask() -> list[Any]:
        async with AsyncClient(clients_server.url, protocol) as client:
            return await asyncio.gather(*(client.infer("narrow", each) for each in sent))

    for each, answer in zip(sent, asyncio.run(ask()), strict=True):
        for name, array in each.items():
            found = answer[name.replace("in_", "out_")]
            assert (found.dtype, found.tobytes()) == (array.dtype, array.tobytes()), name


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_sequences_and_errors_are_as_with_the_client_that_blocks(
    clients_server: ServerProcess, protocol: Any
) -> None:
    async def ask() -> Any:
        async with AsyncClient(clients_server.url, protocol) as client:
            with pytest.raises(ServerError):
                await client.infer("sequences", {"nothing": np.int64([1])})
            words = np.int64([[1], [3]])
            return await client.infer("sequences", {"words": words}, lod={"words": [0, 2]})

    found = asyncio.run(ask())
    name = next(iter(found))
    np.testing.assert_array_equal(found[name], TABLE[[1, 3]])
    assert found.lod[name] == (0, 2)


def test_a_picture_is_predicted_and_readiness_told(clients_server: ServerProcess) -> None:
    async def ask() -> Any:
        async with AsyncClient(clients_server.url) as client:
            assert await client.live()
            await client.wait_ready("colours", 5)
            assert (await client.draw("colours", PICTURE)).startswith(b"\x89PNG")
            return await client.predict("colours", PICTURE, top=1)

    assert asyncio.run(ask()).task == "image-classification"


def test_what_may_pass_is_tried_again() -> None:
    async def ask(url: str) -> Any:
        async with AsyncClient(url, retries=AT_ONCE) as client:
            return await client.infer("m", X)

    with handmade(BUSY, b"", GOOD) as server:
        np.testing.assert_array_equal(asyncio.run(ask(server.url))["y"], np.float32([[3, 4]]))
        assert len(server.asked) == 3


def test_a_silent_server_is_left_at_the_deadline() -> None:
    async def ask(url: str) -> None:
        async with AsyncClient(url) as client:
            with pytest.raises(DeadlineExceeded):
                await client.infer("m", X, timeout=0.3)

    stall = Stall()
    with handmade(stall) as server:
        asyncio.run(ask(server.url))
        assert stall.gone.wait(30)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nobody_listening_is_a_failed_connection(protocol: Any) -> None:
    async def ask(url: str) -> None:
        async with AsyncClient(url, protocol, retries=AT_ONCE) as client:
            with pytest.raises(ConnectionFailed):
                await client.infer("m", X)

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        asyncio.run(ask(f"127.0.0.1:{taken.getsockname()[1]}"))
