"""Clients that go, send halves, dribble, or wait no longer: each over every protocol.

What they cost is read from `/metrics`; that nobody else is held up, by asking.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator

import numpy as np
import pytest

from tests.protocols import brpc_client
from tests.server import wires
from tests.server.process import ServerProcess, serve
from tests.server.wires import PROTOCOLS, connect, metric, read_until, requests, wait_for
from tests.standins import nets

SLOW = np.ones((1, 4), np.float32)
CALLS = 8


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    root = tmp_path_factory.mktemp("misbehave")
    nets.write_slow(root / "slow", rounds=200)
    nets.write_identity(root / "small", "float32", 3)
    models = [str(root / name) for name in ("slow", "small")]
    arguments = ("--engine", "onnxruntime", "--max-batch-size", "1", "--max-body", "1")
    with serve(*models, *arguments, home=root) as running:
        yield running


def rows(server: ServerProcess, model: str) -> float:
    return metric(server, "paddlesrv_batch_rows_sum", model=model)


def idle(server: ServerProcess, model: str) -> None:
    wait_for(server, 0, "paddlesrv_inflight", model=model)


@pytest.fixture
def busy(server: ServerProcess) -> Iterator[ServerProcess]:
    """One request runs and the next is made; what comes now waits in the queue."""
    idle(server, "slow")
    with contextlib.ExitStack() as stack:
        holding = [stack.enter_context(connect(server)) for _ in range(2)]
        for connection in holding:
            connection.sendall(wires.http("slow", SLOW))
        wait_for(server, 2, "paddlesrv_inflight", model="slow")
        yield server
        for connection in holding:
            assert b" 200 OK" in read_until(connection, SLOW.tobytes())
    idle(server, "slow")


def other_is_answered(server: ServerProcess) -> None:
    """Somebody else asks, over each protocol."""
    x = np.array([[1, 2, 3]], np.float32)
    for protocol in ("http", "grpc"):
        with connect(server) as connection:
            connection.sendall(requests(protocol, "small", x))
            read_until(connection, x.tobytes())
    with brpc_client.Connection(server.url, 60) as other:
        assert other.call(brpc_client.rows(x)).outputs


@pytest.mark.parametrize("how", ["closes", "resets"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_client_that_goes_is_not_computed_and_frees_its_place(
    busy: ServerProcess, protocol: str, how: str
) -> None:
    before = rows(busy, "slow")
    gone = connect(busy)
    gone.sendall(requests(protocol, "slow", SLOW, CALLS))
    # A connection of HTTP/1.1 is answered one request after another.
    taken = 1 if protocol == "http" else CALLS
    wait_for(busy, 2 + taken, "paddlesrv_inflight", model="slow")
    if how == "resets":
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    gone.close()
    wait_for(busy, 2, "paddlesrv_inflight", model="slow")
    wait_for(busy, 0, "paddlesrv_queue_depth", model="slow")
    # Whoever comes next is computed; all that came before would have been computed first.
    with connect(busy) as last:
        last.sendall(wires.http("slow", SLOW))
        read_until(last, SLOW.tobytes())
    assert rows(busy, "slow") - before <= 2 + 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_request_that_expires_in_the_queue_is_told_so_and_not_computed(
    busy: ServerProcess, protocol: str
) -> None:
    before = rows(busy, "slow")
    with connect(busy) as hurried:
        hurried.sendall(requests(protocol, "slow", SLOW, timeout=0.002))
        if protocol == "http":
            assert b"HTTP/1.1 504 " in read_until(hurried, b"deadline")
        elif protocol == "grpc":
            read_until(hurried, b"grpc-status\x014")
        else:
            read_until(hurried, b"PRPC")
    wait_for(busy, 2, "paddlesrv_inflight", model="slow")
    with connect(busy) as last:
        last.sendall(wires.http("slow", SLOW))
        read_until(last, SLOW.tobytes())
    assert rows(busy, "slow") - before <= 2 + 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_request_may_come_byte_by_byte(server: ServerProcess, protocol: str) -> None:
    with connect(server) as dribbling:
        for byte in requests(protocol, "slow", SLOW):
            dribbling.sendall(bytes([byte]))
        if protocol == "brpc":
            read_until(dribbling, b"PRPC")
        else:
            read_until(dribbling, SLOW.tobytes())
    idle(server, "slow")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_half_a_request_holds_nobody_up_and_leaves_nothing_behind(
    server: ServerProcess, protocol: str
) -> None:
    idle(server, "slow")
    whole = requests(protocol, "slow", SLOW)
    before = rows(server, "slow")
    with contextlib.ExitStack() as stack:
        for place in {1, 2, 4, 11, 12, 13, 24, 40, 60, 100, len(whole) // 2, len(whole) - 1}:
            stack.enter_context(connect(server)).sendall(whole[: min(place, len(whole) - 1)])
        other_is_answered(server)
        # HTTP's head is enough for a model's request to be counted; nothing of it is computed.
        assert rows(server, "slow") == before
    idle(server, "slow")
    other_is_answered(server)
    assert rows(server, "slow") == before
