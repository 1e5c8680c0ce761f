"""The compiled clients and servers that do wrong: clear errors, in time, never a wrong number."""

from __future__ import annotations

import gzip
import json
import re
import socket
import struct
import time
from email.utils import formatdate
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

from paddlesrv.server.protocols import open_inference
from tests.clients.driver import Driver, Refused
from tests.clients.handmade import Handmade, Stall, handmade, response, tensors

X = {"x": np.float32([[1, 2]])}
Y = {"name": "y", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}}
FLOATS = np.float32([3, 4]).tobytes()
GOOD = tensors(Y, blobs=FLOATS)
BUSY = response(
    b'{"error": "the queue is full", "code": "overloaded", "hint": "wait"}',
    "429 Too Many Requests",
    "application/json",
    retry_after=0,
)
NOT_READY = response(b"", "503 Service Unavailable")


def refusal(driver: Driver, client: dict[str, Any] | str, **more: Any) -> dict[str, Any]:
    """What the driver tells of a call that must fail."""
    with pytest.raises(Refused) as refused:
        driver.infer(client, "m", X, **more)
    return refused.value.told


def patient(server: Handmade, **more: Any) -> dict[str, Any]:
    """Settings of a client that tries three times, without waits, and has a minute."""
    return {"url": server.url, "attempts": 3, "timeout_ms": 60_000} | more


def binary(size: Any, shape: Any = (1, 2), datatype: str = "FP32", **more: Any) -> dict[str, Any]:
    parameters = {"binary_data_size": size}
    told = {"name": "y", "datatype": datatype, "shape": list(shape), "parameters": parameters}
    return told | more


def plain(data: Any, shape: Any = (2,), datatype: str = "INT32") -> dict[str, Any]:
    return {"name": "y", "datatype": datatype, "shape": shape, "data": data}


