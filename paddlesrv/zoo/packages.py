"""`Packages`: where a package's file lies, asked of the manager that it belongs to, when needed."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from paddlesrv.zoo.index import PackageIndex
from paddlesrv.zoo.npm_registry import NpmRegistry
from paddlesrv.zoo.sources import Candidate

if TYPE_CHECKING:
    import httpx


class Packages:
    """pip's indexes and npm's registry, each asked for its configuration once, if at all."""

    def __init__(self, index_url: str | None) -> None:
        self._index_url = index_url
        self._index: PackageIndex | None = None
        self._registry: NpmRegistry | None = None
        self._lock = threading.Lock()
        self._stack = ExitStack()

    def close(self) -> None:
        """Close the connections."""
        self._stack.close()

    def address(self, candidate: Candidate) -> tuple[str, httpx.Client]:
        """The address of a package's file, and the client to fetch it with.

        Raises:
            SourceUnreachable: it is nowhere, or nobody answers.
            IntegrityError: an index has another file under that name.
        """
        package = candidate.package
        if package is None:
            raise ValueError(f"{candidate.where} is no package's file")
        with self._lock:
            if candidate.version is not None:
                if self._registry is None:
                    self._registry = NpmRegistry.of_user()
                    self._stack.callback(self._registry.close)
                return self._registry.find(package, candidate.version)
            if self._index is None:
                self._index = PackageIndex.of_user(self._index_url)
                self._stack.callback(self._index.close)
            link = self._index.find(package, candidate.basename, candidate.sha256 or "")
            return link.url, self._index.client(link.url)
