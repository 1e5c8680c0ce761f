"""A small file of the web, into memory: bounded, tried again, absent when it is not there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from paddlesrv.errors import IntegrityError, SourceUnreachable
from paddlesrv.zoo import network
from paddlesrv.zoo.network import mask

if TYPE_CHECKING:
    import httpx

TRIES = 3
_ABSENT = (404, 410)


def read_small(
    client: httpx.Client, url: str, bytes_max: int, headers: dict[str, str] | None = None
) -> bytes | None:
    """The bytes at a URL (http, https or file); None if there is nothing.

    Raises:
        SourceUnreachable: it does not answer, or refuses.
        IntegrityError: it is longer than `bytes_max`.
    """
    import httpx

    if (path := network.file_path(url)) is not None:
        return _local(path, bytes_max)
    failure: httpx.HTTPError | None = None
    for _ in range(TRIES):
        try:
            with network.stream(client, url, headers or {}) as response:
                if response.status_code in _ABSENT:
                    return None
                response.raise_for_status()
                body = bytearray()
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > bytes_max:
                        raise _too_long(mask(url), bytes_max)
                return bytes(body)
        except httpx.InvalidURL as error:
            raise SourceUnreachable(f"{mask(url)} is no address: {error}") from error
        except httpx.HTTPError as error:
            failure = error
            status = getattr(getattr(error, "response", None), "status_code", 500)
            if status < 500 or network.is_certificate_error(error):
                break
    why = network.reason(failure) if failure else "it was not asked"
    raise SourceUnreachable(f"{mask(url)} cannot be fetched: {why}") from failure


def _local(path: Path, bytes_max: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SourceUnreachable(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > bytes_max:
        raise _too_long(str(path), bytes_max)
    return data


def _too_long(what: str, bytes_max: int) -> IntegrityError:
    return IntegrityError(f"{what} is too long", context={"at most": f"{bytes_max} bytes"})