DAMAGED = {
    "cut bytes": tensors(Y, blobs=FLOATS[:7]),
    "bytes too many": tensors(Y, blobs=FLOATS + b"x"),
    "size beyond the shape": tensors(binary(12), blobs=FLOATS + b"1234"),
    "size below the shape": tensors(binary(4), blobs=b"1234"),
    "size negative": tensors(binary(-8), blobs=FLOATS),
    "size of 64 bits": tensors(binary(1 << 62), blobs=FLOATS),
    "size beyond 64 bits": tensors(binary(1 << 70), blobs=FLOATS),
    "size a text": tensors(binary("8"), blobs=FLOATS),
    "size and data": tensors(binary(8, data=[1, 2]), blobs=FLOATS),
    "shape negative": tensors(binary(8, [-1, -2]), blobs=FLOATS),
    "shape too large": tensors(binary(8, [1 << 40, 1 << 40]), blobs=FLOATS),
    "shape no list": tensors(plain([1, 2], 2)),
    "shape of fractions": tensors(binary(8, [1.0, 2.0]), blobs=FLOATS),
    "no shape": tensors({"name": "y", "datatype": "FP32", "data": [1]}),
    "no name": tensors({"datatype": "FP32", "shape": [1], "data": [1]}),
    "unknown type": tensors(binary(8, datatype="COMPLEX64"), blobs=FLOATS),
    "the same twice": tensors(Y, Y, blobs=FLOATS * 2),
    "strings cut": tensors(binary(7, [1], "BYTES"), blobs=b"\x04\0\0\0abc"),
    "strings too many": tensors(binary(8, [1], "BYTES"), blobs=b"\0\0\0\0" * 2),
    "strings too long": tensors(binary(4, [1], "BYTES"), blobs=b"\xff\xff\xff\xff"),
    "values too few": tensors(plain([1])),
    "values fewer by far": tensors(plain([1], [1 << 30])),
    "values too many": tensors(plain([1, [2, 3]])),
    "values of another kind": tensors(plain(["1", "2"])),
    "values out of range": tensors(plain([1, 1 << 31])),
    "values with fractions": tensors(plain([1, 2.5])),
    "neither size nor data": tensors({"name": "y", "datatype": "FP32", "shape": [1]}),
    "outputs no list": response(b'{"model_name": "m", "outputs": 1}'),
    "no outputs": response(b'{"model_name": "m"}'),
    "an empty body": response(b""),
    "JSON cut": response(b'{"model_name": "m", "outputs": ['),
    "JSON deep": response(b"[" * 100_000),
    "no UTF-8": response(b'{"model_name": "\xff", "outputs": []}'),
    "header no number": response(b"{}", inference_header_content_length="two"),
    "header too large": response(b"{}", inference_header_content_length=3),
    "header negative": response(b"{}", inference_header_content_length=-1),
    "header of 70 bits": response(b"{}", inference_header_content_length=1 << 70),
    "a page of a proxy": response(b"<html>Please log in</html>", kind="text/html"),
    "gzip that is none": response(b"not gzip", content_encoding="gzip"),
    "an unknown coding": response(b"{}", content_encoding="br"),
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_answer_is_said_to_be_one(what: str, driver: Driver) -> None:
    with handmade(DAMAGED[what]) as server:
        told = refusal(driver, patient(server))
        assert told["kind"] == "malformed", told
        assert len(told["message"]) > 20
        assert len(server.asked) == 1, "it was asked again, though the same would come"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_to_an_answer_does_more_than_fail(data: st.DataObject, driver: Driver) -> None:
    head, _, body = tensors(
        Y, binary(13, [2], "BYTES", name="s"), plain([1, 2]) | {"name": "z"},
        blobs=FLOATS + b"\x05\0\0\0abcde" + b"\0\0\0\0",
    ).partition(b"\r\n\r\n")  # fmt: skip
    damaged = bytearray(body)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with handmade(head + b"\r\n\r\n" + bytes(damaged)) as server:
        try:
            answer = driver.infer(server.url, "m", X)
        except Refused as refused:
            kind = refused.told["kind"]
        else:
            kind = "answer"
            assert all(isinstance(each, np.ndarray) for each in answer["outputs"].values())
    assert kind in ("answer", "malformed")


def test_a_wanted_output_that_is_missing_is_a_damaged_answer(driver: Driver) -> None:
    with handmade(GOOD) as server:
        told = refusal(driver, patient(server), outputs=["y", "z"])
    assert told["kind"] == "malformed"
    assert '"z" is missing' in told["message"]


def test_a_proxy_s_refusal_keeps_its_status_and_shows_its_page(driver: Driver) -> None:
    page = b"<html>\n<h1>Bad\x1b[31m Gateway</h1></html>" + b"x" * 10_000
    with handmade(response(page, "502 Bad Gateway", "text/html")) as server:
        told = refusal(driver, patient(server))
        assert len(server.asked) == 1
    assert (told["kind"], told["status"], told["code"]) == ("refused", 502, None)
    assert "text/html: <html> <h1>Bad [31m Gateway</h1></html>" in told["message"]
    assert len(told["message"]) < 400


@pytest.mark.parametrize("trouble", [BUSY, NOT_READY, b""], ids=["429", "503", "connection lost"])
def test_passing_trouble_is_waited_out(trouble: bytes, driver: Driver) -> None:
    with handmade(trouble, trouble, GOOD) as server:
        answer = driver.infer(patient(server), "m", X)
        np.testing.assert_array_equal(answer["outputs"]["y"], [[3, 4]])
        assert len({asked.body for asked in server.asked}) == 1
        ids = {asked.headers["x-request-id"] for asked in server.asked}
        assert (len(server.asked), len(ids)) == (3, 1)


def test_trouble_that_lasts_is_told_after_the_last_attempt(driver: Driver) -> None:
    with handmade(BUSY) as server:
        told = refusal(driver, patient(server))
        assert len(server.asked) == 3
    assert (told["status"], told["code"], told["hint"]) == (429, "overloaded", "wait")
    with handmade(b"") as server:
        told = refusal(driver, patient(server))
        assert len(server.asked) == 3
    assert told["kind"] == "connection"
    assert server.url in told["message"]


@pytest.mark.parametrize("after", [3600, formatdate(time.time() + 3600, usegmt=True)])
def test_a_wait_beyond_the_deadline_is_not_begun(after: object, driver: Driver) -> None:
    later = response(b"", "503 Service Unavailable", retry_after=after)
    with handmade(later, GOOD) as server:
        told = refusal(driver, patient(server))
        assert (told["status"], len(server.asked)) == (503, 1)


def test_a_date_that_has_passed_and_nonsense_ask_for_no_wait(driver: Driver) -> None:
    for after in (formatdate(0, usegmt=True), "soon", "-5"):
        with handmade(response(b"", "503 No", retry_after=after), GOOD) as server:
            driver.infer(patient(server), "m", X)
            assert len(server.asked) == 2


def test_where_nobody_listens_the_address_is_told(driver: Driver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    told = refusal(driver, {"url": url, "attempts": 2})
    assert told["kind"] == "connection"
    assert url in told["message"]
    assert re.search(
        "ConnectException|[Cc]onnection refused|[Cc]ould ?n.t connect", told["message"]
    )
    assert driver.ask("live", url) is False


def test_a_connection_that_does_not_come_about_ends_with_the_time(driver: Driver) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        with socket.create_connection(full.getsockname()):  # which nobody accepts
            told = refusal(driver, {"url": url, "timeout_ms": 300})
    assert told["kind"] == "deadline", told


@pytest.mark.parametrize("before", [b"", GOOD[:-3]], ids=["no head", "half a body"])
def test_a_server_that_stalls_is_left_when_the_time_is_over(before: bytes, driver: Driver) -> None:
    stall = Stall(before)
    with handmade(stall) as server:
        told = refusal(driver, patient(server, timeout_ms=300))
        assert told["kind"] == "deadline"
        assert "300 ms" in told["message"]
        assert stall.gone.wait(30), "the connection was not closed"


def test_the_deadline_tells_what_was_wrong_before(driver: Driver) -> None:
    with handmade(BUSY, Stall()) as server:
        told = refusal(driver, patient(server, timeout_ms=500))
    assert told["kind"] == "deadline"
    assert "the queue is full" in told["message"]


def test_an_answer_beyond_the_limit_is_not_taken(driver: Driver) -> None:
    bomb = response(gzip.compress(b" " * 5_000_000), content_encoding="gzip")
    for large in (response(b" " * 5_000_000), bomb):
        with handmade(large) as server:
            told = refusal(driver, patient(server, max_answer=1_000_000))
        assert told["kind"] == "malformed"
        assert "larger than 1000000 bytes" in told["message"]


def test_compressed_requests_and_answers(driver: Driver) -> None:
    head, _, body = GOOD.partition(b"\r\n\r\n")
    length = dict(line.split(": ") for line in head.decode().split("\r\n")[1:])[
        "inference-header-content-length"
    ]
    packed = response(
        gzip.compress(body), content_encoding="gzip", inference_header_content_length=length
    )
    x = np.zeros((1, 5000), np.float32)
    with handmade(packed) as server:
        client = patient(server, compress=True, compress_answers=True)
        answer = driver.infer(client, "m", {"x": x})
        asked = server.asked[0]
    np.testing.assert_array_equal(answer["outputs"]["y"], [[3, 4]])
    assert (asked.headers["content-encoding"], asked.headers["accept-encoding"]) == ("gzip", "gzip")
    sent = gzip.decompress(asked.body)
    assert len(asked.body) < len(sent)
    length = asked.headers["inference-header-content-length"]
    request, _ = open_inference.decode("m", None, sent, length)
    np.testing.assert_array_equal(request.inputs["x"].data, x)


def test_headers_of_the_user_s_go_with_every_request(driver: Driver) -> None:
    with handmade(GOOD) as server:
        client = patient(server, token="key", headers={"X-Tenant": "a"})
        driver.infer(client, "m", X)
        headers = server.asked[0].headers
    assert (headers["authorization"], headers["x-tenant"]) == ("Bearer key", "a")
    assert "upgrade" not in headers


def test_strings_of_bytes_are_those_of_others(formed: tuple[Driver, str]) -> None:
    """Held against tritonclient's own way of packing them."""
    driver, form = formed
    texts = np.array([["", "飞桨"], ["a\0b", "x" * 300]], dtype=object)
    packed = serialize_byte_tensor(np.char.encode(texts.astype(str), "utf-8")).item()
    shape = list(texts.shape)
    blob = {"name": "b", "datatype": "BYTES", "shape": shape}
    blob |= {"parameters": {"binary_data_size": len(packed)}}
    listed = {"name": "j", "datatype": "BYTES", "shape": shape, "data": texts.tolist()}
    encoded = np.array([[each.encode() for each in row] for row in texts], dtype=object)
    with handmade(tensors(blob, listed, blobs=packed)) as server:
        answer = driver.infer(patient(server, form=form), "m", {"s": encoded})
        asked = server.asked[0]
    assert answer["outputs"]["b"].tolist() == encoded.tolist()
    assert answer["outputs"]["j"].tolist() == encoded.tolist()
    length = asked.headers.get("inference-header-content-length")
    header = json.loads(asked.body[: int(length)] if length else asked.body)
    if form == "BINARY":
        sent = deserialize_bytes_tensor(asked.body[int(length or 0) :])
        assert sent.tolist() == encoded.ravel().tolist()
    else:
        assert header["inputs"][0]["data"] == texts.ravel().tolist()


def test_numbers_in_json_are_read_in_any_nesting_and_null_is_no_number(driver: Driver) -> None:
    outputs = [
        {"name": "a", "datatype": "FP32", "shape": [2, 2], "data": [[0.1, 1e-3], [None, -0.0]]},
        {"name": "b", "datatype": "UINT64", "shape": [1], "data": [(1 << 64) - 1]},
        {"name": "c", "datatype": "INT64", "shape": [2, 1], "data": [[-(1 << 63)], (1 << 63) - 1]},
    ]
    with handmade(tensors(*outputs)) as server:
        found = driver.infer(server.url, "m", X)["outputs"]
    np.testing.assert_array_equal(found["a"], np.float32([[0.1, 1e-3], [np.nan, -0.0]]))
    assert found["b"].tolist() == [(1 << 64) - 1]
    assert found["c"].tolist() == [[-(1 << 63)], [(1 << 63) - 1]]
    assert struct.pack("<f", found["a"][1, 1]) == b"\0\0\0\x80"


def test_servers_that_answer_health_by_status_alone_are_understood(driver: Driver) -> None:
    with handmade(response(b"")) as server:
        assert driver.ask("ready", server.url) is True
    for status in ("400 Bad Request", "503 Service Unavailable"):
        with handmade(response(b"", status)) as server:
            assert driver.ask("ready", server.url) is False
            assert len(server.asked) == 1
    with handmade(response(b"", "401 Unauthorized")) as server:
        with pytest.raises(Refused) as refused:
            driver.ask("ready", server.url)
    assert refused.value.told["status"] == 401
