"""The names that a server answers to: a defence against DNS rebinding.

A page in a browser on this machine can be made to ask the loopback under a name of its site's own:
the name is pointed to 127.0.0.1 once the page is loaded, and the browser takes both for the same
site. Such a request gives itself away by its Host header.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from paddlesrv.errors import Forbidden, UsageError

_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]/@\s]*)(?::[0-9]{0,5})?")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")


@dataclass(frozen=True)
class Hosts:
    """Which names are taken; `names` None: any.

    `probes` is whether even those who look how the server is must use one: on the loopback they
    can, elsewhere Kubernetes and Prometheus use whatever address they found.
    """

    names: frozenset[str] | None
    probes: bool = False

    @classmethod
    def of(cls, allowed: str | None, *, loopback: bool) -> Hosts:
        """Those of a configuration.

        Args:
            allowed: Names with commas between, without ports.
            loopback: Whether the server listens for this machine alone. If it does, or `allowed`
                says something, names are looked at; the loopback's own are always taken.

        Raises:
            UsageError: what is allowed holds no names.
        """
        if allowed is None:
            return cls(frozenset() if loopback else None, loopback)
        names = [word.strip() for word in allowed.split(",")]
        for name in names:
            if not (_NAME.fullmatch(name) or _address(name)):
                raise UsageError(
                    f"{name!r} is no host name",
                    context={"wanted": "names without ports, with commas between"},
                    hints=["for example: --allow-host models.example.com"],
                )
        return cls(frozenset(name.lower().strip("[]").rstrip(".") for name in names), loopback)

    def check(self, header: str | None) -> None:
        """Whether a request may have this Host header; one without any is of no browser.

        Raises:
            Forbidden: it is not for this server.
        """
        if self.names is None or header is None:
            return
        found = _HOST.fullmatch(header)
        name = found[1].lower().rstrip(".").strip("[]") if found else ""
        if name in self.names or name == "localhost" or name.endswith(".localhost"):
            return
        address = _address(name)
        if address is not None and address.is_loopback:
            return
        raise Forbidden(
            f"this server does not go by the name {header!r}",
            hints=["if that is a name of it, start it with --allow-host NAME"],
        )


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
