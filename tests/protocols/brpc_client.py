"""A bRPC client for tests: frames by hand over a plain socket."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from paddlesrv_client.wire.messages import message

SERVICE = "baidu.paddle_serving.predictor.general_model.GeneralModelService"
Request = message("baidu.paddle_serving.predictor.general_model.Request")
Response = message("baidu.paddle_serving.predictor.general_model.Response")
Meta = message("brpc.policy.RpcMeta")


def frame(
    number: int, body: bytes, *, service: str = SERVICE, method: str = "inference",
    compress: int = 0, timeout_ms: int = 0, key: str | None = None,
) -> bytes:  # fmt: skip
    """The bytes of one call."""
    meta = Meta(correlation_id=number, compress_type=compress)
    if key is not None:
        meta.authentication_data = key.encode()
    meta.request.service_name = service
    meta.request.method_name = method
    meta.request.timeout_ms = timeout_ms
    head = meta.SerializeToString()
    return struct.pack("!4sII", b"PRPC", len(head) + len(body), len(head)) + head + body


def rows(x: np.ndarray, *, name: str = "x", fetch: Sequence[str] = ()) -> Any:
    """A request with one float32 tensor."""
    request = Request(fetch_var_names=fetch)
    request.tensor.add(
        name=name, alias_name=name, elem_type=1, shape=x.shape, float_data=x.ravel().tolist()
    )
    return request


class Connection:
    """One connection, on which calls are sent and answers read as the test likes."""

    def __init__(self, url: str, seconds: float = 30) -> None:
        host, _, port = url.removeprefix("http://").rpartition(":")
        self.socket = socket.create_connection((host, int(port)), seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def read(self) -> tuple[Any, bytes]:
        """The meta and the body of the next frame.

        Raises:
            ConnectionError: the server has closed the connection.
        """
        magic, size, meta_size = struct.unpack("!4sII", self._exactly(12))
        assert magic == b"PRPC"
        content = self._exactly(size)
        return Meta.FromString(content[:meta_size]), content[meta_size:]

    def call(self, request: Any, **how: Any) -> Any:
        """The answer to one request, which must be one."""
        self.send(frame(1, request.SerializeToString(), **how))
        meta, body = self.read()
        assert meta.response.error_code == 0, meta.response.error_text
        return Response.FromString(body)

    def closed(self) -> bool:
        """Whether the server closes without another word."""
        return self.socket.recv(1) == b""

    def _exactly(self, count: int) -> bytes:
        parts = b""
        while len(parts) < count:
            part = self.socket.recv(count - len(parts))
            if not part:
                raise ConnectionError("the server has closed the connection")
            parts += part
        return parts


def array_of(tensor: Any) -> np.ndarray:
    """The values of an answered float32 tensor."""
    return np.array(tensor.float_data, np.float32).reshape(list(tensor.shape))
