"""`completion`: the script that lets a shell complete paddlesrv's command lines."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from paddlesrv.cli.command import command
from paddlesrv.cli.shell import Shell

PANEL = "This machine"


class ShellWord(str, Enum):
    """A shell."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


@dataclass(frozen=True)
class Change:
    """A file and what it is to hold: all of it, or one line more at its end."""

    path: Path
    text: str
    append: bool = False

    @property
    def needed(self) -> bool:
        """Whether the file does not hold it yet."""
        try:
            held = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return True
        return self.text not in held.splitlines() if self.append else held != self.text

    def make(self) -> None:
        """Write it. Appending leaves the rest, and a link to the file, as they are."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.append:
            self.path.write_text(self.text, encoding="utf-8")
            return
        with self.path.open("a+b") as file:
            lead = ""
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                lead = "" if file.read() == b"\n" else "\n"
            file.write(f"{lead}{self.text}\n".encode())


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(
        app,
        "completion",
        panel=PANEL,
        examples=[
            "paddlesrv completion bash",
            "source <(paddlesrv completion bash)",
            "paddlesrv completion zsh --install --dry-run",
            "paddlesrv completion fish --install",
        ],
    )(completion)


def completion(
    shell: Shell,
    name: Annotated[ShellWord, typer.Argument(metavar="bash|zsh|fish", help="The shell.")],
    install: Annotated[
        bool, typer.Option("--install", help="Let every new shell of yours load it.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --install: say what would change.")
    ] = False,
) -> None:
    """Print a script that completes commands, flags, and names of models and servers.

    With --install it is put where the shell finds it, and the files that changed are named;
    without, nothing is changed.
    """
    script = _script(name.value)
    if not install:
        shell.output.answer(
            {"shell": name.value, "script": script},
            names=[script.rstrip("\n")],
            human=lambda: shell.output.line(script.rstrip("\n")),
        )
        return
    needed = [change for change in _changes(name.value, script, shell) if change.needed]
    if not dry_run:
        for change in needed:
            change.make()

    def human() -> None:
        would = "would be " if dry_run else ""
        for change in needed:
            what = f"added: {change.text}" if change.append else "written"
            shell.output.line(f"{change.path}: {would}{what}")
        if not needed:
            shell.output.line(f"{name.value} completes paddlesrv already; nothing to change")
        elif not dry_run:
            shell.output.note(f"start a new {name.value} to use it")

    paths = [str(change.path) for change in needed]
    shell.output.answer(
        {"shell": name.value, "changed": paths, "dry_run": dry_run}, names=paths, human=human
    )


def _script(shell: str) -> str:
    from paddlesrv.zoo.catalogue import data_directory

    path = data_directory("templates") / "completion" / f"paddlesrv.{shell}"
    return path.read_text(encoding="utf-8")


def _changes(name: str, script: str, shell: Shell) -> list[Change]:
    """The script in a file, and where the shell does not look by itself, a line that loads it."""
    home = Path.home()
    if name == "fish":
        config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
        return [Change(config / "fish" / "completions" / "paddlesrv.fish", script)]
    path = shell.settings.config_dir.absolute() / f"completion.{name}"
    quoted = shlex.quote(str(path))
    line = f"[ -f {quoted} ] && . {quoted}  # paddlesrv completion"
    start = home / ".bashrc" if name == "bash" else Path(os.environ.get("ZDOTDIR") or home)
    start = start if name == "bash" else start / ".zshrc"
    return [Change(path, script), Change(start, line, append=True)]
