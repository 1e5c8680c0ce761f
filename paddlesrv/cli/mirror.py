"""`mirror`: a directory that other machines take models from."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paddlesrv.cli.command import command
from paddlesrv.cli.models import PANEL
from paddlesrv.cli.output import Output, human_size
from paddlesrv.cli.progress import watching
from paddlesrv.cli.shell import Shell
from paddlesrv.errors import NotFound, UsageError

if TYPE_CHECKING:
    from paddlesrv.zoo.entries import Entry
    from paddlesrv.zoo.mirroring import Mirrored


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(
        app,
        "mirror",
        panel=PANEL,
        examples=[
            "paddlesrv mirror ./mirror ocr lac2",
            "paddlesrv mirror ./mirror --all --dry-run",
            "PADDLESRV_MIRROR=./mirror paddlesrv get ocr",
        ],
    )(mirror)


def mirror(
    shell: Shell,
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where to; made if it is not there.")
    ],
    models: Annotated[
        list[str] | None, typer.Argument(metavar="MODEL...", help="Names or aliases.")
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Every model of the catalogue that can be fetched.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be fetched; fetch nothing.")
    ] = False,
) -> None:
    """Fetch models' files into a directory that serves as PADDLESRV_MIRROR.

    Any static web server can offer it, and a copy on a disk does as well. Parts of a pipeline go
    with it. Files that are there and right are not fetched again; run it once more to go on after
    an interruption, to add models, or to put damaged files right. SHA256SUMS lists a digest for
    every file, so that a damaged copy is refused; it is no proof of where the files came from.
    """
    from paddlesrv.zoo.mirroring import MirrorWriter

    entries = _entries(shell, models or [], all_)
    again = shlex.join(["paddlesrv", *shell.argv])
    shell.interrupted = f"interrupted; go on where it stopped: {again}"
    if dry_run:
        writer = MirrorWriter(directory, shell.catalogue, shell.store, shell.settings)
        planned = writer.plan(entries)
        _answer(shell.output, directory, planned, dry_run=True)
        return
    done: list[Mirrored] = []
    with watching(shell.output, lambda name, path: None) as observer:
        writer = MirrorWriter(directory, shell.catalogue, shell.store, shell.settings, observer)
        for each in writer.write(entries):
            done.append(each)
            if not shell.output.json and not shell.output.quiet:
                _tell(shell.output, each)
    _answer(shell.output, directory, done, dry_run=False)
    failures = [each.error for each in done if each.error is not None]
    if failures:
        if len(done) > 1:
            failures[0].context.setdefault("failed", f"{len(failures)} of {len(done)} models")
        raise failures[0]


def _entries(shell: Shell, models: list[str], all_: bool) -> list[Entry]:
    """The models that are meant, each after its parts.

    Raises:
        NotFound: a name is not in the catalogue.
        UsageError: none is named, or one that nobody can fetch.
    """
    if all_ == bool(models):
        raise UsageError(
            "--all and names together" if all_ else "no model named",
            hints=["name them: paddlesrv mirror DIR MODEL...", "all: paddlesrv mirror DIR --all"],
        )
    catalogue = shell.catalogue
    found: dict[str, Entry] = {}
    if all_:
        return list(catalogue.entries)
    for name in models:
        try:
            entry = catalogue.resolve(name).entry
        except NotFound:
            if name in shell.store.names():
                raise _own(name) from None
            raise
        if entry.status == "needs-export":
            raise UsageError(
                f"{entry.name} cannot be mirrored: nobody offers its files",
                hints=list(entry.notes),
            )
        found |= {each.name: each for each in catalogue.with_needs(entry)}
    return list(found.values())


def _own(name: str) -> UsageError:
    return UsageError(
        f"{name} cannot be mirrored: it is an own model, and a mirror is of the catalogue's",
        hints=[f"carry its files over, and there: paddlesrv import PATH --name {name}"],
    )


def _answer(output: Output, directory: Path, done: list[Mirrored], *, dry_run: bool) -> None:
    def human() -> None:
        if dry_run:
            for each in done:
                _tell(output, each, dry_run=True)
            return
        count = sum(each.error is None and each.refusal is None for each in done)
        place = shlex.quote(str(directory))
        output.note(f"{count} of {len(done)} models are in {directory}")
        output.note(f"use it: export PADDLESRV_MIRROR={place}, or the URL that it is served at")

    good = [each.name for each in done if each.error is None and each.refusal is None]
    record: dict[str, Any] = {"dry_run": True} if dry_run else {}
    record |= {"path": directory.absolute(), "models": [_record(each) for each in done]}
    output.answer(record, names=good, human=human)


def _tell(output: Output, each: Mirrored, *, dry_run: bool = False) -> None:
    if each.refusal is not None:
        output.line(f"not mirrored {each.name}: {each.refusal}")
    elif each.error is not None:
        output.warning(f"{each.name}: {each.error.message}")
    elif not each.fetched and not each.kept:
        output.line(f"ok {each.name} (made of other models)")
    elif not each.fetched:
        output.line(f"ok {each.name} (here already)")
    else:
        size = human_size(each.size_bytes)
        what = "would fetch" if dry_run else "mirrored"
        output.line(f"{what} {each.name} ({', '.join(each.fetched)}, {size})")


def _record(each: Mirrored) -> dict[str, Any]:
    return {
        "name": each.name,
        "fetched": each.fetched,
        "kept": each.kept,
        "size_bytes": each.size_bytes,
        "refusal": each.refusal,
        "error": each.error.message if each.error is not None else None,
    }
