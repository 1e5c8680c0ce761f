"""The C++ client alone: bRPC, both ways of building it, and its README's word."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paddlesrv_client.wire.baidu_std import Frame, RpcMeta, encode

from tests.clients import cpp, networks
from tests.clients.conftest import PICTURE
from tests.clients.driver import Driver, Refused, array, wire
from tests.clients.handmade_frames import Answer, frames
from tests.clients.networks import PADDLE_SERVING
from tests.protocols.brpc_client import Response
from tests.server.process import ServerProcess, serve
from tests.standins import linear

README = (cpp.ROOT / "README.md").read_text(encoding="utf-8")
X = {"x": np.float32([[1, 2]])}


def over_brpc(server: ServerProcess, **more: Any) -> dict[str, Any]:
    """Settings of a client of frames."""
    return {"brpc": server.url.removeprefix("http://"), **more}


@pytest.mark.parametrize("rows", [1, 8])
@pytest.mark.parametrize("coding", [{}, {"compression": "gzip"}, {"compression": "zlib"}])
def test_every_type_comes_back_over_brpc(
    cpp_driver: Driver, clients_server: ServerProcess, rows: int, coding: dict[str, str]
) -> None:
    inputs = networks.echoed(rows, numbers=PADDLE_SERVING)
    answer = cpp_driver.infer(over_brpc(clients_server, **coding), "", inputs)["outputs"]
    for name in PADDLE_SERVING:
        given_, taken = inputs[f"in_{name}"], answer[f"out_{name}"]
        assert (taken.dtype.name, taken.shape) == (name, given_.shape)
        np.testing.assert_array_equal(taken, given_, err_msg=name)


def test_sequences_and_chosen_outputs_over_brpc(
    cpp_driver: Driver, clients_server: ServerProcess
) -> None:
    words = np.array([[1], [5], [0]], np.int64)
    answer = cpp_driver.infer(over_brpc(clients_server), "", {"words": (words, [0, 2, 3])})
    assert answer["lods"] == {"rows": [0, 2, 3]}
    np.testing.assert_array_equal(answer["outputs"]["rows"], networks.TABLE[[1, 5, 0]])
    inputs = networks.echoed(1, numbers=PADDLE_SERVING)
    chosen = cpp_driver.infer(over_brpc(clients_server), "", inputs, outputs=["out_int8"])
    assert list(chosen["outputs"]) == ["out_int8"]


def test_many_requests_are_under_way_on_one_connection(cpp_driver: Driver, tmp_path: Path) -> None:
    linear.write_onnx(tmp_path / "linear")
    rows = [np.random.default_rng(i).random((1 + i % 3, 13), np.float32) for i in range(60)]
    with serve(str(tmp_path / "linear"), home=tmp_path) as server:
        told = cpp_driver.ask("many", over_brpc(server), each=[wire(x) for x in rows])
        host, _, port = server.url.removeprefix("http://").partition(":")
        shown = cpp.run(cpp_driver.program.parents[1] / "examples" / "brpc", host, port, "x", "13")
    ones = np.repeat(np.arange(8, dtype=np.float32)[:, None], 13, axis=1)
    assert [float(line) for line in shown.split()] == pytest.approx(
        linear.expected(ones).ravel().tolist(), rel=1e-4
    )
    for x, y in zip(rows, told, strict=True):
        np.testing.assert_allclose(array(y), linear.expected(x), rtol=1e-5, atol=1e-5)


def test_a_refusal_over_brpc_has_its_code_and_the_id_of_the_log(
    cpp_driver: Driver, clients_server: ServerProcess
) -> None:
    wrong = networks.echoed(1, numbers=PADDLE_SERVING) | {"in_int8": np.float64([[1, 2]])}
    with pytest.raises(Refused) as refused:
        cpp_driver.infer(over_brpc(clients_server), "", wrong)
    told = refused.value.told
    assert (told["kind"], told["brpc_code"], told["code"]) == ("refused", 1003, "EREQUEST")
    assert "in_int8" in told["message"]
    assert clients_server.prints(told["request_id"])


# -- servers that do wrong ---------------------------------------------------------------------


def good(frame: Frame, values: Sequence[float] = (3, 4)) -> bytes:
    """An answer with one tensor."""
    response = Response()
    output = response.outputs.add()
    shape = [1, 2] if len(values) == 2 else [len(values)]
    output.tensor.add(name="y", alias_name="y", elem_type=1, shape=shape, float_data=values)
    meta = RpcMeta(correlation_id=frame.meta.correlation_id)
    meta.response.error_code = 0
    return encode(meta, response.SerializeToString())


def failed(code: int, text: str) -> Answer:
    def say(frame: Frame) -> bytes:
        meta = RpcMeta(correlation_id=frame.meta.correlation_id)
        meta.response.error_code = code
        meta.response.error_text = text
        return encode(meta, b"")

    return say


def closes(_: Frame) -> bytes:
    return b""


@pytest.mark.parametrize(
    "trouble",
    [closes, failed(2004, "full"), failed(2003, "stopping")],
    ids=["gone", "2004", "2003"],
)
def test_passing_trouble_is_waited_out_over_brpc(cpp_driver: Driver, trouble: Answer) -> None:
    with frames(trouble, trouble, good) as (address, came):
        answer = cpp_driver.infer({"brpc": address, "attempts": 3}, "", X)
        assert len(came) == 3
    np.testing.assert_array_equal(answer["outputs"]["y"], [[3, 4]])


def test_a_refusal_is_not_asked_again(cpp_driver: Driver) -> None:
    with frames(failed(1003, "bad"), good) as (address, came):
        with pytest.raises(Refused, match="bad") as refused:
            cpp_driver.infer({"brpc": address, "attempts": 3}, "", X)
        assert len(came) == 1
    assert (refused.value.told["kind"], refused.value.told["brpc_code"]) == ("refused", 1003)


def test_answers_in_another_order_find_their_requests(cpp_driver: Driver) -> None:
    held: list[bytes] = []

    def all_at_last(frame: Frame) -> bytes | None:
        held.insert(0, good(frame, [len(held) + 1]))
        return b"".join(held) if len(held) == 5 else None

    with frames(all_at_last) as (address, _):
        rows = [wire(np.float32([[number]])) for number in range(1, 6)]
        told = cpp_driver.ask("many", {"brpc": address}, each=rows)
    assert [array(each).tolist() for each in told] == [[1.0], [2.0], [3.0], [4.0], [5.0]]


def test_a_server_that_stalls_is_left_when_the_time_is_over_brpc(cpp_driver: Driver) -> None:
    with frames(lambda _: None) as (address, came):
        with pytest.raises(Refused) as refused:
            cpp_driver.infer({"brpc": address, "attempts": 1, "timeout_ms": 300}, "", X)
        assert refused.value.told["kind"] == "deadline"
        assert came[0].meta.request.timeout_ms <= 300


def test_who_destroys_the_client_ends_its_calls(cpp_driver: Driver) -> None:
    arrived = threading.Event()

    def silent(_: Frame) -> None:
        arrived.set()

    with frames(silent) as (address, _):
        settings = {"brpc": address, "attempts": 1}
        inputs = {"x": wire(X["x"])}
        cpp_driver.ask("begin", settings, inputs=inputs)
        assert arrived.wait(30)
        with pytest.raises(Refused) as refused:
            cpp_driver.ask("close", settings)
    assert refused.value.told["kind"] == "connection"


@given(data=st.data())
def test_no_damage_to_a_frame_does_more_than_fail(data: st.DataObject, cpp_driver: Driver) -> None:
    damage = data.draw(st.lists(st.tuples(st.floats(0, 0.99), st.integers(0, 255)), max_size=3))

    def damaged(frame: Frame) -> bytes:
        said = bytearray(good(frame))
        for place, value in damage:
            said[int(place * len(said))] = value
        return bytes(said)

    with frames(damaged) as (address, _):
        settings = {"brpc": address, "attempts": 1, "timeout_ms": 500}
        try:
            answer = cpp_driver.infer(settings, "", X)
        except Refused as refused:
            kind = refused.told["kind"]
        else:
            kind = "answer"
            assert all(isinstance(each, np.ndarray) for each in answer["outputs"].values())
        cpp_driver.ask("close", settings)
    assert kind in ("answer", "malformed", "refused", "connection", "deadline")


@contextmanager
def greeting(banner: bytes) -> Iterator[tuple[str, list[socket.socket]]]:
    """A server that speaks first, as those of other protocols do; who has connected."""
    came: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    came.append(connection)
                    connection.sendall(banner)

        threading.Thread(target=greet, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}", came
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
    for connection in came:
        connection.close()


def test_a_server_of_another_protocol_is_asked_once(cpp_driver: Driver) -> None:
    with greeting(b"SSH-2.0-OpenSSH_9.2\r\n") as (address, came):
        for number in range(1, 21):  # what it says comes before the request is sent, or behind it
            settings = {"brpc": address, "timeout_ms": 10_000}
            with pytest.raises(Refused, match=r"SSH-2\.0") as refused:
                cpp_driver.infer(settings, "", X)
            cpp_driver.ask("close", settings)
            assert (refused.value.told["kind"], len(came)) == ("malformed", number)


def test_where_nobody_listens_the_address_is_told_over_brpc(cpp_driver: Driver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(Refused, match=address) as refused:
        cpp_driver.infer({"brpc": address, "attempts": 2}, "", X)
    assert refused.value.told["kind"] == "connection"


def test_the_deadline_tells_what_was_wrong_before_over_brpc(cpp_driver: Driver) -> None:
    with frames(failed(2004, "the queue is full"), lambda _: None) as (address, came):
        with pytest.raises(Refused, match="the queue is full") as refused:
            cpp_driver.infer({"brpc": address, "attempts": 3, "timeout_ms": 500}, "", X)
        assert len(came) == 2
    assert refused.value.told["kind"] == "deadline"


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64"])
def test_a_type_that_frames_cannot_carry_is_refused_with_the_tensor_s_name(
    cpp_driver: Driver, dtype: str
) -> None:
    with frames(good) as (address, came):
        with pytest.raises(Refused, match=r'"x" is UINT.*over HTTP') as refused:
            cpp_driver.infer({"brpc": address}, "", {"x": np.zeros((1, 2), dtype)})
        assert (refused.value.told["kind"], came) == ("argument", [])


def test_an_answer_beyond_the_limit_is_not_taken_over_brpc(cpp_driver: Driver) -> None:
    with frames(lambda frame: good(frame) + bytes(1 << 20)) as (address, _):
        with pytest.raises(Refused) as refused:
            cpp_driver.infer({"brpc": address, "attempts": 1, "max_answer": 20}, "", X)
    assert refused.value.told["kind"] == "malformed"


# -- what the README says ----------------------------------------------------------------------


def blocks(language: str) -> list[str]:
    """The README's blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the client, where builds may leave what they make."""
    copy = tmp_path_factory.mktemp("project") / "cpp"
    shutil.copytree(cpp.ROOT, copy, ignore=shutil.ignore_patterns("build*"))
    return copy


