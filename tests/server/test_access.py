"""Each refusal on each protocol: no key, a wrong one, too often, too much at once, no admin's."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest
from paddlesrv_client.wire.messages import message

from paddlesrv.server.access.key_file import KeyEntry, add_key, digest_of, remove_key
from tests.protocols import brpc_client
from tests.server.doors import OpenDoors, doors

ALICE, BOB, OPS = "psk_alice_0000", "psk_bob_000000", "psk_ops_000000"
PROTOCOLS = ("http", "http x-api-key", "grpc", "grpc x-api-key", "brpc")
_GRPC = "/inference.GRPCInferenceService/"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    for name, key, limits in (
        ("alice", ALICE, {"rate": 0.001, "burst": 2.0}),
        ("bob", BOB, {"concurrent": 1}),
        ("ops", OPS, {"admin": True}),
    ):
        add_key(path, KeyEntry(name=name, digest=digest_of(key.encode()), **limits))  # type: ignore[arg-type]
    return path


@pytest.fixture
def server(keys: Path) -> Iterator[OpenDoors]:
    with doors(api_key_file=str(keys), admin=True) as opened:
        yield opened


def ask_http(
    server: OpenDoors, key: str | None, path: str = "/v2", header: str = "authorization"
) -> tuple[str, str]:
    value = {"authorization": f"Bearer {key}", "x-api-key": f"{key}"}[header]
    answer = httpx.request(
        "POST" if "repository" in path else "GET", server.url + path, trust_env=False,
        headers={header: value} if key is not None else {},
    )  # fmt: skip
    words = {401: "unauthenticated", 403: "forbidden", 429: "rate-limited"}
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
    if answer.status_code == 429:
        assert int(answer.headers["retry-after"]) >= 1
    if answer.status_code in words:
        assert answer.json()["code"] == words[answer.status_code]
    return words.get(answer.status_code, "taken"), answer.text


def ask_grpc(
    server: OpenDoors, key: str | None, method: str = "ServerMetadata",
    header: str = "authorization",
) -> tuple[str, str]:  # fmt: skip
    value = {"authorization": f"Bearer {key}", "x-api-key": f"{key}"}[header]
    body = b""
    if "Load" in method or "Unload" in method:
        kind = "RepositoryModelLoadRequest" if "Load" in method else "RepositoryModelUnloadRequest"
        body = message(f"inference.{kind}")(model_name="m").SerializeToString()
    with grpc.insecure_channel(server.address) as channel:
        try:
            channel.unary_unary(method if method[0] == "/" else _GRPC + method)(
                body, timeout=20, metadata=((header, value),) if key is not None else ()
            )
        except grpc.RpcError as error:
            words = {
                grpc.StatusCode.UNAUTHENTICATED: "unauthenticated",
                grpc.StatusCode.PERMISSION_DENIED: "forbidden",
                grpc.StatusCode.RESOURCE_EXHAUSTED: "rate-limited",
            }
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
            return words.get(error.code(), "taken"), error.details() or ""
    return "taken", ""


def brpc_frame(number: int, key: str | None) -> bytes:
    request = brpc_client.rows(np.zeros((1, 13), np.float32)).SerializeToString()
    return brpc_client.frame(number, request, key=key)


def ask_brpc(server: OpenDoors, key: str | None) -> tuple[str, str]:
    with brpc_client.Connection(server.url) as connected:
        connected.send(brpc_frame(1, key))
        meta, _ = connected.read()
    said = meta.response
    assert said.error_code != 0, "no model is served"
    words = {1004: "unauthenticated", 2004: "rate-limited"}
    return words.get(said.error_code, "taken"), said.error_text


ASK: dict[str, Callable[[OpenDoors, str | None], tuple[str, str]]] = {
    "http": ask_http,
    "http x-api-key": lambda server, key: ask_http(server, key, header="x-api-key"),
    "grpc": ask_grpc,
    "grpc x-api-key": lambda server, key: ask_grpc(server, key, header="x-api-key"),
    "brpc": ask_brpc,
}


@contextlib.contextmanager
def request_left_open(server: OpenDoors, key: str) -> Iterator[None]:
    """One that has sent its head, and is waited for its body."""
    host, _, port = server.address.rpartition(":")
    with socket.create_connection((host, int(port)), 20) as client:
        client.sendall(
            b"POST /GeneralModelService/inference HTTP/1.1\r\nhost: localhost\r\n"
            b"authorization: Bearer %b\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n"
            % key.encode()
        )
        assert b"100 Continue" in client.recv(1000)
        yield
        client.sendall(b"123456789")
        assert client.recv(1000).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_request_with_a_key_is_taken(server: OpenDoors, protocol: str) -> None:
    assert ASK[protocol](server, OPS)[0] == "taken"


@pytest.mark.parametrize("key", [None, "psk_wrong", OPS[:-1], OPS + "x", "Bearer", "ops"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_request_without_one_is_refused(
    server: OpenDoors, protocol: str, key: str | None
) -> None:
    word, text = ASK[protocol](server, key)
    assert word == "unauthenticated"
    assert not key or key in ("Bearer", "ops") or key not in text


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_key_that_asks_too_often_is_refused_and_no_other_one(
    server: OpenDoors, protocol: str
) -> None:
    words = [ASK[protocol](server, ALICE)[0] for _ in range(4)]
    assert words == ["taken", "taken", "rate-limited", "rate-limited"]
    assert ASK[protocol](server, OPS)[0] == "taken"


def test_all_protocols_draw_from_one_allowance(server: OpenDoors) -> None:
    words = [ASK[protocol](server, ALICE)[0] for protocol in ("http", "grpc", "brpc")]
    assert words == ["taken", "taken", "rate-limited"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_key_that_asks_too_much_at_once_is_refused(server: OpenDoors, protocol: str) -> None:
    with request_left_open(server, BOB):
        word, text = ASK[protocol](server, BOB)
        assert word == "rate-limited"
        assert "1 request open" in text
        assert ASK[protocol](server, OPS)[0] == "taken"
    assert ASK[protocol](server, BOB)[0] == "taken"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_without_keys_the_rate_is_everybodys(protocol: str) -> None:
    with doors(rate_limit=0.001) as server:
        assert [ASK[protocol](server, None)[0] for _ in range(2)] == ["taken", "rate-limited"]


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_only_an_admin_key_may_change_models(server: OpenDoors, verb: str) -> None:
    path, method = f"/v2/repository/models/m/{verb}", f"RepositoryModel{verb.capitalize()}"
    assert ask_http(server, None, path)[0] == "unauthenticated"
    assert ask_grpc(server, None, method)[0] == "unauthenticated"
    assert ask_http(server, BOB, path)[0] == "forbidden"
    assert ask_http(server, BOB, path.replace("models", "%6dodels"))[0] == "forbidden"
    assert ask_grpc(server, BOB, method)[0] == "forbidden"
    assert ask_http(server, OPS, path)[0] == "taken"
    assert ask_grpc(server, OPS, method)[0] == "taken"


def test_probes_and_metrics_need_no_key_and_nothing_else_is_taken_for_them(
    server: OpenDoors,
) -> None:
    for path in ("/v2/health/live", "/v2/health/ready", "/metrics"):
        assert ask_http(server, None, path)[0] == "taken"
    for path in ("/metrics/", "/metrics?x=1", "//metrics", "/v2/health/live/../../models/stats",
                 "/%6detrics", "/docs", "/openapi.json", "/nothing"):  # fmt: skip
        assert ask_http(server, None, path)[0] == "unauthenticated"
    for method in ("ServerLive", "ServerReady", "/grpc.health.v1.Health/Check"):
        assert ask_grpc(server, None, method)[0] == "taken"
    for method in ("ModelReady", "/no.Service/Method", "/grpc.health.v1.Health/List"):
        assert ask_grpc(server, None, method)[0] == "unauthenticated"


def stream(server: OpenDoors, method: str, key: str | None, requests: list[bytes]) -> list[bytes]:
    metadata = (("authorization", f"Bearer {key}"),) if key is not None else ()
    with grpc.insecure_channel(server.address) as channel:
        ask = channel.stream_stream(method)
        return list(ask(iter(requests), timeout=20, metadata=metadata))


def test_streams_need_a_key_and_each_of_their_requests_counts(server: OpenDoors) -> None:
    infer = _GRPC + "ModelStreamInfer"
    request = message("inference.ModelInferRequest")(model_name="m").SerializeToString()
    reflect = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    for method in (infer, reflect):
        with pytest.raises(grpc.RpcError) as caught:
            stream(server, method, None, [request])
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    kind = message("inference.ModelStreamInferResponse")
    answers = [kind.FromString(a) for a in stream(server, infer, ALICE, [request] * 3)]
    told = ["requests a second" in answer.error_message for answer in answers]
    assert told == [False, False, True]


def test_a_brpc_connection_is_known_by_the_key_of_its_first_request(
    server: OpenDoors, keys: Path
) -> None:
    with brpc_client.Connection(server.url) as connected:

        def code(number: int, key: str | None) -> int:
            connected.send(brpc_frame(number, key))
            found: int = connected.read()[0].response.error_code
            return found

        assert code(1, None) == 1004
        assert code(2, BOB) not in (1004, 2004)
        assert code(3, None) not in (1004, 2004)
        assert code(4, "psk_wrong") == 1004
        remove_key(keys, "bob")
        server.reload()
        assert code(5, None) == 1004


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_keys_change_while_the_server_runs(server: OpenDoors, keys: Path, protocol: str) -> None:
    add_key(keys, KeyEntry(name="carol", digest=digest_of(b"psk_carol")))
    remove_key(keys, "bob")
    assert ASK[protocol](server, "psk_carol")[0] == "unauthenticated"
    server.reload()
    assert ASK[protocol](server, "psk_carol")[0] == "taken"
    assert ASK[protocol](server, BOB)[0] == "unauthenticated"


def test_no_key_stands_in_a_log_a_metric_or_an_answer(
    server: OpenDoors, caplog: pytest.LogCaptureFixture
) -> None:
    texts = []
    with caplog.at_level(logging.DEBUG, logger="paddlesrv"):
        for ask in ASK.values():
            for key in (ALICE, ALICE, ALICE, BOB, OPS, "psk_wrong"):
                texts.append(ask(server, key)[1])
    metrics = ask_http(server, None, "/metrics")[1]
    assert 'paddlesrv_refused_total{key="alice",reason="rate-limited"}' in metrics
    unknown = 'paddlesrv_refused_total{key="",reason="unauthenticated"}'
    assert f"{unknown} {len(ASK)}.0" in metrics
    texts += [metrics, caplog.text]
    assert "valid" in caplog.text
    assert "the key alice" in caplog.text
    for key in (ALICE, BOB, OPS, "psk_wrong"):
        for found in texts:
            assert key not in found
            assert digest_of(key.encode()).hex() not in found


def test_a_page_of_another_site_is_refused_and_a_host_of_another_name() -> None:
    with doors() as server:
        for headers, status in (
            ({}, 200),
            ({"host": "localhost:1"}, 200),
            ({"host": "evil.example"}, 403),
            ({"origin": "http://evil.example"}, 403),
            ({"origin": "null"}, 403),
            ({"origin": server.url}, 200),
        ):
            answer = httpx.get(f"{server.url}/v2", headers=headers, trust_env=False)
            assert answer.status_code == status, headers
            assert "access-control-allow-origin" not in answer.headers
        rebound = httpx.get(
            f"{server.url}/metrics", headers={"host": "evil.example"}, trust_env=False
        )
        assert rebound.status_code == 403
    with doors(host="0.0.0.0", allow_host="models.example") as server:
        for path, host, status in (
            ("/v2", "models.example", 200),
            ("/v2", "10.1.2.3", 403),
            ("/v2/health/live", "10.1.2.3:9393", 200),
        ):
            answer = httpx.get(
                f"http://127.0.0.1:{server.address.rpartition(':')[2]}{path}",
                headers={"host": host}, trust_env=False,
            )  # fmt: skip
            assert answer.status_code == status


def test_a_site_that_is_named_may_ask_and_read_also_what_is_refused(keys: Path) -> None:
    site = "https://shop.example"
    with doors(api_key_file=str(keys), cors_origin=site) as server:
        url, origin = f"{server.url}/v2", {"origin": site}
        asking = {**origin, "access-control-request-method": "POST"}
        before = httpx.options(url, headers=asking, trust_env=False)
        assert before.status_code == 200
        assert "authorization" in before.headers["access-control-allow-headers"]
        for key, status in ((OPS, 200), ("psk_wrong", 401)):
            found = httpx.get(
                url, headers={**origin, "authorization": f"Bearer {key}"}, trust_env=False
            )
            assert found.status_code == status
            assert found.headers["access-control-allow-origin"] == site
            assert found.headers["vary"] == "origin"
        asking["origin"] = "https://evil.example"
        assert httpx.options(url, headers=asking, trust_env=False).status_code == 403


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`server.pem`, `client.pem` and `stranger.pem`, each with `.key`; each signed by itself."""
    root = tmp_path_factory.mktemp("tls")
    for name in ("server", "client", "stranger"):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem",
             "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"],
            cwd=root, check=True, capture_output=True,
        )  # fmt: skip
    return root


