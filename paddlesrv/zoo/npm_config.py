"""What npm would use: its registry, scopes' registries, certificates, proxy and credentials.

npm itself is asked where it is installed, since only it knows all its files and its default.
Otherwise its documented variables (`npm_config_*`) and `.npmrc` files are read. The `.npmrc` of a
current directory never counts: whoever can write there would choose where models come from.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from paddlesrv.errors import SourceUnreachable

NPM_SECONDS = 60.0
NPMRC_BYTES_MAX = 1 << 20
_PREFIX = "npm_config_"
_VARIABLE = re.compile(r"\$\{([^}]+)\}")


class NpmConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The part of npm's configuration that matters for finding and fetching one file."""

    options: dict[str, str] = {}

    def registry_of(self, package: str) -> str:
        """The registry that a package is looked for on, with "/" at its end.

        Raises:
            SourceUnreachable: none is configured.
        """
        scope = package.partition("/")[0] if package.startswith("@") else None
        found = self.options.get(f"{scope}:registry") if scope else None
        found = found or self.options.get("registry")
        if not found:
            raise SourceUnreachable(
                "npm is not installed, and no registry is configured for npm packages",
                context={"looked for": "npm_config_registry, and `registry` in ~/.npmrc"},
                hints=["name one: export npm_config_registry=https://HOST/"],
            )
        return found.rstrip("/") + "/"

    def authorization(self, registry: str) -> str | None:
        """The value of the header `Authorization` for a registry, or None."""
        parts = urlsplit(registry)
        path = parts.path.rstrip("/")
        while True:
            place = f"//{parts.netloc.rpartition('@')[2]}{path}/:"
            if token := self.options.get(f"{place}_authToken"):
                return f"Bearer {token}"
            if account := self.options.get(f"{place}_auth"):
                return f"Basic {account}"
            if not path:
                return None
            path = path.rpartition("/")[0]

    @property
    def certificate(self) -> str | None:
        """A file of certificates instead of the system's."""
        return self.options.get("cafile") or None

    @property
    def proxy(self) -> str | None:
        """The proxy for https, if npm has one of its own."""
        return self.options.get("https-proxy") or self.options.get("proxy") or None

    @property
    def verifies(self) -> bool:
        """Whether certificates are verified."""
        return self.options.get("strict-ssl", "true").lower() != "false"

    @property
    def keeps_hosts(self) -> bool:
        """Whether the addresses that a registry gives are never put on its own host."""
        return self.options.get("replace-registry-host") == "never"


def npm_config(environment: Mapping[str, str] | None = None) -> NpmConfig:
    """Put npm's configuration together; variables go before files."""
    environment = os.environ if environment is None else environment
    given = {
        key[len(_PREFIX) :]: value
        for key, value in environment.items()
        if key.lower().startswith(_PREFIX)
    }
    variables = {
        key if key.startswith(("@", "//")) else key.lower().replace("_", "-"): value
        for key, value in given.items()
    }
    answer = _asked(environment)
    files = [
        variables.get("globalconfig") or answer.get("globalconfig"),
        variables.get("userconfig") or answer.get("userconfig") or "~/.npmrc",
    ]
    read: dict[str, str] = {}
    for file in files:
        if file:
            read |= _file(Path(file).expanduser(), environment)
    # npm keeps credentials to itself, so that files count beside what it tells.
    return NpmConfig(options=read | answer | {k: v for k, v in variables.items() if v})


def options_from(text: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Options by name from the text of an `.npmrc`: `name = value`, `${VARIABLE}` in values."""
    options = {}
    for line in text.splitlines():
        name, mark, value = line.strip().partition("=")
        if not mark or name.startswith((";", "#", "[")):
            continue
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        value = _VARIABLE.sub(lambda found: environment.get(found[1], found[0]), value)
        options[name.strip()] = value
    return options


def _file(path: Path, environment: Mapping[str, str]) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            return options_from(file.read(NPMRC_BYTES_MAX).decode("utf-8", "replace"), environment)
    except OSError:
        return {}


def _asked(environment: Mapping[str, str]) -> dict[str, str]:
    """What npm tells of itself; nothing where it is not installed."""
    program = shutil.which("npm", path=environment.get("PATH", os.defpath))
    if program is None:
        return {}
    try:
        answer = subprocess.run(
            [program, "config", "list", "--json"],
            capture_output=True,
            timeout=NPM_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
            cwd="/",
            env=dict(environment),
        ).stdout
        told = msgspec.json.decode(answer, type=dict[str, Any])
    except (OSError, subprocess.SubprocessError, msgspec.MsgspecError, UnicodeDecodeError):
        return {}
    words = {name: _word(value) for name, value in told.items()}
    return {name: word for name, word in words.items() if word}


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) and value != "(protected)" else ""
