"""HTTP's transports, on httpx."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import Any, NoReturn
from urllib.parse import urlsplit

import httpx

from paddlesrv_client.errors import ConnectionFailed, DeadlineExceeded, MalformedAnswer
from paddlesrv_client.open_inference import HttpAnswer, HttpRequest

_LOCAL = ("127.0.0.1", "localhost", "::1")


def options(url: str, headers: dict[str, str], verify: bool | str) -> dict[str, Any]:
    """What both of httpx's clients are made with."""
    # A proxy of the environment is meant for the outside, not for one's own server.
    trusts = urlsplit(url).hostname not in _LOCAL
    trusted: bool | ssl.SSLContext = (
        ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify
    )
    # Tensors hardly shrink, and would wait for it.
    headers = {"Accept-Encoding": "identity", **headers}
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=32)
    return {
        "base_url": url, "headers": headers, "verify": trusted, "trust_env": trusts,
        "limits": limits,
    }  # fmt: skip


class HttpTransport:
    """Blocks."""

    def __init__(self, url: str, headers: dict[str, str], verify: bool | str) -> None:
        self._client = httpx.Client(**options(url, headers, verify))

    def send(self, request: HttpRequest, seconds: float) -> HttpAnswer:
        """The answer to a request.

        Raises:
            ConnectionFailed, DeadlineExceeded, MalformedAnswer: there is none.
        """
        end = time.monotonic() + seconds
        try:
            with self._client.stream(
                request.method, request.path, content=request.body or None,
                headers=request.headers, timeout=seconds,
            ) as response:  # fmt: skip
                parts = []
                for part in response.iter_bytes():
                    parts.append(part)
                    # httpx's time is for each read: a server that drips would never end.
                    if time.monotonic() > end:
                        raise DeadlineExceeded(f"no whole answer within {seconds:g} s")
                return HttpAnswer(response.status_code, response.headers, b"".join(parts))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            _failed(error, seconds)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()


class AsyncHttpTransport:
    """Does not block."""

    def __init__(self, url: str, headers: dict[str, str], verify: bool | str) -> None:
        self._client = httpx.AsyncClient(**options(url, headers, verify))

    async def send(self, request: HttpRequest, seconds: float) -> HttpAnswer:
        """The answer to a request.

        Raises:
            ConnectionFailed, DeadlineExceeded, MalformedAnswer: there is none.
        """
        try:
            response = await asyncio.wait_for(
                self._client.request(
                    request.method, request.path, content=request.body or None,
                    headers=request.headers, timeout=None,
                ),
                seconds,
            )  # fmt: skip
        except asyncio.TimeoutError:
            raise DeadlineExceeded(f"no answer within {seconds:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            _failed(error, seconds)
        return HttpAnswer(response.status_code, response.headers, response.content)

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()


def _failed(error: Exception, seconds: float) -> NoReturn:
    told = str(error) or type(error).__name__
    if isinstance(error, httpx.TimeoutException):
        raise DeadlineExceeded(f"no answer within {seconds:g} s") from error
    if isinstance(error, httpx.DecodingError):
        raise MalformedAnswer(told) from error
    raise ConnectionFailed(told) from error