def client_context(root: Path, who: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(root / "server.pem"))
    if who is not None:
        context.load_cert_chain(root / f"{who}.pem", root / f"{who}.key")
    return context


def by_http(address: str, root: Path, who: str | None) -> bool:
    try:
        return (
            httpx.get(
                f"https://{address}/v2", verify=client_context(root, who), trust_env=False
            ).status_code
            == 200
        )
    except httpx.TransportError:
        return False


def by_grpc(address: str, root: Path, who: str | None) -> bool:
    key = chain = None
    if who is not None:
        key, chain = (root / f"{who}.key").read_bytes(), (root / f"{who}.pem").read_bytes()
    credentials = grpc.ssl_channel_credentials((root / "server.pem").read_bytes(), key, chain)
    with grpc.secure_channel(address, credentials) as channel:
        try:
            channel.unary_unary(_GRPC + "ServerMetadata")(b"", timeout=20)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return False
    return True


def by_brpc(address: str, root: Path, who: str | None) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with (
            socket.create_connection((host, int(port)), 20) as plain,
            client_context(root, who).wrap_socket(plain, server_hostname=host) as tls,
        ):
            tls.sendall(brpc_frame(1, None))
            return tls.recv(4) == b"PRPC"
    except OSError:
        return False


@pytest.mark.parametrize("by", [by_http, by_grpc, by_brpc])
def test_only_clients_with_a_certificate_are_spoken_with(
    certificates: Path, by: Callable[[str, Path, str | None], bool]
) -> None:
    files = {
        "tls_cert": str(certificates / "server.pem"),
        "tls_key": str(certificates / "server.key"),
        "tls_client_ca": str(certificates / "client.pem"),
    }
    with doors(**files, grpc_port=0) as server:
        assert by(server.address, certificates, "client")
        assert not by(server.address, certificates, None)
        assert not by(server.address, certificates, "stranger")
