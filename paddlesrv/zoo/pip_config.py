"""What pip would use: its indexes, certificates, proxy and time-out, as pip itself tells them.

pip is asked in a process of its own, since its modules are not for importing. Its answer is made
of two documented things: the default index, and `pip config list`, which joins its files and the
PIP_* environment.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from paddlesrv import own_python
from paddlesrv.errors import SourceUnreachable

PIP_SECONDS = 60.0

_QUESTION = """
import sys
from pip._internal.models.index import PyPI
print(PyPI.simple_url, flush=True)
from pip._internal.cli.main import main
sys.exit(main(["--disable-pip-version-check", "config", "list"]))
"""
_SECTIONS = ("global", "install", "download", ":env:")
"""Later ones go before earlier ones, as for the command `pip download`."""


class PipConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The part of pip's configuration that matters for finding and fetching one file."""

    indexes: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    certificate: str | None = None
    proxy: str | None = None
    trusted_hosts: tuple[str, ...] = ()
    timeout_seconds: float | None = None

    def trusts(self, url: str) -> bool:
        """Whether the user told pip not to verify this host's certificate."""
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        return any(
            trusted.lower() in (host, f"{host}:{parts.port}") for trusted in self.trusted_hosts
        )


def pip_config(index_url: str | None = None) -> PipConfig:
    """Ask pip.

    Args:
        index_url: An index that replaces all of pip's; its other options stay in force.

    Raises:
        SourceUnreachable: pip is not there, and no index was given.
    """
    try:
        answer = subprocess.run(
            [sys.executable, "-c", _QUESTION],
            capture_output=True,
            text=True,
            timeout=PIP_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
            env=own_python.environment(PIP_NO_COLOR="1", PYTHONWARNINGS="ignore"),
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        if index_url:
            return PipConfig(indexes=(index_url,))
        raise SourceUnreachable(
            "pip cannot be asked for the package index to use",
            context={"python": sys.executable},
            hints=[
                "name one: export PADDLESRV_INDEX_URL=https://HOST/simple/",
                f"or install pip: {sys.executable} -m ensurepip",
            ],
        ) from error
    default, _, listing = answer.partition("\n")
    return config_from(default.strip(), options_from(listing), index_url)


def options_from(listing: str) -> dict[str, str]:
    """Options by name from the lines of `pip config list`: `section.name='value'`."""
    sections: dict[str, dict[str, str]] = {}
    for line in listing.splitlines():
        key, mark, text = line.partition("=")
        section, _, name = key.rpartition(".")
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            continue
        if mark and isinstance(value, str):
            sections.setdefault(section, {})[name.lower().replace("_", "-")] = value
    return {k: v for section in _SECTIONS for k, v in sections.get(section, {}).items()}


def config_from(
    default_index: str, options: Mapping[str, str], index_url: str | None = None
) -> PipConfig:
    """The configuration that pip's options mean."""
    closed = options.get("no-index", "0").lower() in ("1", "true", "yes", "on")
    indexes: list[str] = []
    if index_url:
        indexes = [index_url]
    elif not closed:
        indexes = [options.get("index-url", default_index)]
        indexes += options.get("extra-index-url", "").split()
    timeout = options.get("timeout", options.get("default-timeout", ""))
    return PipConfig(
        indexes=tuple(indexes),
        find_links=() if index_url else tuple(options.get("find-links", "").split()),
        certificate=options.get("cert"),
        proxy=options.get("proxy"),
        trusted_hosts=tuple(options.get("trusted-host", "").split()),
        timeout_seconds=float(timeout) if timeout.replace(".", "", 1).isdigit() else None,
    )
