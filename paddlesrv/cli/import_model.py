"""`import`: make an own model one that is installed."""

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
from paddlesrv.errors import UsageError

if TYPE_CHECKING:
    from paddlesrv.importing.importer import Imported
    from paddlesrv.importing.trial import Trial


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(
        app,
        "import",
        panel=PANEL,
        examples=[
            "paddlesrv import ./my_model",
            "paddlesrv import best.onnx --name shop-detector",
            "paddlesrv import export.tar.gz --labels labels.txt",
            "paddlesrv import ./sorter --task classification --labels f.txt --set crop=[192,192]",
            "paddlesrv import ./PP-OCRv4_rec_infer --task text-recognition --labels keys.txt",
            "paddlesrv import /data/large_model --link --dry-run",
        ],
    )(import_model)


def import_model(
    shell: Shell,
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", help="A directory, a model's file, or an archive with a model."
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Its name; default: what PATH is called."),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            metavar="TASK",
            help="What it does, such as classification or detection; default: as its export says, "
            "or tensors.",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Names of its classes or characters, one a line."),
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A parameter of the task, such as mean=[0.5,0.5,0.5]; may be given several times.",
        ),
    ] = None,
    link: Annotated[
        bool, typer.Option("--link", help="Keep the files where they are, and watch for changes.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the own model of that name.")
    ] = False,
    no_run: Annotated[
        bool, typer.Option("--no-run", help="Do not try the network before it is installed.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="S", help="Time for that try, in seconds.")
    ] = 120,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and try everything, and install nothing.")
    ] = False,
) -> None:
    """Make a model of your own one that can be served by name.

    It takes what Paddle's exporters write (__model__, *.pdmodel or *.json, with parameters), what
    Paddle Serving's converter makes of it, and ONNX; plain, or in a tar, zip or wheel. The network
    is run once, in a process of its own. Pickled weights are refused, with the way to export them.
    """
    from paddlesrv.engines.base import EngineOptions
    from paddlesrv.importing.draft import Wish
    from paddlesrv.importing.importer import Importer
    from paddlesrv.server.config import default_threads

    wish = Wish(
        path=path, name=name, task=task, labels=labels, link=link, force=force, run=not no_run,
        dry_run=dry_run, timeout_seconds=timeout, parameters=_parameters(parameters or []),
    )  # fmt: skip
    shell.interrupted = "interrupted; nothing was installed"
    with watching(shell.output, lambda model, path: None) as observer:
        importer = Importer(shell.catalogue, shell.store, observer)
        found = importer.run(wish, EngineOptions(threads=default_threads(1)))
    out = shell.output
    for text in found.warnings:
        out.warning(text)
    if found.ignored:
        out.warning(f"beside the network, and not taken: {_listed(found.ignored)}")
    if found.trial is None:
        out.warning("the network was not run (--no-run): whether it works is not known")
    out.answer(_record(found), names=[found.spec.name], human=lambda: _show(out, found))


def _parameters(words: list[str]) -> dict[str, Any]:
    """NAME=VALUE each; the value is JSON, or else a text."""
    import msgspec

    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(
                f"--set {word} sets nothing",
                context={"wanted": "NAME=VALUE"},
                hints=["for example: --set mean=[0.5,0.5,0.5]"],
            )
        try:
            found[name] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            found[name] = value
    return found


def _record(found: Imported) -> dict[str, Any]:
    import msgspec

    return {
        "dry_run": found.installed is None,
        "model": {
            "name": found.spec.name,
            "path": str(found.installed.path) if found.installed is not None else None,
            "task": found.spec.task,
            "linked": found.linked,
            "origin": str(found.origin),
            "size_bytes": found.size_bytes,
            "spec": msgspec.to_builtins(found.spec),
        },
        "run": found.trial,
        "told": found.told,
        "warnings": found.warnings,
        "ignored": found.ignored,
    }


def _show(out: Output, found: Imported) -> None:
    from paddlesrv.importing.fitting import shape_text

    spec = found.spec
    kept = ", left where it is" if found.linked else ""
    out.line(f"model    {spec.name}: {spec.format}, {human_size(found.size_bytes)}{kept}")
    out.line(f"task     {spec.task}")
    for text in found.told:
        out.line(f"         {text}")
    sides = (("input", spec.inputs), ("output", spec.outputs))
    rows = [
        (side, t.name, t.dtype + (" lod" if t.lod_level else ""), shape_text(t.shape), t.role or "")
        for side, tensors in sides
        for t in tensors
    ]
    out.table(("TENSOR", "NAME", "TYPE", "SHAPE", "ROLE"), rows)
    if found.trial is not None:
        for line in _trial_lines(found.trial):
            out.line(line)
    if found.installed is None:
        out.line("would be installed; this was a dry run")
        return
    out.line(f"ready {found.installed.path}", "green")
    out.line(f"try: paddlesrv serve {shlex.quote(spec.name)}")


def _trial_lines(trial: Trial) -> list[str]:
    fed = ", ".join(
        f"{name} {list(shape)}{' (open sizes chosen)' if name in trial.chosen else ''}"
        for name, shape in trial.inputs.items()
    )
    came = ", ".join(f"{answer.name} {list(answer.shape)}" for answer in trial.outputs)
    lines = [
        f"ran      {fed} -> {came}",
        f"         in {trial.run_seconds * 1e3:.1f} ms with {trial.engine}, "
        f"after {trial.load_seconds:.1f} s of loading",
    ]
    if trial.result:
        lines.append("         the task's own example was run and understood as well")
    return lines


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown
