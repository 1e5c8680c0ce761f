"""From an address and a protocol's name to what speaks it."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from paddlesrv_client.protocol import AsyncTransport, Codec, Transport

Protocol = Literal["http", "grpc", "brpc"]

# Imported late, each: none needs what another needs.


def connect(
    url: str, protocol: Protocol, headers: dict[str, str], verify: bool | str, compression: str
) -> tuple[Codec, Transport]:
    """Calls and a transport that blocks.

    Raises:
        ValueError: the address or an option cannot be meant so.
        ImportError: gRPC is asked for, and grpcio is not installed.
    """
    url = _checked(url, protocol, compression)
    codec = _codec(protocol, compression)
    if protocol == "grpc":
        from paddlesrv_client.grpc_transport import GrpcTransport

        return codec, GrpcTransport(url, headers, verify)
    if protocol == "brpc":
        from paddlesrv_client.brpc import BrpcTransport

        return codec, BrpcTransport(url, headers)
    from paddlesrv_client.http import HttpTransport

    return codec, HttpTransport(url, headers, verify)


def connect_async(
    url: str, protocol: Protocol, headers: dict[str, str], verify: bool | str, compression: str
) -> tuple[Codec, AsyncTransport]:
    """Calls and a transport that does not block.

    Raises:
        ValueError, ImportError: as `connect`.
    """
    url = _checked(url, protocol, compression)
    codec = _codec(protocol, compression)
    if protocol == "grpc":
        from paddlesrv_client.grpc_transport import AsyncGrpcTransport

        return codec, AsyncGrpcTransport(url, headers, verify)
    if protocol == "brpc":
        from paddlesrv_client.brpc import AsyncBrpcTransport

        return codec, AsyncBrpcTransport(url, headers)
    from paddlesrv_client.http import AsyncHttpTransport

    return codec, AsyncHttpTransport(url, headers, verify)


def _codec(protocol: Protocol, compression: str) -> Codec:
    if protocol == "grpc":
        _need_grpc()
        from paddlesrv_client.open_inference_proto import GrpcCodec

        return GrpcCodec()
    if protocol == "brpc":
        from paddlesrv_client.general_model import BrpcCodec

        return BrpcCodec(compression)
    from paddlesrv_client.open_inference import HttpCodec

    return HttpCodec()


def _need_grpc() -> None:
    try:
        import grpc  # noqa: F401
    except ImportError:
        raise ImportError(
            "gRPC needs grpcio: pip install 'paddlesrv-client[grpc]'", name="grpc"
        ) from None


def _checked(url: str, protocol: str, compression: str) -> str:
    if protocol not in ("http", "grpc", "brpc"):
        raise ValueError(f'protocol {protocol!r} is none of "http", "grpc", "brpc"')
    if compression != "none" and protocol != "brpc":
        raise ValueError("compression is for bRPC's messages")
    url = url if "://" in url else f"http://{url}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no server's address, e.g. http://127.0.0.1:9393")
    return url.rstrip("/")
