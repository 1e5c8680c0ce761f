"""Every environment variable that is heeded: our own, and those of others that we follow.

The one list behind `env`, `doctor`, `help environment` and the reference.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from paddlesrv.own_python import KEY_VARIABLE
from paddlesrv.sealing.keys import COMMAND_VARIABLE
from paddlesrv.server.defaults import OPTIONS
from paddlesrv.settings import SETTINGS

PREFIX = "PADDLESRV_"


@dataclass(frozen=True)
class Variable:
    """One variable, and the flag that goes before it."""

    name: str
    help: str
    flag: str | None = None


KEYS = (
    Variable(KEY_VARIABLE, "The key of encrypted models itself; wiped once it is read."),
    Variable(COMMAND_VARIABLE, "A command that prints that key.", "--key-command"),
)
"""For encrypted models, besides the key's file. They stand in no config file."""

OWN: tuple[Variable, ...] = (
    *(Variable(setting.env, setting.help, setting.flag) for setting in SETTINGS),
    *(Variable(option.env, option.help, option.flag) for option in OPTIONS),
    *KEYS,
)

HEEDED = (
    Variable("NO_COLOR", "Any value: no colour."),
    Variable("FORCE_COLOR", "Any value but 0: colour, terminal or not.", "--color"),
    Variable("TERM", "dumb: no colour."),
    Variable("COLUMNS", "Width of the terminal."),
    Variable("XDG_CACHE_HOME", "Where the store lies, without PADDLESRV_HOME."),
    Variable("XDG_STATE_HOME", "Where records and logs lie, without PADDLESRV_HOME."),
    Variable("XDG_CONFIG_HOME", "Where your config file lies, without PADDLESRV_HOME."),
    Variable("HTTPS_PROXY", "Proxy for https:// addresses."),
    Variable("HTTP_PROXY", "Proxy for http:// addresses."),
    Variable("ALL_PROXY", "Proxy for all other addresses."),
    Variable("NO_PROXY", "Hosts that are reached without a proxy."),
    Variable("SSL_CERT_FILE", "Certificates to trust, in one file."),
    Variable("SSL_CERT_DIR", "Certificates to trust, in a directory."),
    Variable("NETRC", "File with names and passwords, instead of ~/.netrc."),
    Variable("PIP_INDEX_URL", "Package index for `wheel` sources, as pip has it."),
    Variable("PIP_EXTRA_INDEX_URL", "Further package indexes, as pip has it."),
    Variable("PIP_CONFIG_FILE", "pip's config file, where indexes and proxies may stand."),
    Variable("npm_config_registry", "Registry for `tarball` sources, as npm has it."),
    Variable("npm_config_userconfig", "npm's config file, instead of ~/.npmrc."),
    Variable("CUDA_VISIBLE_DEVICES", "GPUs that may be used; they are counted from 0 on."),
)
"""Variables of others."""

# Kubernetes and Docker links describe a service called "paddlesrv" to its neighbours so.
_SERVICE_LINK = re.compile(r"PADDLESRV(_[A-Z0-9_]+)?_(SERVICE_(HOST|PORT)|PORT)(_.*)?")
_TESTS = "PADDLESRV_TEST_"


@dataclass(frozen=True)
class Unknown:
    """A variable that looks like ours and is not; `meant` is the closest that is."""

    name: str
    meant: str | None

    @property
    def text(self) -> str:
        """What to tell about it."""
        meant = f"; did you mean {self.meant}?" if self.meant else ""
        return f"{self.name} is no variable of paddlesrv{meant}"


def unknown(environ: Mapping[str, str] | None = None) -> list[Unknown]:
    """The variables that are set, begin like ours and are heeded by nobody, by name."""
    environ = os.environ if environ is None else environ
    known = [variable.name for variable in OWN]
    strangers = [
        name
        for name in sorted(environ)
        if name.startswith(PREFIX)
        and name not in known
        and not name.startswith(_TESTS)
        and not _SERVICE_LINK.fullmatch(name)
    ]
    return [Unknown(name, _closest(name, known)) for name in strangers]


def _closest(name: str, known: list[str]) -> str | None:
    # The prefix, which all share, must not make strangers alike.
    stems = {full.removeprefix(PREFIX): full for full in known}
    close = difflib.get_close_matches(name.removeprefix(PREFIX), stems, n=1)
    return stems[close[0]] if close else None
