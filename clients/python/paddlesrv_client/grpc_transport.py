"""gRPC's transports, on grpcio: `pip install 'paddlesrv-client[grpc]'`."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc

from paddlesrv_client.errors import ConnectionFailed, DeadlineExceeded, PaddlesrvClientError
from paddlesrv_client.open_inference_proto import GrpcRequest
from paddlesrv_client.refusals import server_error

_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A call is tried again here, within its deadline, as over the other protocols.
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
)
_TRANSIENT = ("UNAVAILABLE", "RESOURCE_EXHAUSTED")


class _Settings:
    """What both kinds of channel are made with."""

    def __init__(self, url: str, headers: dict[str, str], verify: bool | str) -> None:
        parts = urlsplit(url)
        self.target = parts.netloc.rpartition("@")[2]
        self.metadata = [(name.lower(), value) for name, value in headers.items()]
        self.credentials: grpc.ChannelCredentials | None = None
        if parts.scheme == "https":
            if verify is False:
                raise ValueError("gRPC always verifies; give the path of a certificate to trust")
            roots = Path(verify).read_bytes() if isinstance(verify, str) else None
            self.credentials = grpc.ssl_channel_credentials(roots)


class GrpcTransport:
    """Blocks."""

    def __init__(self, url: str, headers: dict[str, str], verify: bool | str) -> None:
        made = self._settings = _Settings(url, headers, verify)
        self._channel: Any = (
            grpc.secure_channel(made.target, made.credentials, options=_OPTIONS)
            if made.credentials
            else grpc.insecure_channel(made.target, options=_OPTIONS)
        )

    def send(self, request: GrpcRequest, seconds: float) -> bytes:
        """The answer to a request.

        Raises:
            ConnectionFailed, DeadlineExceeded, ServerError: there is none.
        """
        ask: Any = self._channel.unary_unary(request.path, None, None)
        try:
            return bytes(ask(request.body, timeout=seconds, metadata=self._settings.metadata))
        except grpc.RpcError as error:
            raise _failure(error) from error
        except ValueError as error:  # the channel is closed
            raise ConnectionFailed(str(error)) from error

    def close(self) -> None:
        """Close its connections."""
        self._channel.close()


class AsyncGrpcTransport:
    """Does not block."""

    def __init__(self, url: str, headers: dict[str, str], verify: bool | str) -> None:
        self._settings = _Settings(url, headers, verify)
        self._channel: Any = None

    async def send(self, request: GrpcRequest, seconds: float) -> bytes:
        """The answer to a request.

        Raises:
            ConnectionFailed, DeadlineExceeded, ServerError: there is none.
        """
        made = self._settings
        if self._channel is None:  # a channel belongs to the loop that runs when it is made
            self._channel = (
                grpc.aio.secure_channel(made.target, made.credentials, options=_OPTIONS)
                if made.credentials
                else grpc.aio.insecure_channel(made.target, options=_OPTIONS)
            )
        ask = self._channel.unary_unary(request.path)
        try:
            return bytes(await ask(request.body, timeout=seconds, metadata=made.metadata))
        except grpc.RpcError as error:
            raise _failure(error) from error
        except grpc.aio.UsageError as error:  # the channel is closed
            raise ConnectionFailed(str(error)) from error

    async def close(self) -> None:
        """Close its connections."""
        if self._channel is not None:
            await self._channel.close()


def _failure(error: Any) -> PaddlesrvClientError:
    status, text = error.code().name, str(error.details() or "")
    if status == "DEADLINE_EXCEEDED":
        return DeadlineExceeded(text)
    answered = any(key == "request-id" for key, _ in error.trailing_metadata() or ())
    if status == "UNAVAILABLE" and not answered:
        return ConnectionFailed(text)
    return server_error(text, status, transient=status in _TRANSIENT)
