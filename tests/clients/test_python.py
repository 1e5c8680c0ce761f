"""The Python client and a real server: what goes out comes back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from paddlesrv_client import Client, NotSupported, ServerError

from tests.clients.conftest import PICTURE
from tests.clients.networks import PADDLE_SERVING, TABLE, echoed
from tests.server.process import ServerProcess

X = np.float32([[1, 2, 3, 4]])
PROTOCOLS = ("http", "grpc", "brpc")


def echo(protocol: str, rows: int) -> tuple[str, dict[str, Any]]:
    """A model that answers what it is asked, and inputs of every type that the protocol has."""
    if protocol == "brpc":
        return "narrow", echoed(rows, numbers=PADDLE_SERVING)
    return "echo", echoed(rows)


def same_bits(found: Any, sent: Any) -> bool:
    return (
        found.dtype == sent.dtype
        and found.shape == sent.shape
        and found.tobytes() == sent.tobytes()
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("rows", [1, 8])
def test_every_type_comes_back_bit_for_bit(
    clients_server: ServerProcess, protocol: Any, rows: int
) -> None:
    model, sent = echo(protocol, rows)
    with Client(clients_server.url, protocol) as client:
        found = client.infer(model, sent)
    assert set(found) == {name.replace("in_", "out_") for name in sent}
    for name, array in sent.items():
        assert same_bits(found[name.replace("in_", "out_")], array), name


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_only_the_outputs_asked_for_come(clients_server: ServerProcess, protocol: Any) -> None:
    with Client(clients_server.url, protocol) as client:
        found = client.infer(*echo(protocol, 2), ["out_float32"])
    assert list(found) == ["out_float32"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_sequences_come_back_with_their_offsets(
    clients_server: ServerProcess, protocol: Any
) -> None:
    words = np.int64([[1], [3], [5]])
    with Client(clients_server.url, protocol) as client:
        found = client.infer("sequences", {"words": words}, lod={"words": [0, 2, 3]})
        other = client.infer("sequences", {"words": words, "words.lod": np.int64([0, 2, 3])})
    name = next(iter(found))
    np.testing.assert_array_equal(found[name], TABLE[[1, 3, 5]])
    assert found.lod[name] == other.lod[name] == (0, 2, 3)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_wrong_tensor_is_a_servers_error_that_names_it(
    clients_server: ServerProcess, protocol: Any
) -> None:
    model, sent = echo(protocol, 1)
    wrong = sent | {"in_int8": np.float64([[1, 2]])}
    with Client(clients_server.url, protocol) as client, pytest.raises(ServerError) as raised:
        client.infer(model, wrong)
    assert "in_int8" in raised.value.message
    assert not raised.value.transient
    assert raised.value.request_id


@pytest.mark.parametrize("compression", ["none", "gzip", "zlib", "snappy"])
def test_brpc_is_compressed_as_asked(clients_server: ServerProcess, compression: str) -> None:
    model, sent = echo("brpc", 3)
    with Client(clients_server.url, "brpc", compression=compression) as client:
        found = client.infer(model, sent)
    assert same_bits(found["out_int64"], sent["in_int64"])


def test_what_brpc_cannot_carry_is_said_before_it_is_sent() -> None:
    with Client("http://127.0.0.1:9", "brpc") as client:
        with pytest.raises(ValueError, match="uint32"):
            client.infer("m", {"x": np.uint32([1])})


@pytest.mark.parametrize("protocol", ["grpc", "brpc"])
def test_calls_that_a_protocol_lacks_say_which_has_them(protocol: Any) -> None:
    with Client("http://127.0.0.1:9", protocol) as client:
        with pytest.raises(NotSupported, match="http"):
            client.predict("m", b"picture")


def test_grpc_tells_what_http_tells_of_a_model(clients_server: ServerProcess) -> None:
    with Client(clients_server.url) as one, Client(clients_server.url, "grpc") as other:
        assert other.metadata("echo").inputs == one.metadata("echo").inputs
        assert other.live()
        assert other.ready("echo")


def test_threads_share_a_brpc_connection(clients_server: ServerProcess) -> None:
    sent = [echoed(2, seed, PADDLE_SERVING) for seed in range(16)]
    with Client(clients_server.url, "brpc") as client, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda each: client.infer("narrow", each), sent))
    for each, answer in zip(sent, found, strict=True):
        assert same_bits(answer["out_int64"], each["in_int64"])


def test_names_may_need_quoting(clients_server: ServerProcess) -> None:
    with Client(clients_server.url) as client:
        inputs = client.metadata("deep&wide").inputs
        side = max(inputs[0].shape[-1], 1)
        answer = client.infer("deep&wide", {inputs[0].name: np.ones((1, side), np.float32)})
    assert answer.model == "deep&wide"


def test_a_picture_is_taken_as_bytes_path_and_list(clients_server: ServerProcess) -> None:
    with Client(clients_server.url) as client:
        by_bytes = client.predict("colours", PICTURE.read_bytes(), top=2)
        by_path = client.predict("colours", PICTURE, top=2)
        both = client.predict("colours", [PICTURE, PICTURE.read_bytes()], top=2)
    assert by_bytes.task == "image-classification"
    assert by_bytes.results == by_path.results
    assert both.results == [by_bytes.result, by_path.result]


def test_a_result_is_drawn_and_a_map_that_is_none_is_refused(
    clients_server: ServerProcess,
) -> None:
    with Client(clients_server.url) as client:
        assert client.draw("colours", PICTURE).startswith(b"\x89PNG")
        with pytest.raises(ServerError, match="class map"):
            client.class_map("colours", PICTURE)


def test_readiness_and_life_are_told(clients_server: ServerProcess) -> None:
    with Client(clients_server.url) as client:
        assert client.live()
        client.wait_ready("echo", 5)
        assert client.ready("echo")
        with pytest.raises(ServerError) as raised:
            client.ready("nothing")
        assert raised.value.status == 404


def test_the_package_of_the_server_has_the_client_too() -> None:
    from paddlesrv import client

    assert client.Client is Client
    with pytest.raises(AttributeError):
        client.nothing  # noqa: B018
