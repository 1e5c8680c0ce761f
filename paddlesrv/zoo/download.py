"""One URL to one file whose digest is known: resumed, retried, bounded, verified.

Where the server proves that it can (a range answered as asked for, with a strong validator and
the whole size), and one connection does not bring all that this machine can take, several bring
the rest; see `crew`. Facts about servers that this
rests on: RFC 9110 sections 13.1.5 (If-Range), 14 (ranges), 15.3.7 and 15.5.17 (206 and 416
answers), 8.4 (content encodings).
"""

from __future__ import annotations

import errno
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from paddlesrv.errors import IntegrityError, PaddlesrvError, SourceUnreachable
from paddlesrv.zoo import network
from paddlesrv.zoo.answers import content_length, content_range, encoding, strong_etag
from paddlesrv.zoo.crew import CONNECTIONS, Crew, RangesBroken
from paddlesrv.zoo.encodings import GZIP, decode_gzip
from paddlesrv.zoo.network import Retry, mask
from paddlesrv.zoo.partial import CHUNK_BYTES, Identity, Partial, this_boot
from paddlesrv.zoo.pieces import PIECE_BYTES
from paddlesrv.zoo.progress import Observer, SilentObserver

if TYPE_CHECKING:
    import httpx

FREE_SPACE_MARGIN_BYTES = 16 << 20
ONE_IS_ENOUGH = 100e6
"""Bytes per second at which one connection is used for all: the network is not what limits it,
and further ones would only compete for the processor."""

Outcome = Literal["whole", "more", "short"]
"""Of one request: the end was reached; there is more to ask for; it broke off or was no use."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A file: where it is, and what must be true of it.

    `url` is `http:`, `https:` or `file:`. `sha256` (hexadecimal) and `size` (bytes) must hold
    where they are given. `model` is a name for the observer.
    """

    url: str
    sha256: str | None = None
    size: int | None = None
    model: str = ""


@dataclass(frozen=True, kw_only=True)
class Means:
    """How it is fetched; `client` is opened for each file where none is given.

    A file of more than `piece_bytes` is asked for in pieces, over so many `connections` at once.
    """

    client: httpx.Client | None = None
    observer: Observer = field(default_factory=SilentObserver)
    retry: Retry = field(default_factory=Retry)
    connections: int = CONNECTIONS
    piece_bytes: int = PIECE_BYTES


def receive(wanted: Wanted, partial: Path, means: Means | None = None) -> Partial:
    """Bring a file here, whole and verified, or leave what came for the next run.

    Args:
        wanted: The file.
        partial: Where its bytes are kept until somebody takes them.
        means: How it is fetched.

    Returns:
        The file, whole and still locked; the caller finishes or discards it, and closes it.

    Raises:
        SourceUnreachable: the server could not be reached, refused, or broke off too often.
        IntegrityError: the digest or the size is another one; the bytes are gone.
        PaddlesrvError: the disk is full.
    """
    means = means or Means()
    try:
        unfinished = Partial(partial, means.observer)
        try:
            transfer = _Transfer(wanted, unfinished, means)
            if (local := network.file_path(wanted.url)) is not None:
                transfer.copy(local)
            elif means.client is not None:
                transfer.receive(means.client)
            else:
                with network.open_client() as own:
                    transfer.receive(own)
        except BaseException:
            unfinished.close()
            raise
        return unfinished
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _disk_full(partial.parent) from error


def download(wanted: Wanted, destination: Path, means: Means | None = None) -> str:
    """Bring a file to a place of its own; unfinished bytes are kept beside it.

    Returns:
        The sha256 of the file, hexadecimal.

    Raises:
        PaddlesrvError: as `receive`.
    """
    whole = receive(wanted, destination.with_name(destination.name + ".part"), means)
    try:
        sha256 = whole.hexdigest()
        whole.finish(destination)
    finally:
        whole.close()
    return sha256


