"""`verify`: whether installed models are whole, and putting right those that are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from paddlesrv.cli.command import command
from paddlesrv.cli.models import PANEL
from paddlesrv.cli.output import Output, human_size
from paddlesrv.cli.progress import watching
from paddlesrv.cli.shell import Shell
from paddlesrv.errors import IntegrityError, PaddlesrvError, UsageError

if TYPE_CHECKING:
    from paddlesrv.zoo.repair import Remedy
    from paddlesrv.zoo.verification import Verdict


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(
        app,
        "verify",
        panel=PANEL,
        examples=[
            "paddlesrv verify",
            "paddlesrv verify ocr lac2",
            "paddlesrv verify --fix",
            "paddlesrv verify -q",
        ],
    )(verify)


def verify(
    shell: Shell,
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL...", help="Names or aliases; default: all that are here."),
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Fetch damaged models again.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="With --fix: say what would be fetched; fetch nothing."),
    ] = False,
) -> None:
    """Read every file of installed models and compare it with what was installed.

    Parts of a pipeline are read as well. Exit code 5 if anything is damaged or missing. With
    --fix damaged models are fetched again, and replaced once the new files are whole; -q prints
    the names of models that are damaged (with --fix: that are damaged still).
    """
    from paddlesrv.zoo.verification import chosen, look_at

    if dry_run and not fix:
        raise UsageError(
            "--dry-run without --fix: verify changes nothing by itself",
            hints=["see what would be fetched: paddlesrv verify --fix --dry-run"],
        )
    names = chosen(models or [], shell.catalogue, shell.store)
    verdicts = []
    for name in names:
        verdict = look_at(shell.store, name)
        verdicts.append(verdict)
        _tell(shell.output, verdict)
    damaged = [verdict for verdict in verdicts if verdict.damage]
    if fix and damaged:
        _fix(shell, verdicts, damaged, dry_run)
        return
    if not verdicts and not shell.output.json:
        shell.output.note("no model is installed")
    _answer(shell.output, [_record(verdict) for verdict in verdicts], damaged)
    if damaged:
        named = " ".join(verdict.name for verdict in damaged)
        raise IntegrityError(
            _count(damaged, verdicts, "damaged"),
            hints=[f"fetch again what is damaged: paddlesrv verify {named} --fix"],
        )


def _fix(shell: Shell, verdicts: list[Verdict], damaged: list[Verdict], dry_run: bool) -> None:
    from paddlesrv.zoo.install import Installer
    from paddlesrv.zoo.repair import plan_repair, remedy, repair

    remedies = [remedy(verdict, shell.catalogue) for verdict in damaged]
    if dry_run:
        planned = plan_repair(remedies, Installer(shell.catalogue, shell.store, shell.settings))
        _tell_plan(shell.output, remedies, planned)
        return
    records = {verdict.name: _record(verdict) for verdict in verdicts}
    failures: dict[str, PaddlesrvError] = {}
    with watching(shell.output, lambda name, path: None) as observer:
        installer = Installer(shell.catalogue, shell.store, shell.settings, observer)
        for each in repair(remedies, installer, shell.store):
            records[each.name]["fixed"] = each.error is None
            if each.error is not None:
                failures[each.name] = each.error
            elif not shell.output.quiet and not shell.output.json:
                shell.output.line(f"fixed {each.name} ({_counted(each.verdict)})", "green")
    for one in remedies:
        if one.refusal is not None:
            records[one.name]["fixed"] = False
            failures[one.name] = IntegrityError(
                f"{one.name} cannot be fetched", hints=[one.refusal]
            )
    for name, error in failures.items():
        records[name]["error"] = error.message
    left = [verdict for verdict in damaged if verdict.name in failures]
    _answer(shell.output, list(records.values()), left)
    if failures:
        raise IntegrityError(
            _count(left, verdicts, "damaged still"),
            context={name: error.message for name, error in failures.items()},
            hints=list(dict.fromkeys(hint for e in failures.values() for hint in e.hints)),
        )


def _answer(output: Output, records: list[dict[str, Any]], damaged: list[Verdict]) -> None:
    """The whole, where lines did not tell it already."""
    names = [verdict.name for verdict in damaged]
    output.answer({"models": records}, names=names, human=lambda: None)


def _count(damaged: list[Verdict], verdicts: list[Verdict], what: str) -> str:
    is_or_are = "is" if len(damaged) == 1 else "are"
    total = f"{len(verdicts)} model{'s' if len(verdicts) != 1 else ''}"
    return f"{len(damaged)} of {total} {is_or_are} {what}"


def _tell(output: Output, verdict: Verdict) -> None:
    """A line for a model, as soon as it is known."""
    if output.json or output.quiet:
        return
    extra = f"; not listed: {', '.join(verdict.unlisted)}" if verdict.unlisted else ""
    if verdict.damage:
        output.line(f"damaged {verdict.name}: {verdict.told}{extra}", "red")
    else:
        output.line(f"ok {verdict.name} ({_counted(verdict)}){extra}")


def _counted(verdict: Verdict) -> str:
    files = f"{verdict.files} file{'s' if verdict.files != 1 else ''}"
    return f"{files}, {human_size(verdict.size_bytes)}"


def _record(verdict: Verdict) -> dict[str, Any]:
    return {
        "name": verdict.name,
        "state": "damaged" if verdict.damage else "ok",
        "files": verdict.files,
        "size_bytes": verdict.size_bytes,
        "damage": [{"file": file or None, "what": what} for file, what in verdict.damage.items()],
        "unlisted": verdict.unlisted,
    }


def _tell_plan(output: Output, remedies: list[Remedy], planned: dict[str, Any]) -> None:
    def human() -> None:
        for each in remedies:
            if each.refusal is not None:
                output.line(f"{each.name}: cannot be fetched; {each.refusal}")
                continue
            for model in planned[each.name]:
                output.line(f"{model.name}: would be fetched")
                for place in model.sources:
                    output.line(f"  {place.kind} {place.where} ({human_size(place.size)})")

    record = {
        "dry_run": True,
        "models": [
            {"name": r.name, "refusal": r.refusal, "fetch": planned.get(r.name, [])}
            for r in remedies
        ],
    }
    output.answer(record, names=[r.name for r in remedies if r.refusal is None], human=human)
