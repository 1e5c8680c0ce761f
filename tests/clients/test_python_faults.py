"""The Python client and servers that do wrong: a clear error, in time, never a wrong number."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paddlesrv_client import (
    Client,
    ConnectionFailed,
    DeadlineExceeded,
    MalformedAnswer,
    RetryPolicy,
    ServerError,
)
from paddlesrv_client.errors import PaddlesrvClientError
from paddlesrv_client.open_inference import HttpAnswer, HttpCodec
from paddlesrv_client.tensors import prepare

from tests.clients.handmade import Stall, handmade, response, tensors
from tests.clients.test_compiled_faults import BUSY, DAMAGED, FLOATS, GOOD, NOT_READY, X, Y

AT_ONCE = RetryPolicy(attempts=3, first_delay=0, max_delay=0)


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_answer_is_said_to_be_one(damage: str) -> None:
    with handmade(DAMAGED[damage]) as server, Client(server.url, timeout=30) as client:
        with pytest.raises(PaddlesrvClientError) as raised:
            client.infer("m", X)
    assert isinstance(raised.value, MalformedAnswer | ConnectionFailed | ServerError)


@pytest.mark.parametrize("first", [BUSY, NOT_READY, b""], ids=["busy", "not ready", "closed"])
def test_what_may_pass_is_tried_again(first: bytes) -> None:
    with handmade(first, first, GOOD) as server, Client(server.url, retries=AT_ONCE) as client:
        np.testing.assert_array_equal(client.infer("m", X)["y"], np.float32([[3, 4]]))
        assert len(server.asked) == 3


def test_no_more_attempts_are_made_than_allowed() -> None:
    with handmade(BUSY) as server, Client(server.url, retries=AT_ONCE) as client:
        with pytest.raises(ServerError) as raised:
            client.infer("m", X)
        assert len(server.asked) == 3
    assert (raised.value.status, raised.value.code, raised.value.hint) == (
        429,
        "overloaded",
        "wait",
    )


def test_a_server_that_wants_more_time_than_there_is_is_not_asked_again() -> None:
    later = response(b"", "503 Service Unavailable", retry_after=3600)
    with handmade(later, GOOD) as server, Client(server.url, retries=AT_ONCE) as client:
        with pytest.raises(ServerError, match="503"):
            client.infer("m", X, timeout=30)
        assert len(server.asked) == 1


def test_a_mistake_is_not_tried_again() -> None:
    wrong = response(b'{"error": "no such input"}', "400 Bad Request", "application/json")
    with handmade(wrong, GOOD) as server, Client(server.url, retries=AT_ONCE) as client:
        with pytest.raises(ServerError, match="no such input"):
            client.infer("m", X)
        assert len(server.asked) == 1


def test_a_silent_server_is_left_at_the_deadline() -> None:
    stall = Stall()
    with handmade(stall) as server, Client(server.url) as client:
        with pytest.raises(DeadlineExceeded):
            client.infer("m", X, timeout=0.3)
        assert stall.gone.wait(30)
        assert len(server.asked) == 1


def test_the_deadline_goes_to_the_server_and_shrinks() -> None:
    with handmade(GOOD) as server, Client(server.url) as client:
        client.infer("m", X, timeout=7)
    asked = server.asked[0]
    said = json.loads(asked.body[: int(asked.headers["inference-header-content-length"])])
    assert 0 < said["parameters"]["timeout"] <= 7_000_000


def test_headers_of_the_client_go_with_each_request_and_compression_only_if_asked_for() -> None:
    with handmade(GOOD) as server, Client(server.url, headers={"X-Team": "a"}) as client:
        client.infer("m", X)
        client.infer("m", X)
    assert [asked.headers["x-team"] for asked in server.asked] == ["a", "a"]
    assert server.asked[0].headers["accept-encoding"] == "identity"


def test_a_server_that_drips_is_left_at_the_deadline() -> None:
    stop = threading.Event()

    def drip() -> None:
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
            while not stop.wait(0.02):
                connection.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=drip, daemon=True).start()
        with Client(f"127.0.0.1:{listening.getsockname()[1]}") as client:
            with pytest.raises(DeadlineExceeded):
                client.infer("m", X, timeout=0.5)
        stop.set()


def test_nobody_listening_is_a_failed_connection_and_no_life() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with Client(f"127.0.0.1:{taken.getsockname()[1]}", retries=AT_ONCE) as client:
            assert not client.live()
            with pytest.raises(ConnectionFailed):
                client.infer("m", X)


@pytest.mark.parametrize("timeout", [0, -1])
def test_a_time_that_is_none_is_refused(timeout: float) -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(ValueError, match="timeout"):
        client.infer("m", X, timeout=timeout)


@given(data=st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_damage_to_an_answer_is_survived(data: Any) -> None:
    whole = tensors(Y, blobs=FLOATS)
    head, _, body = whole.partition(b"\r\n\r\n")
    length = head.decode().lower().split("inference-header-content-length: ")[1].split("\r\n")[0]
    damaged = bytearray(body)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(body)))])
    answer = HttpAnswer(200, {"inference-header-content-length": length}, cut)
    call = HttpCodec().infer("m", prepare(X, None), (), None, 1.0)
    try:
        found = call.read(answer)
    except MalformedAnswer:
        return
    assert all(isinstance(array, np.ndarray) for array in found.values())
