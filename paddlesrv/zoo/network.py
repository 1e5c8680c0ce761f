"""How the zoo speaks HTTP: the client's time-outs, which failures are worth another try, and
addresses that may be shown. What is asked for is the callers' business.
"""

from __future__ import annotations

import os
import ssl
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from paddlesrv import __version__
from paddlesrv.errors import UsageError

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS = 10.0
STALL_SECONDS = 30.0
"""A transfer without a byte for this long counts as broken."""
REDIRECTS_MAX = 10
RECEIVE_BYTES = 1 << 20
"""Read from a connection at once; with httpcore's own 64 kB a local transfer takes three times
the processor's time."""
_RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Retry:
    """Seconds to wait before each further try; as many tries as there are waits.

    `delays` holds for transfers that broke and for 5xx answers, and starts anew whenever bytes
    have come; `connect_delays` for hosts that cannot be reached at all, where another source is
    the better bet.
    """

    delays: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    connect_delays: tuple[float, ...] = (0.5,)
    attempts_max: int = 200


def open_client(
    *,
    verify: ssl.SSLContext | bool = True,
    proxy: str | None = None,
    stall_seconds: float = STALL_SECONDS,
) -> httpx.Client:
    """An HTTP client that follows redirects and takes proxies and certificates from the system.

    Answers are asked for as they are stored (`identity`): ranges and digests are of those bytes.
    """
    import httpcore
    import httpx

    httpcore.HTTP11Connection.READ_NUM_BYTES = RECEIVE_BYTES
    return httpx.Client(
        verify=verify,
        proxy=proxy,
        timeout=httpx.Timeout(stall_seconds, connect=CONNECT_SECONDS),
        follow_redirects=True,
        max_redirects=REDIRECTS_MAX,
        headers={"User-Agent": f"paddlesrv/{__version__}", "Accept-Encoding": "identity"},
    )


def stream(
    client: httpx.Client, url: str, headers: dict[str, str], *, method: str = "GET"
) -> AbstractContextManager[httpx.Response]:
    """A streamed request, with credentials from the URL, or else from the user's netrc file.

    Raises:
        UsageError: the netrc file cannot be read as one.
    """
    return client.stream(method, url, headers=headers, auth=_netrc(url))


def _netrc(url: str) -> httpx.Auth | None:
    """From `$NETRC`, or else from `~/.netrc` if it is there; httpx does not look by itself."""
    import netrc

    import httpx

    if urlsplit(url).username is not None:
        return None
    named = os.environ.get("NETRC")
    path = Path(named or "~/.netrc").expanduser()
    if not named and not path.is_file():
        return None
    try:
        # Without a name Python also refuses a file with passwords that others may read.
        return httpx.NetRCAuth(str(path) if named else None)
    except (OSError, UnicodeDecodeError, netrc.NetrcParseError) as error:
        raise UsageError(
            f"the netrc file {path} cannot be used: {error}",
            hints=[f"correct it, keep it to yourself (chmod 600 {path}), or set NETRC=/dev/null"],
        ) from error


def is_certificate_error(error: BaseException) -> bool:
    """Whether the other side's certificate was refused: trying again cannot help."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        if "CERTIFICATE_VERIFY_FAILED" in str(cause):
            return True
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return False


def is_worth_retrying(error: httpx.HTTPError) -> bool:
    """Whether the same request may succeed a moment later."""
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in _RETRIED_STATUS
    if isinstance(error, httpx.TransportError):
        hopeless = (httpx.UnsupportedProtocol, httpx.ProxyError, httpx.LocalProtocolError)
        return not isinstance(error, hopeless) and not is_certificate_error(error)
    return False


def seconds_to_wait(error: httpx.HTTPError | None, failures: int, retry: Retry) -> float | None:
    """How long to wait after so many failures in a row; None if it has been tried enough.

    A server's Retry-After is heeded, up to four times our own longest wait.
    """
    import httpx

    connects = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
    delays = retry.connect_delays if connects else retry.delays
    if failures > len(delays):
        return None
    asked = 0.0
    if isinstance(error, httpx.HTTPStatusError):
        text = error.response.headers.get("Retry-After", "")
        asked = float(text) if text.isascii() and text.isdigit() else 0.0
    return max(delays[failures - 1], min(asked, 4 * max(delays)))


def reason(error: BaseException) -> str:
    """A failure in a few words for a user."""
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        return f"HTTP {error.response.status_code} {error.response.reason_phrase}".rstrip()
    if is_certificate_error(error):
        return "its certificate cannot be verified"
    if isinstance(error, httpx.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS:g} s"
    if isinstance(error, httpx.TimeoutException):
        return "it stopped sending"
    text = mask(str(error)).strip().splitlines()
    return text[0] if text else type(error).__name__


def mask(text: str) -> str:
    """The text with the credentials of every URL in it replaced by `***`."""
    return " ".join(_mask_word(word) for word in text.split(" "))


def _mask_word(word: str) -> str:
    scheme, mark, rest = word.partition("://")
    if not mark:
        return word
    end = min((rest.find(c) for c in "/?#" if c in rest), default=len(rest))
    account, at, host = rest[:end].rpartition("@")
    return f"{scheme}://***@{host}{rest[end:]}" if at and account else word


def without_credentials(url: str) -> str:
    """The URL without user name and password, for records on disk."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def with_credentials_of(url: str, index: str) -> str:
    """The URL with the index's credentials, if it is on the very same host and has none."""
    link, owner = urlsplit(url), urlsplit(index)
    account = owner.netloc.rpartition("@")[0]
    if account and "@" not in link.netloc and _origin(link) == _origin(owner):
        return urlunsplit(link._replace(netloc=f"{account}@{link.netloc}"))
    return url


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port


def file_path(url: str) -> Path | None:
    """The local path of a `file:` URL; None for any other."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None
