"""`cache df`, `cache dir`, `cache prune`: the store on the disk."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from paddlesrv.cli.command import command, noun
from paddlesrv.cli.output import human_size
from paddlesrv.cli.shell import Shell
from paddlesrv.errors import UsageError

if TYPE_CHECKING:
    from paddlesrv.zoo.leftovers import Leftover

PANEL = "This machine"

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_AGE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhdw])")
_KINDS = {
    "download": "unfinished download",
    "staging": "unfinished installation",
    "replaced": "replaced content",
}


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    cache = noun(
        app,
        "cache",
        says="See and clear what the store takes on the disk.",
        examples=["paddlesrv cache df", "paddlesrv cache prune --dry-run"],
        panel=PANEL,
    )
    command(cache, "df", examples=["paddlesrv cache df", "paddlesrv cache df --json"])(df)
    command(cache, "dir", examples=["paddlesrv cache dir"])(dir_)
    command(
        cache,
        "prune",
        examples=[
            "paddlesrv cache prune --dry-run",
            "paddlesrv cache prune --older-than 7d",
            "paddlesrv cache prune --partial",
        ],
    )(prune)


def df(shell: Shell) -> None:
    """Show what the store takes on the disk, by what it is good for."""
    from paddlesrv.server.records import directories_in_use
    from paddlesrv.zoo.usage import usage

    output, root = shell.output, shell.store.root
    found = usage(shell.store, in_use=directories_in_use(shell.settings.state_dir))
    rest = {
        "converted models": found.converted,
        "unfinished downloads": found.downloads,
        "unfinished installations": found.staging,
        "replaced content": found.replaced,
        "in use": found.in_use,
    }

    def human() -> None:
        rows = [(name, size) for name, size in found.models.items()]
        rows += [(f"({what})", size) for what, size in rest.items() if size]
        table = [(name, human_size(size)) for name, size in rows]
        output.table(("WHAT", "SIZE"), [*table, ("total", human_size(found.total))])
        output.note(f"{human_size(found.free)} free on the disk of {root}")
        if found.prunable:
            freed = human_size(found.prunable)
            output.note(f"{freed} can be freed: paddlesrv cache prune")

    output.answer(
        {
            "path": root,
            "models": [{"name": name, "size_bytes": b} for name, b in found.models.items()],
            "converted_bytes": found.converted,
            "unfinished_download_bytes": found.downloads,
            "staging_bytes": found.staging,
            "replaced_bytes": found.replaced,
            "in_use_bytes": found.in_use,
            "prunable_bytes": found.prunable,
            "total_bytes": found.total,
            "free_bytes": found.free,
        },
        names=found.models,
        human=human,
    )


def dir_(shell: Shell) -> None:
    """Print where the store is, and nothing else."""
    path = str(shell.settings.cache_dir)
    shell.output.answer({"path": path}, names=[path], human=lambda: shell.output.line(path))


def prune(
    shell: Shell,
    partial: Annotated[bool, typer.Option("--partial", help="Only unfinished downloads.")] = False,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than", metavar="AGE", help="Only what was not touched for 7d, 12h or 30m."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be removed; remove nothing.")
    ] = False,
) -> None:
    """Remove what is left of downloads and installations that were cut off, and replaced content.

    Models that are installed stay, and so does everything that a download, an installation or a
    running server uses. A download whose unfinished bytes are removed starts from the beginning.
    It does not ask: nothing goes that a model's name stands for.
    """
    from paddlesrv.server.records import directories_in_use
    from paddlesrv.zoo.disk import clean_disk_errors
    from paddlesrv.zoo.leftovers import find_leftovers, remove_leftover

    seconds = _seconds(older_than) if older_than is not None else 0.0
    in_use = directories_in_use(shell.settings.state_dir)
    found = [
        each
        for each in find_leftovers(shell.store, in_use=in_use)
        if each.age_seconds >= seconds and (each.kind == "download" or not partial)
    ]
    if dry_run:
        _tell(shell, found, "would remove", dry_run=True)
        return
    with clean_disk_errors(shell.store):
        gone = [each for each in found if remove_leftover(shell.store, each)]
    _tell(shell, gone, "removed", dry_run=False)


def _tell(shell: Shell, found: list[Leftover], what: str, *, dry_run: bool) -> None:
    output = shell.output
    total = sum(each.size_bytes for each in found)

    def human() -> None:
        for each in found:
            size = human_size(each.size_bytes)
            output.line(f"{what} {each.path.name} ({_KINDS[each.kind]}, {size})")
        output.note(f"{human_size(total)} {'would be ' if dry_run else ''}freed")

    record: dict[str, object] = {"dry_run": True} if dry_run else {}
    record["removed"] = [
        {"kind": each.kind, "path": each.path, "size_bytes": each.size_bytes} for each in found
    ]
    output.answer(
        record | {"freed_bytes": total}, names=[str(each.path) for each in found], human=human
    )


def _seconds(age: str) -> float:
    found = _AGE.fullmatch(age.strip())
    if found is None:
        raise UsageError(
            f"--older-than {age!r} is no age",
            context={"expected": "a number and one of s, m, h, d, w"},
            hints=["for example: paddlesrv cache prune --older-than 7d"],
        )
    return float(found[1]) * _SECONDS[found[2]]
