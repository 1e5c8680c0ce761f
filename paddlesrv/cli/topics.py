"""The topics of `help`: texts in templates/help, with lists that are made of the program's own."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass

WIDTH = 88
"""Columns that a topic is written for."""

_PLACE = re.compile(r"^\{\{([a-z-]+)\}\}$", re.MULTILINE)


@dataclass(frozen=True)
class Topic:
    """One text, by its name or another that people look for."""

    name: str
    about: str
    aliases: tuple[str, ...] = ()

    def text(self) -> str:
        """The topic, ready to be read in a terminal.

        Raises:
            IntegrityError: the installation is damaged.
        """
        from paddlesrv.zoo.catalogue import data_directory

        path = data_directory("templates") / "help" / f"{self.name}.md"
        written = path.read_text(encoding="utf-8")
        return _PLACE.sub(lambda match: _LISTS[match[1]](), written)


TOPICS = (
    Topic("getting-started", "from nothing to an answer in five commands", ("start",)),
    Topic("sources", "where models come from, and why what comes can be trusted", ("mirrors",)),
    Topic("offline", "machines without a network, and mirrors", ("mirror", "air-gapped")),
    Topic("import", "serving models of your own", ("own-models",)),
    Topic("config", "config files, and what goes before what", ("configuration", "precedence")),
    Topic("environment", "the environment variables", ("env", "variables")),
    Topic("precision", "devices, precisions and engines", ("devices", "engines")),
    Topic("protocols", "how a server can be asked", ("http", "api")),
    Topic("exit-codes", "what the program's exit codes mean", ("errors",)),
)
"""In the order in which they are listed."""


def _exit_codes() -> str:
    from paddlesrv.cli.failure import EXIT_CODES

    return _definitions((str(code), text) for code, text in EXIT_CODES.items())


def _settings() -> str:
    from paddlesrv.settings import SETTINGS

    return _definitions((s.env, _with_flag(s.help, s.flag)) for s in SETTINGS)


def _options() -> str:
    from paddlesrv.server.defaults import OPTIONS

    return _definitions((o.env, _with_flag(o.accepted + ".", o.flag)) for o in OPTIONS)


def _keys() -> str:
    from paddlesrv.environment import KEYS

    return _definitions((v.name, _with_flag(v.help, v.flag)) for v in KEYS)


def _heeded() -> str:
    from paddlesrv.environment import HEEDED

    return _definitions((v.name, v.help) for v in HEEDED)


def _in_file() -> str:
    from paddlesrv.settings import SETTINGS

    return _definitions((s.field, f"{s.help} {s.accepted}.") for s in SETTINGS if s.accepted)


def _server_fields() -> str:
    from paddlesrv.server.defaults import OPTIONS

    return _definitions((o.field, o.accepted) for o in OPTIONS if o.scope == "server")


def _model_fields() -> str:
    from paddlesrv.server.defaults import OPTIONS

    return _definitions((o.field, o.accepted) for o in OPTIONS if o.scope == "model")


_LISTS: dict[str, Callable[[], str]] = {
    "exit-codes": _exit_codes,
    "settings": _settings,
    "options": _options,
    "keys": _keys,
    "heeded": _heeded,
    "in-file": _in_file,
    "server-fields": _server_fields,
    "model-fields": _model_fields,
}


def _with_flag(text: str, flag: str | None) -> str:
    return f"{text} Flag: {flag}" if flag else text


def _definitions(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and what they mean, in two columns."""
    rows = list(pairs)
    column = max(len(name) for name, _ in rows) + 6
    lines = []
    for name, text in rows:
        first, *more = textwrap.wrap(text, WIDTH - column) or [""]
        lines.append(f"    {name:<{column - 4}}{first}".rstrip())
        lines += [" " * column + line for line in more]
    return "\n".join(lines)
