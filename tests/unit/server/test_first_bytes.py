"""One port, several protocols: what a connection's first bytes decide, however they are cut."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from paddlesrv.server.connection import TOO_MANY
from paddlesrv.server.connections import Connections
from paddlesrv.server.first_bytes import FirstBytes
from paddlesrv.server.listener import Listener
from paddlesrv.server.relay import PrivateSocket, Relay

SECONDS = 20
BEGINNINGS = {
    b"brpc": b"PRPC\0\0\0\4\0\0\0\2",
    b"http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"http": b"GET / HTTP/1.1\r\n",
}


class Echo(asyncio.Protocol):
    """Says its name, then all that it hears."""

    def __init__(self, name: bytes) -> None:
        self.name = name

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        transport.write(self.name + b":")

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


@contextlib.asynccontextmanager
async def listening(
    connections: Connections, protocol: Callable[[], asyncio.Protocol]
) -> AsyncIterator[int]:
    listener = Listener(connections, protocol)
    bound = socket.create_server(("127.0.0.1", 0))
    bound.setblocking(False)
    await listener.listen(bound)
    try:
        yield bound.getsockname()[1]
    finally:
        listener.abort()
        bound.close()


def by_first_bytes(connections: Connections) -> Callable[[], asyncio.Protocol]:
    return lambda: FirstBytes(
        connections,
        http=lambda: Echo(b"http"),
        brpc=lambda: Echo(b"brpc"),
        http2=lambda: Echo(b"http2"),
    )


async def answer(port: int, parts: list[bytes]) -> bytes:
    """All that is answered to these parts, each sent in a packet of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0)
    writer.write_eof()
    said = await asyncio.wait_for(reader.read(), SECONDS)
    writer.close()
    return said


@settings(max_examples=60)
@given(st.sampled_from(sorted(BEGINNINGS)), st.binary(max_size=40), st.lists(st.integers(0, 60)))
def test_the_first_bytes_decide_wherever_they_are_cut(
    name: bytes, rest: bytes, cuts: list[int]
) -> None:
    sent = BEGINNINGS[name] + rest
    places = sorted({cut for cut in cuts if 0 < cut < len(sent)})
    parts = [sent[a:b] for a, b in zip([0, *places], [*places, len(sent)], strict=True)]

    async def run() -> bytes:
        connections = Connections(max_body=1000, max_connections=9)
        async with listening(connections, by_first_bytes(connections)) as port:
            return await answer(port, parts)

    assert asyncio.run(run()) == name + b":" + sent


def test_what_is_no_other_protocol_is_http() -> None:
    async def run() -> None:
        connections = Connections(max_body=1000, max_connections=9)
        async with listening(connections, by_first_bytes(connections)) as port:
            for word in (b"PR", b"PRPX", b"PUT /", b"\0\0\0\0", b"PRI", b"P"):
                said = await answer(port, [word + b"OST"])
                assert said == b"http:" + word + b"OST"

    asyncio.run(run())


def test_a_connection_over_the_limit_is_refused_before_it_has_said_a_word() -> None:
    async def run() -> None:
        connections = Connections(max_body=1000, max_connections=1)
        async with listening(connections, by_first_bytes(connections)) as port:
            _, silent = await asyncio.open_connection("127.0.0.1", port)
            assert await answer(port, []) == TOO_MANY
            silent.close()

    asyncio.run(run())


@contextlib.asynccontextmanager
async def relayed(inner: Callable[[], asyncio.Protocol]) -> AsyncIterator[tuple[int, Connections]]:
    """A port whose connections are relayed to a server on a private socket."""
    connections = Connections(max_body=1000, max_connections=9)
    private = PrivateSocket()
    server = await connections.loop.create_unix_server(inner, private.path)
    private.hide()
    try:
        async with listening(connections, lambda: Relay(connections, private)) as port:
            yield port, connections
    finally:
        server.close()
        private.close()


def test_a_relayed_connection_is_as_if_there_were_no_relay() -> None:
    sent = bytes(range(256)) * 40_000  # more than any buffer on the way holds

    async def run() -> bytes:
        async with relayed(lambda: Echo(b"inside")) as (port, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writing = asyncio.ensure_future(_write(writer, sent))
            said = await asyncio.wait_for(reader.readexactly(len(b"inside:") + len(sent)), SECONDS)
            await writing
            writer.close()
            return said

    assert asyncio.run(run()) == b"inside:" + sent


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


def test_a_client_that_does_not_read_stops_what_is_inside() -> None:
    written = 0

    class Flood(asyncio.Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            self.transport = transport
            self.resume_writing()

        def pause_writing(self) -> None:
            paused.set()

        def resume_writing(self) -> None:
            nonlocal written
            while not paused.is_set() and written < 1 << 30:
                self.transport.write(bytes(1 << 16))
                written += 1 << 16

    paused = asyncio.Event()

    async def run() -> None:
        async with relayed(Flood) as (port, _):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.wait_for(paused.wait(), SECONDS)
            writer.close()

    asyncio.run(run())
    assert written < 64 << 20


def test_when_the_client_goes_its_connection_inside_goes_too() -> None:
    gone = asyncio.Event()

    class Watch(asyncio.Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            transport.write(b"x")

        def connection_lost(self, exc: Exception | None) -> None:
            gone.set()

    async def run() -> None:
        async with relayed(Watch) as (port, connections):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.readexactly(1) == b"x"
            writer.transport.abort()
            await asyncio.wait_for(gone.wait(), SECONDS)
            await asyncio.wait_for(_emptied(connections), SECONDS)

    asyncio.run(run())


async def _emptied(connections: Connections) -> None:
    while connections.open:
        await asyncio.sleep(0)


def test_a_private_socket_leaves_nothing_on_the_disk() -> None:
    async def run() -> None:
        private = PrivateSocket()
        directory = Path(private.path).parent
        server = await asyncio.get_running_loop().create_unix_server(
            lambda: Echo(b"here"), private.path
        )
        assert directory.stat().st_mode & 0o077 == 0
        private.hide()
        assert not directory.exists()
        for _ in range(2):
            reader, writer = await asyncio.open_unix_connection(private.address)
            assert await reader.readexactly(5) == b"here:"
            writer.close()
        server.close()
        private.close()

    asyncio.run(run())


def test_a_private_socket_that_was_never_used_goes_as_well() -> None:
    private = PrivateSocket()
    directory = Path(private.path).parent
    private.close()
    assert not directory.exists()
