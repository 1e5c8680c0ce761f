"""`encrypt`: a model as one encrypted file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paddlesrv.cli import options
from paddlesrv.cli.command import command
from paddlesrv.cli.models import PANEL
from paddlesrv.cli.output import human_size
from paddlesrv.cli.shell import Shell
from paddlesrv.errors import UsageError
from paddlesrv.own_python import KEY_VARIABLE

if TYPE_CHECKING:
    from paddlesrv.sealing.packing import Packed


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(
        app,
        "encrypt",
        panel=PANEL,
        examples=[
            "paddlesrv encrypt resnet50 --key-file model.key",
            "paddlesrv encrypt ocr --key-file model.key -o ocr.sealed",
            "paddlesrv encrypt ./my_model --key-command 'vault read -field=key secret/model'",
        ],
    )(encrypt)


def encrypt(
    shell: Shell,
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Name, alias, or directory with a model.")
    ],
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", metavar="FILE", help="The key; a new one if there is no file."),
    ] = None,
    key_command: options.KeyCommand = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Where to; default: MODEL.sealed."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, write nothing.")
    ] = False,
) -> None:
    """Write an installed model into one encrypted file (AES-256-GCM), its parts and labels too.

    Serve it with the same key: paddlesrv serve FILE --key-file KEY. Without the key nobody can
    read it, its owner included: keep a copy of the key somewhere else.
    """
    from paddlesrv.sealing import keys
    from paddlesrv.sealing.packing import SUFFIX, check_place, seal, version_of

    output = shell.output
    models = _models(shell, model)
    name = models[0].spec.name
    target = out if out is not None else Path(name + SUFFIX)
    check_place(target, replace=force)
    is_new = key_file is not None and not key_file.exists()
    if key_file is not None and key_command is not None:
        raise UsageError("--key-file and --key-command together", hints=["leave one of them out"])
    key: bytes | None
    if is_new:
        key = keys.new_key()
    else:
        key = keys.find_key(str(key_file) if key_file is not None else None, key_command)
    if key is None:
        raise UsageError(
            "there is no key to encrypt with",
            hints=[
                f"have one made: paddlesrv encrypt {shlex.quote(model)} --key-file {name}.key",
                f"or name a command that prints it: --key-command; or set {KEY_VARIABLE}",
            ],
        )
    record = {"model": name, "file": target, "models": [each.spec.name for each in models]}
    if dry_run:
        output.answer(
            record | {"dry_run": True},
            names=[str(target)],
            human=lambda: output.line(f"would encrypt {name} into {target}"),
        )
        return
    if is_new:
        assert key_file is not None
        keys.write_key_file(key_file, key)
        output.note(f"made a new key: {key_file}; whoever has it can read the model, nobody else")
    sealed = seal(models, key, target, version=version_of(models[0]), replace=force)

    def human() -> None:
        output.line(f"{target}  {human_size(sealed.sealed_bytes)}, {sealed.files} files")
        which = f"--key-file {shlex.quote(str(key_file))}" if key_file is not None else ""
        which = which or ("--key-command COMMAND" if key_command is not None else "")
        serve = " ".join(["paddlesrv serve", shlex.quote(str(target)), which]).rstrip()
        output.note(f"serve it: {serve}")

    output.answer(
        record
        | {
            "files": sealed.files,
            "plain_bytes": sealed.plain_bytes,
            "size_bytes": sealed.sealed_bytes,
            "key_file": key_file,
            "new_key": is_new,
        },
        names=[str(target)],
        human=human,
    )


def _models(shell: Shell, asked: str) -> list[Packed]:
    """The model and what it is made of, as they lie here."""
    from paddlesrv.sealing.packing import Packed
    from paddlesrv.server.config import ModelConfig
    from paddlesrv.server.locate import find_local, locate

    located = locate([ModelConfig(name=asked)], shell.catalogue, shell.store)
    if located[0].sealed is not None:
        raise UsageError(f"{asked} is encrypted already")
    names = [located[0].config.name]
    found = []
    for name in names:
        local = find_local(located, shell.catalogue, shell.store, name)
        found.append(Packed(local.spec, local.root))
        names += [part for part in local.spec.components.values() if part not in names]
    return found
