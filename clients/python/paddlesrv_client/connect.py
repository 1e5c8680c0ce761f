"""From an address and a protocol's name to what speaks it."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from paddlesrv_client.protocol import AsyncTransport, Codec, Transport

Protocol = Literal["http", "grpc", "brpc"]


def connect(
    url: str, protocol: Protocol, headers: dict[str, str], verify: bool | str, compression: str
) -> tuple[Codec, Transport]:
    """Calls and a transport that blocks.

    Raises:
        ValueError: the address or an option cannot be meant so.
    """
    url = _checked(url, protocol, compression)
    from paddlesrv_client.http import HttpTransport
    from paddlesrv_client.open_inference import HttpCodec

    return HttpCodec(), HttpTransport(url, headers, verify)


def connect_async(
    url: str, protocol: Protocol, headers: dict[str, str], verify: bool | str, compression: str
) -> tuple[Codec, AsyncTransport]:
    """Calls and a transport that does not block.

    Raises:
        ValueError: the address or an option cannot be meant so.
    """
    url = _checked(url, protocol, compression)
    from paddlesrv_client.http import AsyncHttpTransport
    from paddlesrv_client.open_inference import HttpCodec

    return HttpCodec(), AsyncHttpTransport(url, headers, verify)


def _checked(url: str, protocol: str, compression: str) -> str:
    if protocol not in ("http",):
        raise ValueError(f'protocol {protocol!r} is none of "http"')
    if compression != "none":
        raise ValueError("compression is for bRPC's messages")
    url = url if "://" in url else f"http://{url}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no server's address, e.g. http://127.0.0.1:9393")
    return url.rstrip("/")
