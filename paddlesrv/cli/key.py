"""`key new`, `key list`, `key rm`: the API keys of servers."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paddlesrv.cli.command import command, noun
from paddlesrv.cli.shell import Shell

if TYPE_CHECKING:
    from paddlesrv.server.access.key_file import KeyEntry

PANEL = "Serving"

KeyFile = Annotated[
    Path,
    typer.Option("--api-key-file", metavar="FILE", help="The file of keys; it is made if need be."),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="What the key is called in logs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, write nothing.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    key = noun(
        app,
        "key",
        says="Make and remove the API keys that servers ask for.",
        examples=[
            "paddlesrv key new alice --api-key-file keys",
            "paddlesrv key list --api-key-file keys",
        ],
        panel=PANEL,
    )
    command(
        key,
        "new",
        examples=[
            "paddlesrv key new alice --api-key-file keys",
            "paddlesrv key new shop --rate 50 --concurrent 8 --api-key-file keys",
            "paddlesrv key new ops --admin --api-key-file keys -q > ops.key",
        ],
    )(new)
    command(key, "list", examples=["paddlesrv key list --api-key-file keys"])(list_)
    command(key, "rm", examples=["paddlesrv key rm alice --api-key-file keys -y"])(rm)


def new(
    shell: Shell,
    name: Name,
    api_key_file: KeyFile,
    rate: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="N", help="Requests a second; default: --rate-limit."),
    ] = None,
    burst: Annotated[
        float | None,
        typer.Option(min=1, metavar="N", help="Requests at once; default: those of one second."),
    ] = None,
    concurrent: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Requests open at the same time.")
    ] = None,
    admin: Annotated[
        bool, typer.Option("--admin", help="It may load and unload models, if the server lets.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Make an API key, and write its digest into a file for servers.

    The key itself is shown this once, and kept nowhere. Running servers read the file within
    seconds, or at once on SIGHUP.
    """
    from paddlesrv.server.access.key_file import KeyEntry, add_key, check_new, digest_of, new_key

    check_new(api_key_file, name)
    key = new_key()
    entry = KeyEntry(
        name=name,
        digest=digest_of(key.encode()),
        rate=rate,
        burst=burst,
        concurrent=concurrent,
        admin=admin,
    )
    output = shell.output
    if dry_run:
        output.answer(
            _record(entry) | {"file": api_key_file, "dry_run": True},
            human=lambda: output.line(f"would add a key {name} to {api_key_file}"),
        )
        return
    add_key(api_key_file, entry)

    def human() -> None:
        output.line(key)
        output.note(f"added {name} to {api_key_file}; the key is not shown again")
        output.note("send it as: authorization: Bearer KEY")

    output.answer(_record(entry) | {"file": api_key_file, "key": key}, names=[key], human=human)


def list_(shell: Shell, api_key_file: KeyFile) -> None:
    """Show the keys in a file: their names and limits."""
    from paddlesrv.server.access.key_file import read_keys

    entries, output = read_keys(api_key_file), shell.output

    def human() -> None:
        rows = [
            (
                entry.name,
                _shown(entry.rate),
                _shown(entry.burst),
                _shown(entry.concurrent),
                "yes" if entry.admin else "no",
            )
            for entry in entries
        ]
        output.table(("NAME", "RATE", "BURST", "CONCURRENT", "ADMIN"), rows)

    output.answer(
        {"file": api_key_file, "keys": [_record(entry) for entry in entries]},
        names=[entry.name for entry in entries],
        human=human,
    )


def rm(
    shell: Shell,
    name: Name,
    api_key_file: KeyFile,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Take a key out of a file, after asking.

    Servers refuse it as soon as they have read the file again. It cannot be brought back.
    """
    from paddlesrv.cli.asking import agreed
    from paddlesrv.server.access.key_file import check_there, remove_key

    output = shell.output
    check_there(api_key_file, name)
    if not dry_run:
        again = shlex.join(["paddlesrv", *shell.argv, "-y"])
        if not (yes or agreed(f"Remove the key {name} from {api_key_file}?", again)):
            output.note("nothing was removed")
            return
        remove_key(api_key_file, name)
    verb = "would remove" if dry_run else "removed"
    output.answer(
        {"name": name, "file": api_key_file, "dry_run": dry_run},
        names=[name],
        human=lambda: output.line(f"{verb} {name} from {api_key_file}"),
    )


def _record(entry: KeyEntry) -> dict[str, Any]:
    """A key for a program; neither itself nor its digest."""
    return {
        "name": entry.name,
        "rate": entry.rate,
        "burst": entry.burst,
        "concurrent": entry.concurrent,
        "admin": entry.admin,
    }


def _shown(limit: float | None) -> str:
    return "-" if limit is None else f"{limit:g}"