def test_the_commands_build_install_and_ask_a_server(
    project: Path, clients_server: ServerProcess
) -> None:
    script = "".join(blocks("sh"))
    told = {
        "http://127.0.0.1:9393": clients_server.url,
        "uci_housing": "linear",
        "resnet50 cat.jpg": f"colours {shlex.quote(str(PICTURE))}",
        "$HOME/.local": str(project.parent / "prefix"),
    }
    for word, instead in told.items():
        assert word in script
        script = script.replace(word, instead)
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=project, capture_output=True, text=True, encoding="utf-8",
        env={**os.environ, "CMAKE_BUILD_PARALLEL_LEVEL": "2"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    lines = ended.stdout.splitlines()
    (numbers,) = (line for line in lines if line.startswith("y ="))
    ones = np.ones((2, linear.FEATURES), np.float32)
    found = [float(value) for value in numbers.removeprefix("y = ").split()]
    assert found == pytest.approx(linear.expected(ones).ravel().tolist(), rel=1e-4)
    with clients_server.client() as client:
        answer = client.post("/predict/colours", content=PICTURE.read_bytes()).json()
    classes = [f"{each['score']:.4f}  {each['label']}" for each in answer["results"][0]["classes"]]
    assert lines[-len(classes) :] == classes


def test_every_piece_of_cpp_compiles(project: Path, tmp_path: Path) -> None:
    pieces = blocks("cpp")
    assert len(pieces) >= 3
    for number, piece in enumerate(pieces):
        whole = "int main" in piece
        given_ = "[[maybe_unused]] paddlesrv::Client& client, const std::vector<float>& features"
        body = piece if whole else f"void piece({given_}) {{\n{piece}\n}}\n"
        file = tmp_path / f"piece{number}.cpp"
        file.write_text(HEADERS + body, encoding="utf-8")
        cpp.run(
            cpp.tool("g++"), "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
            "-Wno-unused-parameter", "-Wno-shadow", "-I", project / "include", file,
        )  # fmt: skip


HEADERS = """
#include <iostream>
#include <vector>
#include <paddlesrv/brpc_client.hpp>
#include <paddlesrv/client.hpp>
"""
