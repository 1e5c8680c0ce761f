"""`PackageIndex`: where one file of a package lies, on the indexes that pip would use.

The simple API in both forms: HTML (PEP 503) and JSON (PEP 691), over HTTP or in directories. The
page only says where to look: whether the file is the right one is told by the digest that the
catalogue holds. Nothing of a package is ever built, imported or run.
"""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import msgspec

from paddlesrv.errors import IntegrityError, SourceUnreachable
from paddlesrv.zoo import network
from paddlesrv.zoo.certificates import verification
from paddlesrv.zoo.network import Retry, mask
from paddlesrv.zoo.pip_config import PipConfig, pip_config

if TYPE_CHECKING:
    import httpx

PAGE_BYTES_MAX = 64 << 20
_ACCEPT = (
    "application/vnd.pypi.simple.v1+json, "
    "application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
)


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A file on an index: its address, and the sha256 that the index gives for it, if any."""

    url: str
    sha256: str | None = None


class _File(msgspec.Struct):
    filename: str
    url: str
    hashes: dict[str, str] = {}


class _Project(msgspec.Struct):
    files: list[_File] = []


class PackageIndex:
    """The user's package indexes, in pip's order. Close it when the files are fetched."""

    def __init__(self, config: PipConfig) -> None:
        self._config = config
        self._clients: dict[bool, httpx.Client] = {}
        self._stack = ExitStack()

    @classmethod
    def of_user(cls, index_url: str | None = None) -> PackageIndex:
        """The indexes that pip is configured for, or only the one given.

        Raises:
            SourceUnreachable: pip is not there, and no index was given.
        """
        return cls(pip_config(index_url))

    def close(self) -> None:
        """Close the connections."""
        self._stack.close()

    def client(self, url: str) -> httpx.Client:
        """The client for that host, with pip's certificates, proxy and trust."""
        trusted = self._config.trusts(url)
        if trusted not in self._clients:
            self._clients[trusted] = self._stack.enter_context(
                network.open_client(
                    verify=False
                    if trusted
                    else verification(self._config.certificate, "python -m pip config debug"),
                    proxy=self._config.proxy,
                    stall_seconds=max(self._config.timeout_seconds or 0.0, network.STALL_SECONDS),
                )
            )
        return self._clients[trusted]

    def find(self, package: str, file: str, sha256: str) -> Link:
        """Where the file lies: on the first index that has it.

        Raises:
            SourceUnreachable: none has it; says for each index why.
            IntegrityError: an index has a file of that name with another digest.
        """
        reasons: dict[str, str] = {}
        for place in self._config.find_links:
            if (path := _local(place)) and (path / file).is_file():
                return Link(url=(path / file).absolute().as_uri())
        for index in self._config.indexes:
            try:
                links = self._links(index, normalized(package))
            except SourceUnreachable as error:
                reasons[mask(index)] = error.message
                continue
            if file not in links:
                known = "has no such file" if links else "does not know the package"
                reasons[mask(index)] = known
                continue
            link = links[file]
            if link.sha256 is not None and link.sha256.lower() != sha256.lower():
                raise IntegrityError(
                    f"{mask(index)} has another file under the name {file}",
                    context={"expected": f"sha256 {sha256}", "got": f"sha256 {link.sha256}"},
                )
            return link
        raise SourceUnreachable(
            f"{file} of the package {package} is on none of pip's indexes",
            context=reasons or {"indexes": "none is configured"},
            hints=["use another index: export PADDLESRV_INDEX_URL=https://HOST/simple/"],
        )

    def _links(self, index: str, project: str) -> dict[str, Link]:
        page = index.rstrip("/") + f"/{project}/"
        directory = _local(index)
        if directory is not None:
            return _directory_links(directory / project)
        content_type, base, body = self._page(page)
        if content_type == "application/vnd.pypi.simple.v1+json":
            links = _json_links(body, base)
        else:
            links = _html_links(body.decode("utf-8", "replace"), base)
        return {
            name: msgspec.structs.replace(link, url=network.with_credentials_of(link.url, index))
            for name, link in links.items()
        }

    def _page(self, url: str) -> tuple[str, str, bytes]:
        """Content type, address after redirects, body; no links at all for a 404."""
        import httpx

        failures = 0
        while True:
            try:
                with network.stream(self.client(url), url, {"Accept": _ACCEPT}) as response:
                    if response.status_code == 404:
                        return "text/html", url, b""
                    response.raise_for_status()
                    body = bytearray()
                    for chunk in response.iter_bytes():
                        body += chunk
                        if len(body) > PAGE_BYTES_MAX:
                            raise SourceUnreachable(f"{mask(url)} is longer than any index page")
                    kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
                    return kind.lower(), str(response.url), bytes(body)
            except httpx.HTTPError as error:
                failures += 1
                seconds = network.seconds_to_wait(error, failures, Retry())
                if seconds is None or not network.is_worth_retrying(error):
                    raise SourceUnreachable(network.reason(error)) from error
                time.sleep(seconds)
            except httpx.InvalidURL as error:
                raise SourceUnreachable(f"{mask(url)} is no address: {error}") from error


def normalized(package: str) -> str:
    """A package's name as the simple API writes it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).lower()


def _local(place: str) -> Path | None:
    """A directory that is named by a `file:` URL or a path; None for anything remote."""
    return network.file_path(place) if "://" in place or place.startswith("file:") else Path(place)


def _directory_links(directory: Path) -> dict[str, Link]:
    page = directory / "index.html"
    if page.is_file():
        return _html_links(page.read_text("utf-8", "replace"), directory.absolute().as_uri() + "/")
    files = [p for p in directory.iterdir() if p.is_file()] if directory.is_dir() else []
    return {p.name: Link(url=p.absolute().as_uri()) for p in files}


def _json_links(body: bytes, base: str) -> dict[str, Link]:
    try:
        project = msgspec.json.decode(body, type=_Project)
    except msgspec.MsgspecError as error:
        raise SourceUnreachable(f"{mask(base)} is no page of an index: {error}") from error
    return {
        file.filename: Link(
            url=urldefrag(urljoin(base, file.url)).url, sha256=file.hashes.get("sha256")
        )
        for file in project.files
    }


def _html_links(text: str, base: str) -> dict[str, Link]:
    parser = _Anchors()
    parser.feed(text)
    parser.close()
    base = urljoin(base, parser.base) if parser.base else base
    links: dict[str, Link] = {}
    for reference in parser.references:
        url, fragment = urldefrag(urljoin(base, reference))
        name = unquote(urlsplit(url).path.rpartition("/")[2])
        found = re.match(r"sha256=([0-9a-fA-F]{64})", fragment)
        links.setdefault(name, Link(url=url, sha256=found[1] if found else None))
    return links


class _Anchors(HTMLParser):
    """Collects the `href` of every `<a>`, and of `<base>`."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.references: list[str] = []
        self.base: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        reference = dict(attrs).get("href")
        if tag == "a" and reference:
            self.references.append(reference)
        elif tag == "base" and reference and self.base is None:
            self.base = reference
