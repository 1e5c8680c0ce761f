"""`config gen|show|path`: config files: written, in force, and where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paddlesrv.cli import options
from paddlesrv.cli.about import plain, shown, tell_problems
from paddlesrv.cli.command import command, noun
from paddlesrv.cli.shell import Shell
from paddlesrv.errors import UsageError

if TYPE_CHECKING:
    from paddlesrv.server.config import ServerConfig
    from paddlesrv.server.defaults import Defaults
    from paddlesrv.server.locate import Located
    from paddlesrv.tuning.serving import Taken, Tuning

PANEL = "Serving"


def register(app: typer.Typer) -> None:
    """Add the noun to the program."""
    config = noun(
        app,
        "config",
        says="Write configuration files, and show what is in force.",
        examples=["paddlesrv config gen ocr -o paddlesrv.yaml"],
        panel=PANEL,
    )
    command(
        config,
        "gen",
        examples=[
            "paddlesrv config gen ocr -o paddlesrv.yaml",
            "paddlesrv config gen resnet50 lac --instances 2",
            "paddlesrv serve --config paddlesrv.yaml",
        ],
    )(gen)
    command(
        config,
        "show",
        examples=[
            "paddlesrv config show",
            "paddlesrv config show --origin",
            "paddlesrv config show --config paddlesrv.yaml --json",
        ],
    )(show)
    command(config, "path", examples=["paddlesrv config path", "paddlesrv config path -q"])(path)


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
    grpc_port: options.GrpcPort = None,
    brpc_port: options.BrpcPort = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    tls_client_ca: options.TlsClientCa = None,
    api_key_file: options.ApiKeyFile = None,
    rate_limit: options.RateLimit = None,
    allow_host: options.AllowHost = None,
    cors_origin: options.CorsOrigin = None,
    admin: options.Admin = None,
    max_batch_size: options.MaxBatchSize = None,
    max_delay: options.MaxDelay = None,
    max_queue: options.MaxQueue = None,
    timeout: options.Timeout = None,
    max_body: options.MaxBody = None,
    instances: options.Instances = None,
    threads: options.Threads = None,
    pin: options.Pin = None,
    grace: options.Grace = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be written, and write nothing.")
    ] = False,
) -> None:
    """Write a commented configuration: the choices made, and why."""
    from msgspec.structs import replace

    from paddlesrv.server.config import render_config
    from paddlesrv.server.defaults import defaults
    from paddlesrv.server.locate import locate

    running = options.Running(
        gpu=gpu,
        cpu=cpu,
        precision=precision,
        engine=engine,
        instances=instances,
        threads=threads,
        pin=pin,
        max_batch_size=max_batch_size,
        max_delay_ms=max_delay,
        max_queue=max_queue,
        timeout_s=timeout,
    )
    limits = options.Limits(
        host=host,
        port=port,
        grpc_port=grpc_port,
        brpc_port=brpc_port,
        tls_cert=tls_cert,
        tls_key=tls_key,
        tls_client_ca=tls_client_ca,
        api_key_file=api_key_file,
        rate_limit=rate_limit,
        allow_host=allow_host,
        cors_origin=cors_origin,
        admin=admin,
        max_body_mb=max_body,
        grace_s=grace,
    )
    # Not ./paddlesrv.yaml: that is what is written here.
    found = defaults(shell.in_force.file)
    asked = found.configuration(models)
    asked = limits.applied(replace(asked, models=running.applied(asked.models)))
    located = locate(asked.models, shell.catalogue, shell.store)
    said = [each | running.said for each in found.said(models)]
    located, tuning = _tuned(shell, located, said)
    config, notes = _decided(asked, located, tuning, given=set(running.fields()))
    for option, origin in found.origins.items():
        for place in ("", *(f"models[{index}]." for index in range(len(located)))):
            if origin != "default":
                notes.setdefault(place + option, f"From {origin}.")
    text = render_config(config, notes)
    if file is None or dry_run:
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


def show(
    shell: Shell,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Instead of ./paddlesrv.yaml.")
    ] = None,
    origin: Annotated[
        bool, typer.Option("--origin", help="Also where each value comes from.")
    ] = False,
) -> None:
    """Show every setting, and what a server would be started with.

    A flag goes before a PADDLESRV_* variable, that before ./paddlesrv.yaml (servers alone), that
    before your own config file, then what `tune` found for a model, and that before the default.
    """
    from paddlesrv.server.defaults import OPTIONS, defaults, find_project
    from paddlesrv.settings import SETTINGS

    in_force = shell.in_force
    found = defaults(in_force.file, find_project(config, asked=config is not None))
    settings = [
        _Value(s.field, plain(getattr(in_force.settings, s.field)), in_force.origins[s.field])
        for s in SETTINGS
    ]
    serve = [
        _Value(option.field, found.values[option.field], found.origins[option.field])
        for option in OPTIONS
    ]
    models = [model["name"] for model in found.models]
    tuned = _tuned_values(shell, found) if models else {}

    def human() -> None:
        parts = {"SETTINGS": settings, "SERVE": serve, **tuned}
        for title, rows in parts.items():
            headers = (title, "VALUE", "ORIGIN") if origin else (title, "VALUE")
            shell.output.table(headers, [row.cells()[: len(headers)] for row in rows])
            shell.output.line()
        shell.output.pairs([("models", ", ".join(models) or "- (named to serve)")])

    shell.output.answer(
        {
            "settings": [row.record() for row in settings],
            "serve": [row.record() for row in serve],
            "tuned": {name: [row.record() for row in rows] for name, rows in tuned.items()},
            "models": models,
        },
        names=[f"{row.name}={row.cells()[1]}" for row in (*settings, *serve)],
        human=human,
    )


def path(shell: Shell) -> None:
    """Show which config files are looked at, and whether they are there.

    The first is your own: its `settings` hold for every command, its `serve` for every server.
    The second is the server's, in the current directory.
    """
    from paddlesrv.server.defaults import PROJECT_FILE, untrusted

    user = shell.readable.settings.user_file
    project = PROJECT_FILE.absolute()
    rows = [
        {"name": "user", "path": str(user), "exists": user.is_file()},
        {"name": "project", "path": str(project), "exists": project.is_file()},
    ]

    def human() -> None:
        shell.output.table(
            ("FILE", "EXISTS", "PATH"),
            [(str(r["name"]), "yes" if r["exists"] else "no", str(r["path"])) for r in rows],
        )

    shell.output.answer({"files": rows}, names=[str(user)], human=human)
    if doubt := untrusted(PROJECT_FILE):
        shell.output.warning(f"{project} {doubt}: it is read only where it is named")
    tell_problems(shell)


@dataclass(frozen=True)
class _Value:
    """One line of `config show`."""

    name: str
    value: object
    origin: str

    def cells(self) -> tuple[str, str, str]:
        return self.name, shown(self.value), self.origin

    def record(self) -> dict[str, object]:
        return {"name": self.name, "value": self.value, "origin": self.origin}


def _print(shell: Shell, config: ServerConfig, text: str) -> None:
    shell.output.answer(
        {"config": config},
        names=[model.name for model in config.models],
        human=lambda: shell.output.line(text.rstrip("\n")),
    )


def _tuned_values(shell: Shell, found: Defaults) -> dict[str, list[_Value]]:
    """What records of `tune` decide of the models of the config file, by network."""
    from paddlesrv.server.locate import locate

    if not (shell.settings.cache_dir / "tuned").is_dir():
        return {}
    asked = locate(found.configuration().models, shell.catalogue, shell.store)
    located, tuning = _tuned(shell, asked, found.said())
    configs = {model.config.name: model.config for model in located} | tuning.parts
    return {
        taken.model: [
            _Value(field, getattr(configs[taken.model], field), taken.record)
            for field in taken.fields
        ]
        for taken in tuning.taken
    }


def _tuned_notes(place: str, taken: Taken | None) -> dict[str, str]:
    """Which fields are as they were tuned."""
    if taken is None:
        return {}
    return {place + field: f"As {taken.record}." for field in taken.fields}


def _tuned(
    shell: Shell, located: Sequence[Located], said: Sequence[frozenset[str]]
) -> tuple[list[Located], Tuning]:
    """The models as they were tuned, in what nobody has said."""
    from paddlesrv.server.locate import find_local
    from paddlesrv.tuning.serving import apply

    return apply(
        located,
        said,
        lambda name: find_local(located, shell.catalogue, shell.store, name),
        shell.settings.cache_dir,
    )


def _decided(
    config: ServerConfig, located: list[Located], tuning: Tuning, given: set[str]
) -> tuple[ServerConfig, dict[str, str]]:
    """The configuration with every choice made for this machine, and the reasons by place."""
    from msgspec.structs import replace

    from paddlesrv.server.config import default_threads, usable_cores

    models, notes = [], {}
    for index, model in enumerate(located):
        place = f"models[{index}]."
        chosen = model.config if model.place is None else replace(model.config, name=model.asked)
        if model.by_alias:
            notes[place + "name"] = f"{model.asked} is an alias of it."
        if not chosen.threads and chosen.engine != "auto":
            threads = default_threads(chosen.instances)
            chosen = replace(chosen, threads=threads)
            workers = f"{chosen.instances} instance{'s' if chosen.instances > 1 else ''}"
            notes[place + "threads"] = f"This machine's {usable_cores()} cores / {workers}."
        if chosen.max_batch_size is None and model.entry and model.entry.max_batch_size:
            chosen = replace(chosen, max_batch_size=model.entry.max_batch_size)
            notes[place + "max_batch_size"] = "The catalogue's limit for this model."
        for field in given:
            notes.setdefault(place + field, "As asked for.")
        notes |= _tuned_notes(place, tuning.of(model.config.name))
        models.append(chosen)
    for name, part in tuning.parts.items():
        place = f"models[{len(models)}]."
        notes[place + "name"] = "A part of another model, with a record of its own."
        notes |= _tuned_notes(place, tuning.of(name))
        models.append(part)
    return replace(config, models=tuple(models)), notes
