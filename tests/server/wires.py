"""One request in the bytes of each protocol, for clients that do not behave: HTTP/1.1, gRPC, bRPC.

gRPC's bytes are HTTP/2 frames by hand (RFC 9113; headers without compression, RFC 7541, 6.2.2): no
library sends half of a request.
"""

from __future__ import annotations

import re
import socket
import struct
from typing import Any

import msgspec
import numpy as np
from paddlesrv_client.wire.messages import message

from tests.protocols import brpc_client
from tests.server.process import ServerProcess

PROTOCOLS = ("http", "grpc", "brpc")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def http(model: str, x: np.ndarray, timeout: float = 0) -> bytes:
    """A request in binary form, answered so."""
    header = msgspec.json.encode(
        {
            "inputs": [
                {"name": "x", "shape": x.shape, "datatype": "FP32",
                 "parameters": {"binary_data_size": x.nbytes}}
            ],
            "parameters": {"binary_data_output": True, "timeout": round(timeout * 1e6)},
        }
    )  # fmt: skip
    return (
        b"POST /v2/models/%b/infer HTTP/1.1\r\nhost: localhost\r\n"
        b"inference-header-content-length: %d\r\ncontent-length: %d\r\n\r\n"
        % (model.encode(), len(header), len(header) + x.nbytes)
    ) + header + x.tobytes()  # fmt: skip


def grpc(model: str, x: np.ndarray, number: int = 0, timeout: float = 0) -> bytes:
    """The frames of one call, which is the connection's `number`th; the preface comes first."""
    request = message("inference.ModelInferRequest")(model_name=model)
    request.inputs.add(name="x", datatype="FP32", shape=x.shape)
    request.raw_input_contents.append(x.tobytes())
    body = request.SerializeToString()
    fields = [
        (":method", "POST"), (":scheme", "http"), (":authority", "x"),
        (":path", "/inference.GRPCInferenceService/ModelInfer"),
        ("content-type", "application/grpc"), ("te", "trailers"),
    ]  # fmt: skip
    if timeout:
        fields.append(("grpc-timeout", f"{round(timeout * 1e3)}m"))
    head = b"".join(
        b"\0%c%b%c%b" % (len(name), name.encode(), len(value), value.encode())
        for name, value in fields
    )
    data = b"\0" + struct.pack("!I", len(body)) + body
    stream = 2 * number + 1
    return _frame(1, 4, stream, head) + _frame(0, 1, stream, data)


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    size = len(content)
    return struct.pack("!BHBBI", size >> 16, size & 0xFFFF, kind, flags, stream) + content


def brpc(model: str, x: np.ndarray, number: int = 0, timeout: float = 0) -> bytes:
    """A frame; the model is the one that takes such a tensor."""
    body = brpc_client.rows(x).SerializeToString()
    return brpc_client.frame(number, body, timeout_ms=round(timeout * 1e3))


def requests(protocol: str, model: str, x: np.ndarray, count: int = 1, timeout: float = 0) -> bytes:
    """So many requests at once on a new connection."""
    if protocol == "http":
        return http(model, x, timeout) * count
    if protocol == "grpc":
        calls = [grpc(model, x, number, timeout) for number in range(count)]
        return PREFACE + _frame(4, 0, 0, b"") + b"".join(calls)
    return b"".join(brpc(model, x, number, timeout) for number in range(count))


def connect(server: ServerProcess) -> socket.socket:
    """A connection to the server's port."""
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    connection = socket.create_connection((host, int(port)), 60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def read_until(connection: socket.socket, wanted: bytes) -> bytes:
    """What comes, up to these bytes at least.

    Raises:
        ConnectionError: the server closed before.
    """
    found = b""
    while wanted not in found:
        part = connection.recv(65536)
        if not part:
            raise ConnectionError(f"closed before {wanted!r}: {found[-200:]!r}")
        found += part
    return found


def metric(server: ServerProcess, name: str, **labels: str) -> float:
    """A sample of `/metrics`; 0 if there is none yet."""
    said = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    with connect(server) as asking:
        asking.sendall(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        text = b"".join(iter(lambda: asking.recv(65536), b"")).decode()
    found = re.search(rf"^{name}\{{{re.escape(said)}\}} (\S+)$", text, re.M)
    return float(found[1]) if found else 0.0


def wait_for(server: ServerProcess, value: float, name: str, **labels: str) -> None:
    """Until a metric has that value; the server is asked again and again.

    Raises:
        AssertionError: it never has.
    """
    found: Any = None
    for _ in range(5000):
        found = metric(server, name, **labels)
        if found == value:
            return
    raise AssertionError(f"{name} of {labels} is {found}, not {value}")
