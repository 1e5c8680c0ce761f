"""One port of one server: every client of every protocol gets the same numbers."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.clients import networks
from tests.clients.askers import curl, ours, paddle, stubs, triton
from tests.clients.askers.question import NO_HALF, Arrays, Asker, Question
from tests.clients.driver import Driver
from tests.clients.networks import NUMBERS, PADDLE_SERVING, TABLE
from tests.server.process import ServerProcess, serve
from tests.standins import linear

ECHOES = {
    "echo": NUMBERS,
    "without_half": NO_HALF,
    "without_double": paddle.NO_DOUBLE,
    "narrow": PADDLE_SERVING,
    "few": paddle.FEW,
}
"""Networks that answer what they are asked, for the types of elements that a protocol has."""

LENGTHS = (2, 1, 3, 1, 1, 4, 2, 1)
"""Of the sequences in a batch of eight; the first alone is a batch of one."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    root = tmp_path_factory.mktemp("one-port")
    linear.write_onnx(root / "linear")
    networks.write_texts(root / "texts")
    networks.write_sequences(root / "sequences")
    for name, numbers in ECHOES.items():
        networks.write_echo(root / name, numbers)
    models = [str(root / name) for name in ("linear", "texts", "sequences", *ECHOES)]
    with serve(*models, home=root) as running:
        yield running


def driven(name: str, driver: Driver, types: tuple[str, ...], **how: str) -> Asker:
    """A compiled client, in the form or over the protocol that its settings say."""

    def ask(question: Question) -> Arrays:
        inputs = {}
        for word, x in question.tensors.items():
            offsets = question.offsets(word)
            inputs[word] = x if offsets is None else (x, offsets)
        where = {"brpc": question.address} if "compression" in how else {"url": question.url}
        told = driver.infer({**where, **how}, question.model, inputs)
        return ours.with_offsets(told["outputs"], told["lods"])

    return Asker(name, ask, types)


def questions(asker: Asker, url: str, rows: int) -> Iterator[tuple[Question, Arrays]]:
    """What a client can be asked to ask, and the right answer to it."""
    echo = next(name for name, numbers in ECHOES.items() if numbers == asker.types)
    sent = networks.echoed(rows, numbers=ECHOES[echo])
    yield of(url, echo, sent, {name.replace("in_", "out_"): x for name, x in sent.items()})
    random = np.random.default_rng(rows)
    x = random.standard_normal((rows, linear.FEATURES)).astype(np.float32)
    yield of(url, "linear", {"x": x}, {"y": linear.expected(x)})
    if asker.texts:
        sent = networks.texts(rows)
        right = {"same": sent["texts"], "twice": sent["count"] * 2}
        yield of(url, "texts", sent, right)
    if asker.offsets:
        ends = np.cumsum((0, *LENGTHS[:rows]))
        words = np.arange(ends[-1]).reshape(-1, 1) % len(TABLE)
        right = {"rows": TABLE[words.ravel()], "rows.lod": ends}
        yield of(url, "sequences", {"words": words, "words.lod": ends}, right)


def of(url: str, model: str, inputs: Arrays, right: Arrays) -> tuple[Question, Arrays]:
    kinds = {n: "bytes" if x.dtype == object else x.dtype.name for n, x in right.items()}
    return Question(url, model, inputs, kinds), right


def wrong(found: Arrays, right: Arrays, exact: bool) -> str:
    """What is wrong with an answer; empty: nothing."""
    if set(found) != set(right):
        return f"{sorted(found)} for {sorted(right)}"
    for name, wanted in right.items():
        have = found[name]
        if (have.dtype, have.shape) != (wanted.dtype, wanted.shape):
            return f"{name} is {have.dtype} {have.shape} for {wanted.dtype} {wanted.shape}"
        same = np.array_equal(have, wanted) if exact else np.allclose(have, wanted, rtol=1e-5)
        if not same:
            first = np.argwhere(have != wanted)[0]
            return f"{name} is {have[tuple(first)]!r} for {wanted[tuple(first)]!r} at {first}"
    return ""


def test_every_client_of_every_protocol_gets_the_same_numbers(
    server: ServerProcess, java_driver: Driver, cpp_driver: Driver
) -> None:
    askers = [*curl.ASKERS, *triton.ASKERS, *stubs.ASKERS, *paddle.ASKERS, *ours.ASKERS]
    askers += [
        driven("Java, binary", java_driver, NUMBERS, form="BINARY"),
        driven("Java, JSON", java_driver, NO_HALF, form="JSON"),
        driven("C++, HTTP", cpp_driver, NUMBERS),
        driven("C++, bRPC", cpp_driver, PADDLE_SERVING, compression="none"),
        driven("C++, bRPC, gzip", cpp_driver, PADDLE_SERVING, compression="gzip"),
    ]
    failures = []
    answers: dict[int, np.ndarray] = {}
    for rows in (1, 8):
        for asker in askers:
            for question, right in questions(asker, server.url, rows):
                where = f"{asker.name}, {question.model}, batch {rows}"
                try:
                    found = asker.ask(question)
                except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - all are told
                    failures.append(f"{where}: {type(error).__name__}: {error}")
                    continue
                said = wrong(found, right, exact=question.model != "linear")
                if question.model == "linear" and not said:
                    # What is computed is close to what is right, and the same for all of them.
                    first = answers.setdefault(rows, found["y"])
                    said = "" if np.array_equal(first, found["y"]) else "not what others got"
                failures += [f"{where}: {said}"] if said else []
    assert not failures, "\n".join(failures)
    assert len(askers) >= 35
    healthy(server)


def healthy(server: ServerProcess) -> None:
    """The same port tells how it is, by service, as Kubernetes asks, and over HTTP."""
    with grpc.insecure_channel(server.url.removeprefix("http://")) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", stubs.OPEN_INFERENCE, "tensorflow.serving.PredictionService"):
            request = health_pb2.HealthCheckRequest(service=service)
            assert health.Check(request).status == health_pb2.HealthCheckResponse.SERVING
    with server.client() as client:
        assert client.get("/v2/health/ready").status_code == 200
