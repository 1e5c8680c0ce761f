"""Where a model is asked: at the address that was given, or at the server that runs it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from paddlesrv.errors import UsageError
from paddlesrv.server.records import ServerRecord
from paddlesrv.server.status import EVERYWHERE

DEFAULT = "http://127.0.0.1:9393"
_URL = re.compile(r"https?://[A-Za-z0-9._~:/@!$&'()*+,;=%\[\]-]+")


def checked(url: str) -> str:
    """An address that was typed, with its scheme and without a slash at the end.

    Raises:
        UsageError: it is no server's.
    """
    whole = (url if "://" in url else f"http://{url}").rstrip("/")
    try:
        parts = urlsplit(whole)
        good = _URL.fullmatch(whole) is not None and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets or a port that are none
        good = False
    if not good:
        raise UsageError(f"{url!r} is no server's address", hints=[f"e.g. {DEFAULT}"])
    return whole


def host_and_port(url: str) -> tuple[str, int]:
    """The two parts of an address that `checked` let pass."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def serving(model: str, running: Iterable[ServerRecord]) -> str | None:
    """The address of the server that serves a model: a ready one, the latest; None without one."""
    found = [record for record in running if model in record.models and record.state != "stopping"]
    if not found:
        return None
    best = max(found, key=lambda record: (record.state == "ready", record.started_at))
    if best.host not in EVERYWHERE:
        return best.url
    own = EVERYWHERE[best.host]
    host = f"[{own}]" if ":" in own else own
    return f"{urlsplit(best.url).scheme}://{host}:{best.port}"
