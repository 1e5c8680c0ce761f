"""Every command that there is, found by walking the program, so that no test forgets a new one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from paddlesrv.cli.main import app


def walk() -> Iterator[tuple[tuple[str, ...], Any]]:
    """The words of each command and each noun, hidden names as well, with the command."""

    def below(group: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        for name, command in group.commands.items():
            yield (*path, name), command
            if is_noun(command):
                yield from below(command, (*path, name))

    return below(typer.main.get_command(app), ())


def is_noun(command: Any) -> bool:
    """Whether it only holds commands."""
    return hasattr(command, "commands")


COMMANDS = dict(walk())
VERBS = {path: command for path, command in COMMANDS.items() if not is_noun(command)}
"""Commands that do something."""


def flags(command: Any) -> set[str]:
    """All names of a command's options."""
    return {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
