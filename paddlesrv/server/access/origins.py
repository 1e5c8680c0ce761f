"""Pages of other sites that may ask from a browser: none, unless the configuration names them.

Source: WHATWG Fetch, 3.2 (CORS protocol). A browser sends some requests of foreign pages without
asking first, and only keeps the answer from the page; a server of models is not to work, let alone
unload models, for them. So what has a foreign origin is refused, not only left without headers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from paddlesrv.errors import Forbidden, UsageError

_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9_-]+(\.[a-z0-9_-]+)*)(:[0-9]{1,5})?")

Headers = tuple[tuple[bytes, bytes], ...]

_PREFLIGHT: Headers = (
    (b"access-control-allow-methods", b"GET, HEAD, POST"),
    (
        b"access-control-allow-headers",
        b"authorization, content-type, x-api-key, x-request-id, inference-header-content-length",
    ),
    (b"access-control-max-age", b"600"),
)
_EXPOSED = b"x-request-id, inference-header-content-length, retry-after"


@dataclass(frozen=True)
class Origins:
    """Which origins may ask besides the server's own; `*` is any."""

    allowed: frozenset[str]

    @classmethod
    def of(cls, allowed: str | None) -> Origins:
        """Those of a configuration: origins with commas between, `*`, or None.

        Raises:
            UsageError: one is no origin.
        """
        if allowed is None:
            return cls(frozenset())
        origins = [word.strip() for word in allowed.split(",")]
        for origin in origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise UsageError(
                    f"{origin!r} is no origin",
                    context={
                        "wanted": "SCHEME://HOST[:PORT] in small letters, without a path; or *"
                    },
                    hints=["for example: --cors-origin https://example.com"],
                )
        return cls(frozenset(origins))

    def check(self, origin: str | None, host: str | None) -> None:
        """Whether a page of that origin may ask, under that Host header.

        Raises:
            Forbidden: it may not.
        """
        if origin is None or self._allows(origin):
            return
        # The scheme is left out: a gateway before the server may speak TLS for it.
        if host is not None and origin.partition("://")[2].lower() == host.lower():
            return
        raise Forbidden(
            f"pages of {origin} may not ask this server",
            hints=["if they are to, start it with --cors-origin ORIGIN"],
        )

    def headers(self, origin: str | None) -> Headers:
        """What lets a page of that origin read an answer; nothing for others."""
        if not self.allowed:
            return ()
        if origin is None or not self._allows(origin):
            return ((b"vary", b"origin"),)
        shown = b"*" if "*" in self.allowed else origin.encode("latin-1")
        return (
            (b"access-control-allow-origin", shown),
            (b"access-control-expose-headers", _EXPOSED),
            (b"vary", b"origin"),
        )

    def preflight(self, origin: str) -> Headers:
        """The answer to a browser that asks whether a page of that origin may ask.

        Raises:
            Forbidden: it may not.
        """
        if not self._allows(origin):
            self.check(origin, None)
        return (*self.headers(origin), *_PREFLIGHT)

    def _allows(self, origin: str) -> bool:
        return "*" in self.allowed or origin in self.allowed
