"""`doctor`: check this machine, with a remedy for each trouble."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from paddlesrv.cli.command import command
from paddlesrv.cli.shell import Shell

PANEL = "This machine"


class GroupWord(str, Enum):
    """A group of checks."""

    python = "python"
    engines = "engines"
    gpu = "gpu"
    disk = "disk"
    ports = "ports"
    store = "store"
    sources = "sources"


_STYLE = {"ok": "green", "warn": "yellow", "fail": "red"}


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(
        app,
        "doctor",
        panel=PANEL,
        examples=["paddlesrv doctor", "paddlesrv doctor --group gpu", "paddlesrv doctor --json"],
    )(doctor)


def doctor(
    shell: Shell,
    group: Annotated[
        list[GroupWord] | None,
        typer.Option(
            metavar="python|engines|gpu|disk|ports|store|sources",
            help="Only this group of checks; can be given again.",
        ),
    ] = None,
) -> int:
    """Check whether this machine can fetch and serve models.

    The exit code is 1 if something fails. No connection is opened.
    """
    from paddlesrv.doctor import examine

    groups = tuple(word.value for word in group or [])
    findings = list(examine(shell.settings, groups))
    failed = [finding for finding in findings if finding.status == "fail"]
    warned = [finding for finding in findings if finding.status == "warn"]

    def human() -> None:
        width = max(len(finding.group) for finding in findings)
        for finding in findings:
            lead = f"{finding.status:<4}  {finding.group:<{width}}  "
            shell.output.line(lead + finding.text, _STYLE[finding.status])
            if finding.remedy:
                shell.output.line(" " * len(lead) + f"remedy: {finding.remedy}")
        total = f"{len(findings)} checks, {len(warned)} warnings, {len(failed)} failed"
        shell.output.note(total)

    shell.output.answer(
        {"ok": not failed, "checks": findings},
        names=[f"{finding.group}: {finding.text}" for finding in failed],
        human=human,
    )
    return 1 if failed else 0