class _Transfer:
    """The state of one download: what is here, what it must be, how often it failed."""

    def __init__(self, wanted: Wanted, partial: Partial, means: Means) -> None:
        self.url = wanted.url
        self.sha256 = wanted.sha256.lower() if wanted.sha256 else None
        self.size = wanted.size
        self.model = wanted.model
        self.partial = partial
        self.means = means
        self.observer = means.observer
        self.retry = means.retry
        self.began_with = partial.here
        small = self.size is not None and self.size <= means.piece_bytes
        self.in_ranges = means.connections > 1 and not small
        """Whether it is asked for piece by piece, as long as the server goes along."""
        self.encoding: str | None = None

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
        """A known digest tells all; else validators must, of bytes that no crash has touched."""
        identity = self.partial.identity
        if identity is None or identity.url != network.without_credentials(self.url):
            return False
        if self.sha256 is not None:
            return True
        untouched = identity.boot is not None and identity.boot == this_boot()
        return identity.validator is not None and untouched

    def _can_tell_a_splice(self, response: httpx.Response) -> bool:
        """Whether a part of another file, put behind this part, would be noticed."""
        validator = strong_etag(response) or response.headers.get("Last-Modified")
        return self.sha256 is not None or validator is not None

    def _receive_whole(self, client: httpx.Client) -> None:
        import httpx

        failures = 0
        for _ in range(self.retry.attempts_max):
            before = self.partial.here
            error: httpx.HTTPError | None = None
            try:
                outcome: Outcome = "whole" if self._is_whole() else self._attempt(client)
            except httpx.HTTPError as caught:
                outcome, error = "short", caught
            except httpx.InvalidURL as caught:
                raise self._unreachable(caught) from caught
            if outcome == "whole":
                return
            if outcome == "more":
                continue
            if error is not None and not network.is_worth_retrying(error):
                raise self._unreachable(error) from error
            failures = 1 if self.partial.here > before else failures + 1
            seconds = network.seconds_to_wait(error, failures, self.retry)
            if seconds is None:
                raise self._unreachable(error) from error
            time.sleep(seconds)
        raise self._unreachable(None)

    def _is_whole(self) -> bool:
        identity = self.partial.identity
        whole = (identity.size if identity else None) or self.size
        return whole is not None and self.partial.size == whole

    def _attempt(self, client: httpx.Client) -> Outcome:
        """One request, or several connections until nothing is missing."""
        if self.in_ranges and self.partial.identity and self.partial.identity.ranges:
            return self._bring_pieces(client)
        self.partial.end_pieces()
        offset = self.partial.size
        with network.stream(client, self.url, self._range(offset)) as response:
            if response.status_code == 416 and (offset or self.in_ranges):
                if offset:
                    self.observer.note("the server does not have the rest; starting again")
                    self.partial.restart()
                # Of an empty file not even the first piece can be had.
                self.in_ranges = False
                return "short" if offset else "more"
            response.raise_for_status()
            self._refuse_downgrade(response)
            probing = self.in_ranges and not offset
            if not self._accept(response, offset):
                # Asked again for all of it, which is no failure if it was only a probe.
                return "more" if probing else "short"
            total = self.partial.identity.size if self.partial.identity else None
            began = time.monotonic()
            # No chunk size: httpx would gather that much, and lose it when the connection breaks.
            for chunk in response.iter_raw():
                self._append(chunk, total)
        if total is None or self.partial.size == total:
            return "whole"
        if offset or response.status_code != 206:
            return "short"
        seconds = time.monotonic() - began
        self.in_ranges = self.in_ranges and self.partial.size < seconds * ONE_IS_ENOUGH
        return "more"

    def _range(self, offset: int) -> dict[str, str]:
        """The headers that ask for the rest; of a fresh file for its first piece, as a probe."""
        if not offset:
            return {"Range": f"bytes=0-{self.means.piece_bytes - 1}"} if self.in_ranges else {}
        headers = {"Range": f"bytes={offset}-"}
        if self.partial.identity and self.partial.identity.validator:
            headers["If-Range"] = self.partial.identity.validator
        return headers

    def _bring_pieces(self, client: httpx.Client) -> Outcome:
        identity = self.partial.identity
        assert identity is not None, "ranges are proven"
        assert identity.etag is not None, "ranges are proven"
        assert identity.size is not None, "ranges are proven"
        self._check_space(identity.size - self.partial.here)
        self.partial.begin_pieces(identity.size, self.means.piece_bytes)
        crew = Crew(
            client, self.url, self.partial, identity.etag,
            retry=self.retry, observer=self.observer, model=self.model,
        )  # fmt: skip
        try:
            crew.bring(self.means.connections)
        except RangesBroken:
            self.observer.note("the server does not keep to ranges; going on over one connection")
            self.in_ranges = False
            return "more"
        return "whole"

    def _accept(self, response: httpx.Response, offset: int) -> bool:
        """Whether the body goes on where the file ends; restarts the file if it is all of it."""
        self.encoding = encoding(response)
        if self.encoding is not None and self.encoding not in GZIP:
            raise SourceUnreachable(
                f"{mask(self.url)} is sent in an encoding that was not asked for",
                context={"expected": "the file as it is", "got": self.encoding},
            )
        if response.status_code == 206:
            return self._accept_part(response, offset)
        self.in_ranges = False
        total = content_length(response)
        if offset:
            self.observer.note("the file has changed or cannot be continued; starting again")
            self.began_with = 0
        self._begin(response, total if total is not None or self.encoding else self.size)
        return True

    def _accept_part(self, response: httpx.Response, offset: int) -> bool:
        part = content_range(response)
        if not offset and self.in_ranges and part is not None and part.first == 0:
            etag = strong_etag(response)
            piece = (
                part.total is not None and part.last == min(self.means.piece_bytes, part.total) - 1
            )
            proven = piece and etag is not None and self.encoding is None
            self.in_ranges = proven
            whole = part.total is not None and part.last + 1 == part.total
            if not whole and not self._can_tell_a_splice(response):
                return False
            self._begin(response, part.total, ranges=proven)
            return True
        known = self.partial.identity
        same = known is None or (
            strong_etag(response) in (None, known.etag)
            and (part is None or part.total is None or known.size in (None, part.total))
        )
        if offset and part and part.first == offset and same:
            return True
        self.observer.note("the server sent another part than was asked for; starting again")
        self.in_ranges = False
        self.partial.restart()
        return False

    def _begin(self, response: httpx.Response, total: int | None, *, ranges: bool = False) -> None:
        """From now on the file is what this answer is a part of."""
        if self.encoding is None:
            self._check_size(total)
        self.partial.restart(
            Identity(
                url=network.without_credentials(self.url),
                etag=strong_etag(response),
                last_modified=response.headers.get("Last-Modified"),
                size=total,
                boot=this_boot(),
                ranges=ranges,
            )
        )
        self._check_space(total or self.size or 0)

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
        got = self.partial.hexdigest()
        if self.encoding is not None and self._was_encoded(got):
            decode_gzip(self.partial, self.size)
            got = self.partial.hexdigest()
        if self.sha256 is not None and got != self.sha256:
            self.partial.restart()
            raise IntegrityError(
                f"{mask(self.url)} is not the file that was published under this name",
                context={"expected": f"sha256 {self.sha256}", "got": f"sha256 {got}"},
            )

    def _was_encoded(self, sha256: str) -> bool:
        """Whether the server compressed the file on its way, and did not just say so."""
        if self.sha256 is not None:
            return sha256 != self.sha256
        return not urlsplit(self.url).path.endswith((".gz", ".tgz"))

    def _unreachable(self, error: BaseException | None) -> SourceUnreachable:
        why = network.reason(error) if error else "the transfer breaks off again and again"
        kept = self.partial.here
        context = {"kept": f"{kept} bytes, for the next run"} if kept else {}
        return SourceUnreachable(f"{mask(self.url)} cannot be fetched: {why}", context=context)


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
