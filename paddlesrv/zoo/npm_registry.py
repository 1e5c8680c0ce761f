"""`NpmRegistry`: where one file of an npm package lies, on the registry that npm would use.

The registry's page of a package only says where to look: whether the file is the right one is told
by the digest that the catalogue holds. Nothing of a package is ever built, imported or run.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import msgspec

from paddlesrv.errors import SourceUnreachable
from paddlesrv.zoo import network
from paddlesrv.zoo.certificates import verification
from paddlesrv.zoo.network import mask
from paddlesrv.zoo.npm_config import NpmConfig, npm_config
from paddlesrv.zoo.small_files import read_small

if TYPE_CHECKING:
    import httpx

PAGE_BYTES_MAX = 64 << 20
_ABBREVIATED = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8"


class _Dist(msgspec.Struct):
    tarball: str


class _Version(msgspec.Struct):
    dist: _Dist


class _Page(msgspec.Struct):
    versions: dict[str, _Version] = {}


class NpmRegistry:
    """The user's npm registries. Close it when the files are fetched."""

    def __init__(self, config: NpmConfig) -> None:
        self._config = config
        self._clients: dict[str | None, httpx.Client] = {}
        self._stack = ExitStack()

    @classmethod
    def of_user(cls) -> NpmRegistry:
        """What npm is configured for."""
        return cls(npm_config())

    def close(self) -> None:
        """Close the connections."""
        self._stack.close()

    def find(self, package: str, version: str) -> tuple[str, httpx.Client]:
        """The address of a version's file, and the client to fetch it with.

        Raises:
            SourceUnreachable: no registry is configured or answers, or it does not have it.
        """
        registry = self._config.registry_of(package)
        page = registry + quote(package, safe="@")
        body = read_small(
            self._client(page, registry), page, PAGE_BYTES_MAX, {"Accept": _ABBREVIATED}
        )
        if body is None:
            raise SourceUnreachable(f"{mask(registry)} does not know the package {package}")
        try:
            versions = msgspec.json.decode(body, type=_Page).versions
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise SourceUnreachable(f"{mask(page)} is no page of a registry: {error}") from error
        if version not in versions:
            raise SourceUnreachable(f"{mask(registry)} has no version {version} of {package}")
        url = self._on_registry(versions[version].dist.tarball, package, registry)
        return url, self._client(url, registry)

    def _on_registry(self, url: str, package: str, registry: str) -> str:
        """The address a registry gives; on the registry itself where it names another's place.

        A registry that passes on another one's packages often gives the other one's addresses.
        Those are told by their form, ORIGIN/PACKAGE/-/FILE, which the registry has as well.
        """
        url = network.with_credentials_of(url, registry)
        if _origin(url) == _origin(registry) or self._config.keeps_hosts:
            return url
        path = urlsplit(url).path
        start = f"/{package}/-/"
        file = path.removeprefix(start)
        if file == path or "/" in file:
            return url
        return registry + f"{package}/-/{file}"

    def _client(self, url: str, registry: str) -> httpx.Client:
        """A client with npm's certificates and proxy; credentials go to the registry alone."""
        authorization = None
        if _origin(url) == _origin(registry):
            authorization = self._config.authorization(registry)
        if authorization not in self._clients:
            certificate = self._config.certificate
            client = self._stack.enter_context(
                network.open_client(
                    verify=verification(certificate, "npm config get cafile")
                    if self._config.verifies
                    else False,
                    proxy=self._config.proxy,
                )
            )
            if authorization is not None:
                client.headers["Authorization"] = authorization
            self._clients[authorization] = client
        return self._clients[authorization]


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port
