"""One URL to one file whose digest is known: resumed, retried, bounded, verified.

Facts about servers that this rests on: RFC 9110 sections 13.1.5 (If-Range), 14 (ranges) and
15.3.7, 15.5.17 (206 and 416 answers).
"""

from __future__ import annotations

import errno
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from paddlesrv.errors import IntegrityError, PaddlesrvError, SourceUnreachable
from paddlesrv.zoo import network
from paddlesrv.zoo.network import Retry, mask
from paddlesrv.zoo.partial import CHUNK_BYTES, Identity, Partial
from paddlesrv.zoo.progress import Observer, SilentObserver

if TYPE_CHECKING:
    import httpx

FREE_SPACE_MARGIN_BYTES = 16 << 20
_CONTENT_RANGE = re.compile(r"bytes\s+(\d+)-(\d+)/(\d+|\*)$")
_RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


def download(
    url: str,
    destination: Path,
    *,
    partial: Path | None = None,
    sha256: str | None = None,
    size: int | None = None,
    client: httpx.Client | None = None,
    observer: Observer | None = None,
    model: str = "",
    retry: Retry | None = None,
) -> str:
    """Bring a file here, whole and verified, or leave what came for the next run.

    Args:
        url: `http:`, `https:` or `file:`.
        destination: Where the finished file appears, by a rename.
        partial: Where unfinished bytes are kept, on the same file system;
            by default beside the destination.
        sha256: What the bytes must hash to, hexadecimal; None accepts any.
        size: Length in bytes that they must have, if known.
        client: See `network.open_client`; one is opened for this call if None.
        observer: Is told of bytes, waits and restarts.
        model: Name for the observer.
        retry: How often and how patiently to try again.

    Returns:
        The sha256 of the file, hexadecimal.

    Raises:
        SourceUnreachable: the server could not be reached, refused, or broke off too often.
        IntegrityError: the digest or the size is another one; the bytes are gone.
        PaddlesrvError: the disk is full.
    """
    observer = observer or SilentObserver()
    partial = partial or destination.with_name(destination.name + ".part")
    try:
        unfinished = Partial(partial, observer)
        try:
            transfer = _Transfer(url, unfinished, sha256, size, observer, model, retry or Retry())
            if (local := network.file_path(url)) is not None:
                transfer.copy(local)
            elif client is not None:
                transfer.receive(client)
            else:
                with network.open_client() as own:
                    transfer.receive(own)
            unfinished.finish(destination)
            return unfinished.digest.hexdigest()
        finally:
            unfinished.close()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _disk_full(partial.parent) from error


