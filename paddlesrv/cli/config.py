"""`config gen`: a server's configuration as a commented file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paddlesrv.cli import options
from paddlesrv.cli.command import HELP_NAMES, Group, command
from paddlesrv.cli.shell import Shell
from paddlesrv.errors import UsageError

if TYPE_CHECKING:
    from paddlesrv.server.config import ServerConfig
    from paddlesrv.server.locate import Located

PANEL = "Serving"


def register(app: typer.Typer) -> None:
    """Add the noun to the program."""
    noun = typer.Typer(
        cls=Group,
        rich_markup_mode=None,
        help="Write the server's configuration file.",
        context_settings=HELP_NAMES,
        epilog="paddlesrv config gen ocr -o paddlesrv.yaml",
        no_args_is_help=False,
    )
    command(
        noun,
        "gen",
        examples=[
            "paddlesrv config gen ocr -o paddlesrv.yaml",
            "paddlesrv config gen resnet50 lac --instances 2",
            "paddlesrv serve --config paddlesrv.yaml",
        ],
    )(gen)
    noun.callback(invoke_without_command=True)(_show_help)
    app.add_typer(noun, name="config", rich_help_panel=PANEL)


def _show_help(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        shell: Shell = ctx.obj
        shell.output.line(ctx.get_help())


def gen(
    shell: Shell,
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help="Names, aliases, or directories with a model."),
    ],
    file: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Where to; else stdout.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
    gpu: options.Gpu = None,
    cpu: options.Cpu = False,
    precision: options.PrecisionFlag = None,
    engine: options.EngineFlag = None,
    host: options.Host = None,
    port: options.Port = None,
    max_batch_size: options.MaxBatchSize = None,
    max_delay: options.MaxDelay = None,
    max_queue: options.MaxQueue = None,
    timeout: options.Timeout = None,
    max_body: options.MaxBody = None,
    instances: options.Instances = None,
    threads: options.Threads = None,
    grace: options.Grace = None,
) -> None:
    """Write a commented configuration: the choices made, and why."""
    from msgspec.structs import replace

    from paddlesrv.server.config import ModelConfig, ServerConfig, render_config
    from paddlesrv.server.locate import locate, with_engines

    running = options.Running(
        gpu=gpu,
        cpu=cpu,
        precision=precision,
        engine=engine,
        instances=instances,
        threads=threads,
        max_batch_size=max_batch_size,
        max_delay_ms=max_delay,
        max_queue=max_queue,
        timeout_s=timeout,
    )
    limits = options.Limits(host=host, port=port, max_body_mb=max_body, grace_s=grace)
    asked = ServerConfig(models=tuple(ModelConfig(name=name) for name in models))
    asked = limits.applied(replace(asked, models=running.applied(asked.models)))
    if engine is None:
        asked = with_engines(asked, shell.catalogue, shell.store)
    located = locate(asked.models, shell.catalogue, shell.store)
    config, notes = _decided(asked, located, given=set(running.fields()))
    text = render_config(config, notes)
    if file is None:
        _print(shell, config, text)
        return
    if file.exists() and not force:
        raise UsageError(
            f"{file} is there already", hints=["replace it: --force, or write elsewhere: -o FILE"]
        )
    file.write_text(text, encoding="utf-8")
    shell.output.answer(
        {"config": config, "path": str(file)},
        names=[str(file)],
        human=lambda: shell.output.line(f"wrote {file}; start it: paddlesrv serve --config {file}"),
    )


def _print(shell: Shell, config: ServerConfig, text: str) -> None:
    shell.output.answer(
        {"config": config},
        names=[model.name for model in config.models],
        human=lambda: shell.output.line(text.rstrip("\n")),
    )


def _decided(
    config: ServerConfig, located: list[Located], given: set[str]
) -> tuple[ServerConfig, dict[str, str]]:
    """The configuration with every choice made for this machine, and the reasons by place."""
    from msgspec.structs import replace

    from paddlesrv.server.config import default_threads, usable_cores

    models, notes = [], {}
    for index, model in enumerate(located):
        place = f"models[{index}]."
        chosen = (
            model.config if model.directory is None else replace(model.config, name=model.asked)
        )
        if model.by_alias:
            notes[place + "name"] = f"{model.asked} is an alias of it."
        if not chosen.threads:
            threads = default_threads(chosen.instances)
            chosen = replace(chosen, threads=threads)
            workers = f"{chosen.instances} instance{'s' if chosen.instances > 1 else ''}"
            notes[place + "threads"] = f"This machine's {usable_cores()} cores / {workers}."
        if chosen.max_batch_size is None and model.entry and model.entry.max_batch_size:
            chosen = replace(chosen, max_batch_size=model.entry.max_batch_size)
            notes[place + "max_batch_size"] = "The catalogue's limit for this model."
        for field in given:
            notes.setdefault(place + field, "As asked for.")
        models.append(chosen)
    return replace(config, models=tuple(models)), notes
