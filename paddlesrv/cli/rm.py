"""`rm`: remove installed models."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from paddlesrv.cli.asking import agreed
from paddlesrv.cli.command import command
from paddlesrv.cli.models import PANEL
from paddlesrv.cli.output import human_size
from paddlesrv.cli.progress import watching
from paddlesrv.cli.shell import Shell

if TYPE_CHECKING:
    from paddlesrv.server.records import ServerRecord
    from paddlesrv.zoo.removal import Removal


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(
        app,
        "rm",
        panel=PANEL,
        examples=[
            "paddlesrv rm resnet50",
            "paddlesrv rm ocr lac2 -y",
            "paddlesrv rm ocr --dry-run",
        ],
    )(rm)


def rm(
    shell: Shell,
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Names or aliases.")],
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be removed; remove nothing.")
    ] = False,
) -> None:
    """Remove models from the store, after asking.

    A model that a running server holds stays, and so does a part of an installed pipeline that is
    not removed with it (exit code 7). A pipeline's parts are models of their own, and stay. Of a
    linked model only the link goes.
    """
    from paddlesrv.zoo.removal import plan_removal, remove
    from paddlesrv.zoo.verification import installed_name

    output = shell.output
    names = [installed_name(name, shell.catalogue, shell.store) for name in models]
    planned = plan_removal(names, shell.store, _servers(shell))
    if dry_run:
        output.answer(
            _record(planned) | {"dry_run": True},
            names=[removal.name for removal in planned],
            human=lambda: _tell_plan(shell, planned),
        )
        return
    if not yes:
        if not output.json and not output.quiet:
            for removal in planned:
                output.note(_line(removal, "would go"))
        question = f"Remove {', '.join(removal.name for removal in planned)}?"
        if not agreed(question, shlex.join(["paddlesrv", "rm", *models, "-y"])):
            output.note("nothing was removed")
            return
    with watching(output, lambda name, path: None) as observer:
        for removal in planned:
            remove(removal, shell.store, lambda: _servers(shell), observer)
            if not output.json:
                output.line(removal.name if output.quiet else _line(removal, "removed"))
    if output.json:
        output.document(_record(planned))
    elif parts := [part for removal in planned for part in removal.parts]:
        told = shlex.join(dict.fromkeys(parts))
        output.note(f"its parts stay; to remove them as well: paddlesrv rm {told}")


def _servers(shell: Shell) -> list[ServerRecord]:
    from paddlesrv.server.records import running

    return running(shell.settings.state_dir, shell.output.warning)


def _line(removal: Removal, what: str) -> str:
    original = f"; the files in {removal.original} stay" if removal.original else ""
    return f"{what} {removal.name} ({human_size(removal.size_bytes)}){original}"


def _tell_plan(shell: Shell, planned: list[Removal]) -> None:
    for removal in planned:
        shell.output.line(_line(removal, "would go"))
    total = sum(removal.size_bytes for removal in planned)
    shell.output.note(f"{human_size(total)} would be free")


def _record(planned: list[Removal]) -> dict[str, object]:
    return {
        "models": planned,
        "freed_bytes": sum(removal.size_bytes for removal in planned),
    }
