"""Asking the catalogue's addresses whether they answer; nothing is downloaded.

Each address is asked once, by HEAD, or for its first byte where HEAD is not understood. Packages
are looked up on the user's package index or registry first. Few are asked at a time, with short
time-outs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

from paddlesrv.errors import PaddlesrvError, SourceUnreachable
from paddlesrv.settings import Settings
from paddlesrv.zoo import network, sources
from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.entries import Entry
from paddlesrv.zoo.packages import Packages
from paddlesrv.zoo.sources import Candidate

if TYPE_CHECKING:
    import httpx

AT_A_TIME = 8
ANSWER_SECONDS = 15.0
_ERRNO = re.compile(r"^\[Errno -?\d+\] ")
_TOTAL = re.compile(r"bytes\s+\d+-\d+/(\d+)$")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What one address said.

    `models` are those that it is for. `answers` is whether the file is there; `said` the status,
    or why there was none. Sizes are in bytes, `expected_bytes` only where the catalogue is exact.
    """

    models: tuple[str, ...]
    kind: str
    where: str
    answers: bool
    said: str
    size_bytes: int | None = None
    expected_bytes: int | None = None

    @property
    def size_agrees(self) -> bool | None:
        """Whether the size is the catalogue's; None if either is not known."""
        if self.size_bytes is None or self.expected_bytes is None:
            return None
        return self.size_bytes == self.expected_bytes


class Prober:
    """Asks addresses; a context, which closes its connections."""

    def __init__(self, catalogue: Catalogue, settings: Settings) -> None:
        self._catalogue = catalogue
        self._settings = settings
        self._client = network.open_client(stall_seconds=ANSWER_SECONDS)
        self._packages = Packages(settings.index_url)

    def __enter__(self) -> Prober:
        return self

    def __exit__(self, *exception: object) -> None:
        self._client.close()
        self._packages.close()

    def ask(self, entries: Sequence[Entry]) -> Iterator[Answer]:
        """Ask every address of the entries, in their order.

        Raises:
            SourceUnreachable: we are offline.
        """
        if self._settings.offline:
            raise SourceUnreachable(
                "no address is asked: paddlesrv is offline",
                hints=["go online: unset PADDLESRV_OFFLINE"],
            )
        wanted: dict[tuple[str, str], tuple[Candidate, list[str]]] = {}
        for entry in entries:
            for candidate in self._candidates(entry):
                key = (candidate.kind, candidate.where)
                models = wanted.setdefault(key, (candidate, []))[1]
                if entry.name not in models:
                    models.append(entry.name)
        with ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="probe") as pool:
            try:
                yield from pool.map(lambda pair: self._answer(*pair), wanted.values())
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _candidates(self, entry: Entry) -> list[Candidate]:
        return [
            candidate
            for several in (entry.sources, *([extra.source] for extra in entry.extras))
            for candidate in sources.candidates(
                several,
                entry.name,
                mirror=self._settings.mirror,
                manifest_dir=self._catalogue.path.parent,
            )
        ]

    def _answer(self, candidate: Candidate, models: list[str]) -> Answer:
        import httpx

        answers, size_bytes = False, None
        try:
            if candidate.path is not None:
                answers = candidate.path.exists()
                said = "there" if answers else "not there"
                size_bytes = candidate.path.stat().st_size if candidate.path.is_file() else None
            else:
                url, client = self._address(candidate)
                answers, said, size_bytes = self._asked(url, client)
        except httpx.HTTPError as error:
            said = _ERRNO.sub("", network.reason(error))
        except httpx.InvalidURL as error:
            said = f"no address: {error}"
        except OSError as error:
            said = error.strerror or str(error)
        except PaddlesrvError as error:
            details = "; ".join(f"{name} {text}" for name, text in error.context.items())
            said = f"{error.message} ({details})" if details else error.message
        return Answer(
            models=tuple(models),
            kind=candidate.kind,
            where=candidate.where,
            answers=answers,
            said=said,
            size_bytes=size_bytes,
            expected_bytes=candidate.size,
        )

    def _address(self, candidate: Candidate) -> tuple[str, httpx.Client]:
        if candidate.package is None:
            return candidate.url or "", self._client
        return self._packages.address(candidate)

    def _asked(self, url: str, client: httpx.Client) -> tuple[bool, str, int | None]:
        if (path := network.file_path(url)) is not None:
            there = path.is_file()
            return there, "there" if there else "not there", path.stat().st_size if there else None
        with network.stream(client, url, {}, method="HEAD") as response:
            if response.is_success:
                return True, _status(response), _length(response)
            refused = response.status_code
        # Some servers know no HEAD, or sign addresses for GET alone.
        if refused in (404, 410):
            return False, _status(response), None
        with network.stream(client, url, {"Range": "bytes=0-0"}) as response:
            total = _TOTAL.match(response.headers.get("Content-Range", ""))
            size = int(total[1]) if total else None
            if response.status_code == 200:
                size = _length(response)
            return response.is_success, _status(response), size


def _status(response: httpx.Response) -> str:
    return f"{response.status_code} {response.reason_phrase}".rstrip()


def _length(response: httpx.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None
