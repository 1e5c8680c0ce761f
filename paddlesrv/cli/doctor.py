"""`doctor`: check this machine, with a remedy for each trouble; mend what is safe to mend."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paddlesrv.cli.command import command
from paddlesrv.cli.shell import Shell
from paddlesrv.errors import PaddlesrvError, UsageError

if TYPE_CHECKING:
    from paddlesrv.settings import Settings

PANEL = "This machine"


class GroupWord(str, Enum):
    """A group of checks."""

    python = "python"
    engines = "engines"
    gpu = "gpu"
    precision = "precision"
    limits = "limits"
    disk = "disk"
    ports = "ports"
    config = "config"
    store = "store"
    servers = "servers"
    sources = "sources"


_STYLE = {"ok": "green", "off": "bright_black", "warn": "yellow", "fail": "red"}


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(
        app,
        "doctor",
        panel=PANEL,
        examples=[
            "paddlesrv doctor",
            "paddlesrv doctor --group gpu",
            "paddlesrv doctor --fix --dry-run",
            "paddlesrv doctor --json",
        ],
    )(doctor)


def doctor(
    shell: Shell,
    group: Annotated[
        list[GroupWord] | None,
        typer.Option(
            metavar="|".join(word.value for word in GroupWord),
            help="Only this group of checks; can be given again.",
        ),
    ] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend first what is safe to mend without a network.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --fix: say what would be done, and do nothing.")
    ] = False,
) -> int:
    """Check whether this machine can fetch and serve models.

    The exit code is 1 if something fails. No connection is opened, not even by --fix: it makes
    missing directories, and removes leftovers of killed processes and records of dead servers.
    """
    from paddlesrv.doctor import examine

    if dry_run and not fix:
        raise UsageError("--dry-run is for --fix", hints=["paddlesrv doctor --fix --dry-run"])
    settings = shell.readable.settings
    mended = _mend(settings, dry_run) if fix else []
    groups = tuple(word.value for word in group or [])
    findings = list(examine(settings, groups))
    failed = [finding for finding in findings if finding.status == "fail"]
    warned = [finding for finding in findings if finding.status == "warn"]

    def human() -> None:
        for repair in mended:
            word = "would" if dry_run else "fail" if repair["error"] else "fixed"
            why = f": {repair['error']}" if repair["error"] else ""
            shell.output.line(f"{word:<5} {repair['text']}{why}", _STYLE.get(word, "cyan"))
        if fix and not mended:
            shell.output.line("nothing to mend")
        width = max(len(finding.group) for finding in findings)
        for finding in findings:
            lead = f"{finding.status:<4}  {finding.group:<{width}}  "
            shell.output.line(lead + finding.text, _STYLE[finding.status])
            if finding.remedy:
                shell.output.line(" " * len(lead) + f"remedy: {finding.remedy}")
        total = f"{len(findings)} checks, {len(warned)} warnings, {len(failed)} failed"
        shell.output.note(total)

    record: dict[str, Any] = {"ok": not failed, "checks": findings}
    if fix:
        record |= {"dry_run": dry_run, "repairs": mended}
    shell.output.answer(
        record,
        names=[f"{finding.group}: {finding.text}" for finding in failed],
        human=human,
    )
    return 1 if failed or any(repair["error"] for repair in mended) else 0


def _mend(settings: Settings, dry_run: bool) -> list[dict[str, Any]]:
    """Do what there is to do, or only say it; what one repair cannot do does not stop others."""
    from paddlesrv.doctor.repairs import repairs

    told = []
    for repair in list(repairs(settings)):
        error = None
        if not dry_run:
            try:
                repair.make()
            except PaddlesrvError as problem:
                error = problem.message
            except OSError as problem:
                error = problem.strerror or str(problem)
        told.append({"text": repair.text, "done": not dry_run and error is None, "error": error})
    return told