class _Transfer:
    """The state of one download: what is here, what it must be, how often it failed."""

    def __init__(
        self,
        url: str,
        partial: Partial,
        sha256: str | None,
        size: int | None,
        observer: Observer,
        model: str,
        retry: Retry,
    ) -> None:
        self.url = url
        self.partial = partial
        self.sha256 = sha256.lower() if sha256 else None
        self.size = size
        self.observer = observer
        self.model = model
        self.retry = retry
        self.began_with = partial.size

    def copy(self, path: Path) -> None:
        """Copy a local file."""
        self.partial.restart()
        try:
            with path.open("rb") as file:
                total = path.stat().st_size
                self._check_size(total)
                self._check_space(total)
                while chunk := file.read(CHUNK_BYTES):
                    self._append(chunk, total)
        except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
            raise SourceUnreachable(f"{path} cannot be read: {error.strerror}") from error
        self._verify()

    def receive(self, client: httpx.Client) -> None:
        """Fetch until whole and verified, over as many connections as it takes."""
        if not self._may_resume():
            self.partial.restart()
            self.began_with = 0
        if self.began_with:
            self.observer.note(f"going on after {self.began_with} bytes of an earlier run")
        try:
            self._receive_whole(client)
            self._verify()
        except IntegrityError:
            if not self.began_with:
                raise
            # The earlier bytes may be what is wrong (a crash, a disk): once more, afresh.
            self.observer.note("what an earlier run had left does not fit; starting again")
            self.partial.restart()
            self.began_with = 0
            self._receive_whole(client)
            self._verify()

    def _may_resume(self) -> bool:
        """Without a validator only a known digest can tell a splice from the whole."""
        identity = self.partial.identity
        return (
            identity is not None
            and identity.url == network.without_credentials(self.url)
            and (identity.validator is not None or self.sha256 is not None)
        )

    def _receive_whole(self, client: httpx.Client) -> None:
        import httpx

        failures = 0
        for _ in range(self.retry.attempts_max):
            before = self.partial.size
            try:
                if self._is_whole() or self._attempt(client):
                    return
                error: httpx.HTTPError | None = None  # cut short without an error
            except httpx.HTTPError as caught:
                error = caught
            except httpx.InvalidURL as caught:
                raise self._unreachable(caught) from caught
            if error is not None and not _is_worth_retrying(error):
                raise self._unreachable(error) from error
            failures = 1 if self.partial.size > before else failures + 1
            connects = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
            delays = self.retry.connect_delays if connects else self.retry.delays
            if failures > len(delays):
                raise self._unreachable(error) from error
            time.sleep(max(delays[failures - 1], _retry_after(error, delays)))
        raise self._unreachable(None)

    def _is_whole(self) -> bool:
        identity = self.partial.identity
        whole = self.size or (identity.size if identity else None)
        return whole is not None and self.partial.size == whole

    def _attempt(self, client: httpx.Client) -> bool:
        """One request. True if the end was reached, False if the answer was useless or short."""
        offset, headers = self.partial.size, {}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if self.partial.identity and self.partial.identity.validator:
                headers["If-Range"] = self.partial.identity.validator
        with network.stream(client, self.url, headers) as response:
            if response.status_code == 416 and offset:
                self.observer.note("the server does not have the rest; starting again")
                self.partial.restart()
                return False
            response.raise_for_status()
            self._refuse_downgrade(response)
            if not self._accept(response, offset):
                return False
            total = self.partial.identity.size if self.partial.identity else None
            # No chunk size: httpx would gather that much, and lose it when the connection breaks.
            for chunk in response.iter_raw():
                self._append(chunk, total)
        return total is None or self.partial.size == total

    def _accept(self, response: httpx.Response, offset: int) -> bool:
        """Whether the body goes on where the file ends; restarts the file if it is all of it."""
        if response.status_code == 206:
            found = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
            total = int(found[3]) if found and found[3] != "*" else None
            known = self.partial.identity
            same = known is None or (
                _etag(response) in (None, known.etag)
                and (total is None or known.size in (None, total))
            )
            if offset and found and int(found[1]) == offset and same:
                return True
            self.observer.note("the server sent another part than was asked for; starting again")
            self.partial.restart()
            return False
        total = _content_length(response)
        if offset:
            self.observer.note("the file has changed or cannot be continued; starting again")
            self.began_with = 0
        self._check_size(total)
        self.partial.restart(
            Identity(
                url=network.without_credentials(self.url),
                etag=_etag(response),
                last_modified=response.headers.get("Last-Modified"),
                size=total if total is not None else self.size,
            )
        )
        self._check_space(total or self.size or 0)
        return True

    def _append(self, chunk: bytes, total: int | None) -> None:
        if total is not None and self.partial.size + len(chunk) > total:
            self.partial.restart()
            raise IntegrityError(
                f"{mask(self.url)} sends more than it said",
                context={"expected": f"{total} bytes"},
            )
        self.partial.append(chunk)
        self.observer.bytes(self.model, self.partial.size, total)

    def _refuse_downgrade(self, response: httpx.Response) -> None:
        """A redirect from https to http is only good where a digest vouches for the bytes."""
        if self.url.startswith("https:") and response.url.scheme == "http" and not self.sha256:
            raise SourceUnreachable(
                f"{mask(self.url)} redirects to a connection that is not encrypted",
                context={"to": mask(str(response.url))},
            )

    def _check_size(self, total: int | None) -> None:
        if self.size is not None and total is not None and total != self.size:
            self.partial.restart()
            raise IntegrityError(
                f"{mask(self.url)} has another size than is known of it",
                context={"expected": f"{self.size} bytes", "got": f"{total} bytes"},
            )

    def _check_space(self, total: int) -> None:
        free = shutil.disk_usage(self.partial.path.parent).free
        if total + FREE_SPACE_MARGIN_BYTES > free:
            raise _disk_full(self.partial.path.parent, needed=total, free=free)

    def _verify(self) -> None:
        got = self.partial.digest.hexdigest()
        if self.sha256 is not None and got != self.sha256:
            self.partial.restart()
            raise IntegrityError(
                f"{mask(self.url)} is not the file that was published under this name",
                context={"expected": f"sha256 {self.sha256}", "got": f"sha256 {got}"},
            )

    def _unreachable(self, error: BaseException | None) -> SourceUnreachable:
        why = network.reason(error) if error else "the transfer breaks off again and again"
        kept = self.partial.size
        context = {"kept": f"{kept} bytes, for the next run"} if kept else {}
        return SourceUnreachable(f"{mask(self.url)} cannot be fetched: {why}", context=context)


def _is_worth_retrying(error: httpx.HTTPError) -> bool:
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in _RETRIED_STATUS
    if isinstance(error, httpx.TransportError):
        hopeless = (httpx.UnsupportedProtocol, httpx.ProxyError, httpx.LocalProtocolError)
        return not isinstance(error, hopeless) and not network.is_certificate_error(error)
    return False


def _retry_after(error: httpx.HTTPError | None, delays: tuple[float, ...]) -> float:
    """Seconds that the server asks for, never more than our own longest wait times four."""
    import httpx

    if not isinstance(error, httpx.HTTPStatusError) or not delays:
        return 0.0
    text = error.response.headers.get("Retry-After", "")
    return min(float(text), 4 * max(delays)) if text.isascii() and text.isdigit() else 0.0


def _etag(response: httpx.Response) -> str | None:
    etag = response.headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else None


def _content_length(response: httpx.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _disk_full(
    directory: Path, needed: int | None = None, free: int | None = None
) -> PaddlesrvError:
    context = {"where": str(directory)}
    if needed is not None and free is not None:
        context |= {"needed": f"{needed} bytes", "free": f"{free} bytes"}
    return PaddlesrvError(
        "there is not enough free space",
        context=context,
        hints=["remove unfinished downloads: paddlesrv cache prune --partial"],
    )
