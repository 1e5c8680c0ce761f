"""The generator on servers that do as they are told."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from itertools import pairwise

import grpc
import grpc.aio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paddlesrv_client.wire.baidu_std import RpcMeta, encode

from paddlesrv.bench.load import Job, Result, run
from paddlesrv.bench.wires import FrameWire, HttpWire, Sent, WireError

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
BUSY = b'HTTP/1.1 429 Too Many Requests\r\ncontent-length: 17\r\n\r\n{"error": "full"}'
SENT = Sent("http", b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n")
ERROR_META = RpcMeta(correlation_id=1)
ERROR_META.response.error_code = 2004
ERROR_META.response.error_text = "too much"


class Answers(asyncio.Protocol):
    """Says what a function makes of each request's number; None closes, b"" never answers."""

    count = 0

    def __init__(self, answer: Callable[[int], bytes | None]) -> None:
        self.answer = answer

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        Answers.count += 1
        said = self.answer(Answers.count)
        if said is None:
            self.transport.close()
        else:
            self.transport.write(said)


def load(answer: Callable[[int], bytes | None], **fields) -> Result:
    """A load on such a server."""

    async def both() -> Result:
        Answers.count = 0
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Answers(answer), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        values = {"sent": SENT, "connections": 2, "seconds": 20.0, "requests": 10} | fields
        async with server:
            return await run(Job(host="127.0.0.1", port=port, **values))

    return asyncio.run(both())


def test_so_many_requests_are_answered():
    found = load(lambda _: GOOD)
    assert (len(found.times), found.errors) == (10, {})
    assert found.times == sorted(found.times)


def test_refusals_are_counted_by_their_kind_and_one_is_told():
    found = load(lambda n: BUSY if n % 2 else GOOD)
    assert (len(found.times), found.errors) == (5, {"HTTP 429": 5})
    assert found.said == '{"error": "full"}'


def test_a_connection_that_the_server_closes_is_an_error_and_made_again():
    found = load(lambda n: None if n == 3 else GOOD)
    assert (len(found.times), found.errors) == (9, {"the server closed the connection": 1})


def test_no_answer_is_an_error_after_the_timeout():
    found = load(lambda n: b"" if n == 3 else GOOD, timeout=0.2)
    assert (len(found.times), found.errors) == (9, {"no answer within 0.2 s": 1})


def test_another_protocol_is_an_error():
    found = load(lambda _: b"SSH-2.0-x\r\n\r\n", requests=2)
    assert found.errors == {"this is no HTTP/1.1": 2}


def test_where_nobody_listens_each_try_is_an_error():
    async def nowhere() -> Result:
        return await run(
            Job(host="127.0.0.1", port=1, sent=SENT, connections=1, seconds=20, requests=1)
        )

    found = asyncio.run(nowhere())
    assert not found.times
    assert list(found.errors) == ["not connected: Connection refused"]


def test_an_open_loop_counts_from_when_a_request_was_due():
    # One connection and a server that answers the first request only when the sixth is due:
    # a closed loop would have seen one slow answer, those who came meanwhile waited as well.
    async def both() -> Result:
        loop = asyncio.get_running_loop()

        class Stalled(asyncio.Protocol):
            count = 0

            def connection_made(self, transport):
                self.transport = transport

            def data_received(self, data):
                Stalled.count += 1
                pause = 0.5 if Stalled.count == 1 else 0.0
                loop.call_later(pause, self.transport.write, GOOD)

        server = await loop.create_server(Stalled, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            return await run(
                Job(host="127.0.0.1", port=port, sent=SENT, connections=1, seconds=20, rate=50.0,
                    requests=10)
            )  # fmt: skip

    found = asyncio.run(both())
    assert len(found.times) == 10
    assert sum(time > 0.1 for time in found.times) >= 3
    assert found.late > 0


def test_an_open_loop_ends_when_its_time_is_up():
    # At such a rate some request is due between the last look at the clock and the end.
    found = load(lambda _: GOOD, rate=20_000.0, requests=0, seconds=0.2, timeout=15.0)
    assert found.times
    assert found.seconds < 15.0


def test_requests_of_an_open_loop_that_were_never_sent_are_errors():
    found = load(lambda _: b"", connections=1, rate=100.0, requests=0, seconds=0.3, timeout=0.5)
    assert not found.times
    assert found.errors["no answer within 0.5 s"] == 1
    assert found.errors["not sent: no connection was free"] > 5


def test_frames_with_a_body_are_good_and_those_without_tell_why():
    good = encode(RpcMeta(correlation_id=1), b"body")
    bad = encode(ERROR_META, b"")
    sent = Sent("frames", good)
    found = load(lambda n: bad if n % 5 == 0 else good, sent=sent)
    assert (len(found.times), found.errors) == (8, {"bRPC 2004": 2})
    assert found.said == "too much"


@pytest.mark.parametrize("size", [1, 100_000, 3_000_000])
def test_grpc_is_spoken_with_a_server_of_its_own(size: int) -> None:
    async def both() -> Result:
        async def echo(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            if request[:1] == b"!":
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")
            return request

        server = grpc.aio.server()
        handlers = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("x.Y", handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            results = []
            for first in (b"a", b"!"):
                sent = Sent("grpc", first * size, "/x.Y/Echo", f"127.0.0.1:{port}")
                job = Job(host="127.0.0.1", port=port, sent=sent, connections=3, seconds=60,
                          requests=30)  # fmt: skip
                results.append(await run(job))
            good, bad = results
            assert (len(good.times), good.errors) == (30, {})
            assert (len(bad.times), bad.errors) == (0, {"gRPC error": 30})
            return good
        finally:
            await server.stop(0)

    asyncio.run(both())


@settings(max_examples=50)
@given(cuts=st.lists(st.integers(0, 80), max_size=6), status=st.sampled_from([200, 404, 503]))
def test_an_answer_may_come_in_any_pieces(cuts, status):
    body = b'{"a": 1}'
    whole = b"HTTP/1.1 %d X\r\na: b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)
    bounds = sorted({0, len(whole), *(min(c, len(whole)) for c in cuts)})
    wire = HttpWire(b"x")
    outcomes = [wire.feed(whole[a:b])[0] for a, b in pairwise(bounds)]
    assert [o is not None for o in outcomes] == [False] * (len(outcomes) - 1) + [True]
    last = outcomes[-1]
    assert last is not None
    assert last.error == ("" if status == 200 else f"HTTP {status}")


def test_bytes_that_are_no_frame_are_refused():
    with pytest.raises(WireError, match="no bRPC"):
        FrameWire(b"").feed(struct.pack("!4sII", b"HTTP", 0, 0))
