"""`serve`: from names to a running server."""

from __future__ import annotations

import contextlib
import logging
import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paddlesrv.cli import options
from paddlesrv.cli.choices import Watched
from paddlesrv.cli.command import command
from paddlesrv.cli.detaching import Naming, shown_command, start_detached
from paddlesrv.cli.progress import watching
from paddlesrv.cli.serve_told import Told
from paddlesrv.cli.shell import Shell
from paddlesrv.errors import Busy, UsageError

if TYPE_CHECKING:
    from paddlesrv.cli.choices import Engines
    from paddlesrv.engines.devices import DeviceInfo
    from paddlesrv.server.config import ModelConfig, ServerConfig
    from paddlesrv.server.deciding import Decisions
    from paddlesrv.server.local_model import LocalModel
    from paddlesrv.server.locate import Located
    from paddlesrv.server.pipeline_translation import Translation
    from paddlesrv.server.ports import Ports
    from paddlesrv.server.records import Claim, ServerRecord
    from paddlesrv.server.run import Started
    from paddlesrv.server.service import ModelSetup
    from paddlesrv.tuning.serving import Tuning

PANEL = "Serving"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(
        app,
        "serve",
        panel=PANEL,
        examples=[
            "paddlesrv serve ocr",
            "paddlesrv serve resnet50 --gpu 0 --precision fp16",
            "paddlesrv serve resnet50 --precision int8 --calibrate photos/",
            "paddlesrv serve ocr lac --port 0 --instances 2",
            "paddlesrv serve ocr -d --name reader",
            "paddlesrv serve ./my_model --dry-run",
            "paddlesrv serve resnet50.sealed --key-file model.key",
            "paddlesrv serve --config paddlesrv.yaml",
            "paddlesrv serve config.yml --dry-run",
        ],
    )(serve)


def serve(
    shell: Shell,
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL...",
            help="Names, aliases, directories with a model, encrypted models, or a config file (of "
            "Paddle Serving's pipelines as well); none: ./paddlesrv.yaml.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Models and limits from a file; flags go before it."),
    ] = None,
    gpu: options.Gpu = None,
    cpu: options.Cpu = False,
    precision: options.PrecisionFlag = None,
    calibrate: options.Calibrate = None,
    accept: options.Accept = False,
    tensorrt: options.TensorRt = None,
    engine: options.EngineFlag = None,
    host: options.Host = None,
    port: options.Port = None,
    grpc_port: options.GrpcPort = None,
    brpc_port: options.BrpcPort = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    tls_client_ca: options.TlsClientCa = None,
    api_key_file: options.ApiKeyFile = None,
    key_file: options.KeyFile = None,
    key_command: options.KeyCommand = None,
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
    detach: Annotated[
        bool,
        typer.Option("-d", "--detach", help="Come back when it is ready; it goes on by itself."),
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="NAME", help="What ps, logs and stop call it; default: its models."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, start and fetch nothing.")
    ] = False,
) -> int:
    """Serve models over HTTP until Ctrl-C, or with -d until `paddlesrv stop`.

    Models that are not here are fetched first.
    """
    from msgspec.structs import replace

    if key_file is not None and key_command is not None:
        raise UsageError("--key-file and --key-command together", hints=["leave one of them out"])
    running = options.Running(
        gpu=gpu,
        cpu=cpu,
        precision=precision,
        engine=engine,
        tensorrt=tensorrt,
        instances=instances,
        threads=threads,
        pin=pin,
        max_batch_size=max_batch_size,
        max_delay_ms=max_delay,
        max_queue=max_queue,
        timeout_s=timeout,
    )
    from paddlesrv.cli.configured import configured

    base = configured(shell, models or [], config, dry_run)
    limits = options.Limits(
        host=host,
        port=port,
        grpc_port=grpc_port,
        brpc_port=brpc_port,
        tls_cert=tls_cert,
        tls_key=tls_key,
        tls_client_ca=tls_client_ca,
        api_key_file=api_key_file,
        key_file=key_file,
        rate_limit=rate_limit,
        allow_host=allow_host,
        cors_origin=cors_origin,
        admin=admin,
        max_body_mb=max_body,
        grace_s=grace,
    )
    asked = limits.applied(replace(base.config, models=running.applied(base.config.models)))
    again = shlex.join(["paddlesrv", "serve", *base.words, *(["-d"] if detach else [])])
    said = [fields | running.said for fields in base.said]
    return _Start(
        shell, asked, said, again, name, detach, base.translation, calibrate, accept, key_command
    ).run(dry_run)


class _Start:
    """One start of a server; each step refuses what later ones would have to undo."""

    def __init__(
        self,
        shell: Shell,
        config: ServerConfig,
        said: Sequence[frozenset[str]],
        command: str,
        name: str | None,
        detach: bool,
        translation: Translation | None = None,
        calibration: Path | None = None,
        accept: bool = False,
        key_command: str | None = None,
    ) -> None:
        self._shell = shell
        self._out = shell.output
        self._config = config
        self._said = said
        self._told = Told(shell)
        self._command = command
        self._name = name
        self._detach = detach
        self._translation = translation
        self._calibration = calibration
        self._accept = accept
        self._key_command = key_command
        self._key: bytes | None = None
        self._began = time.monotonic()

    def run(self, dry_run: bool) -> int:
        """Names, devices, port, its own name, files, server: the cheap refusals first."""
        from paddlesrv.server.locate import locate, missing

        located = locate(self._config.models, self._shell.catalogue, self._shell.store)
        for model in located:
            if model.by_alias:
                self._out.note(f"{model.asked} -> {model.config.name} (alias)")
        self._unlock(located)
        located, tuning = self._tuned(located)
        devices = self._check_devices(located)
        from paddlesrv.server.access.exposure import check_access, warnings

        check_access(self._config)
        naming = Naming(self._out, self._shell.settings.state_dir, self._name, located)
        # Port and name are held from here on: nobody takes them while models are fetched.
        with contextlib.closing(self._take_ports()) as ports:
            for text in warnings(self._config):
                self._out.warning(text)
            absent = missing(located, self._shell.store)
            if dry_run:
                naming.look()
                if not absent and self._calibration is None:
                    self._quantise(located)
                engines = self._known_engines(located, absent, tuning)
                self._told.plan(
                    self._config, located, absent, devices, naming.name, engines, tuning,
                    self._translation,
                )  # fmt: skip
                return 0
            claim = naming.take(self._detach)
            try:
                self._get(absent)
                if absent:
                    located, tuning = self._tuned(located)
                return self._serve(located, tuning, devices, ports, naming.name, claim)
            finally:
                if claim is not None:
                    claim.release()

    def _unlock(self, located: Sequence[Located]) -> None:
        """Open what is encrypted; a key that stood in the environment is gone from there."""
        from paddlesrv.sealing.keys import find_key
        from paddlesrv.server.unlocking import unlock

        # A command is named by a flag alone, and so goes before what a file says.
        file = self._config.key_file if self._key_command is None else None
        self._key = find_key(file, self._key_command)
        if not unlock(located, self._key) and self._key is not None:
            self._out.warning("there is a key, but none of these models is encrypted")
            self._key = None

    def _tuned(self, located: Sequence[Located]) -> tuple[list[Located], Tuning]:
        """The models as they were tuned, in what nobody has said."""
        from paddlesrv.tuning.serving import apply

        return apply(located, self._said, self._find(located), self._shell.settings.cache_dir)

    def _find(self, located: Sequence[Located]) -> Callable[[str], LocalModel]:
        """Looks up a model that is here, by its own name."""
        from paddlesrv.server.locate import find_local

        shell = self._shell
        return lambda name: find_local(located, shell.catalogue, shell.store, name)

    def _check_devices(self, located: Sequence[Located]) -> list[DeviceInfo]:
        from paddlesrv.server.deciding import check_device
        from paddlesrv.server.locate import is_onnx

        store = self._shell.store
        return [
            check_device(model.config, self._command, is_onnx=is_onnx(model, store))
            for model in located
        ]

    def _take_ports(self) -> Ports:
        from paddlesrv.server.ports import take_ports

        try:
            return take_ports(self._config)
        except Busy as error:
            raise Busy(
                error.message,
                context=error.context,
                hints=[hint.replace(": --", f": {self._command} --") for hint in error.hints],
            ) from None

    def _get(self, missing: Sequence[str]) -> None:
        if not missing:
            return
        from paddlesrv.zoo.install import Installer

        shell = self._shell
        again = shlex.join(["paddlesrv", *shell.argv])
        shell.interrupted = f"interrupted; go on where it stopped: {again}"
        with watching(self._out, lambda model, path: None) as observer:
            Installer(shell.catalogue, shell.store, shell.settings, observer).get(missing)
        shell.interrupted = "interrupted"

    def _quantise(self, located: Sequence[Located]) -> None:
        """Refuse int8 for models without such a form, or make it, where there is something to."""
        configs = [model.config for model in located]
        int8 = any(config.precision == "int8" for config in configs)
        if not (int8 or self._calibration or self._accept):
            return
        from paddlesrv.precision.serving import ensure_quantised

        reports = ensure_quantised(
            configs,
            self._find(located),
            self._calibration,
            self._out.note,
            accept=self._accept,
        )
        for report in reports:
            for line in report.lines:
                self._out.note(line)

    def _serve(
        self,
        located: Sequence[Located],
        tuning: Tuning,
        devices: Sequence[DeviceInfo],
        ports: Ports,
        name: str,
        claim: Claim | None,
    ) -> int:
        from msgspec.structs import replace

        from paddlesrv.cli.choices import Engines
        from paddlesrv.server.launch import plan, setups
        from paddlesrv.server.logfile import log_path
        from paddlesrv.server.registration import describe

        shell = self._shell
        self._quantise(located)
        configs = [model.config for model in located]
        planned = plan(configs, self._find(located), tuning.parts)
        decided = self._decide(planned, tuning)
        ready = setups(planned, decided.options)
        for model, device in zip(located, devices, strict=True):
            self._told.model(model, device, Engines.of(model.config.name, planned, decided))
        self._told.tuning(tuning)
        config = replace(self._config, models=tuple(model.config for model in located))
        log = log_path(shell.settings.state_dir, name) if self._detach else None
        record = describe(name, config, planned, ports, shown_command(shell.argv), log)
        if self._detach:
            assert claim is not None, "a server without a record is not detached"
            record, started = start_detached(
                shell,
                config,
                located,
                tuning.parts,
                decided.options,
                record,
                ports,
                claim,
                self._key,
            )
            self._told.ready(located, started, record, time.monotonic() - self._began)
            return 0
        return self._serve_here(config, ready, located, record, ports, claim)

    def _serve_here(
        self,
        config: ServerConfig,
        models: Sequence[ModelSetup],
        located: Sequence[Located],
        record: ServerRecord,
        ports: Ports,
        claim: Claim | None,
    ) -> int:
        from paddlesrv.server.registration import Registration
        from paddlesrv.server.run import run_server
        from paddlesrv.server.shelf import StoreShelf

        start_logging(self._shell.flags.verbose)
        registration = Registration(claim, record, self._out.warning)

        def announce(started: Started) -> None:
            registration.enter("ready")
            self._told.ready(located, started, record, time.monotonic() - self._began)

        registration.enter("starting")
        shelf = StoreShelf(config, self._shell.catalogue, self._shell.store)
        return run_server(
            config, models, ports, announce, lambda: registration.enter("stopping"), shelf
        )

    def _decide(
        self, planned: Sequence[tuple[ModelConfig, LocalModel]], tuning: Tuning
    ) -> Decisions:
        """The engine of each network, tried where that was never done."""
        from paddlesrv.server.deciding import decide

        settings = self._shell.settings
        return decide(
            planned,
            settings.cache_dir,
            limit_seconds=settings.choice_seconds,
            watch=Watched(self._out),
            variants=tuning.variants,
        )

    def _known_engines(
        self, located: Sequence[Located], missing: Sequence[str], tuning: Tuning
    ) -> dict[str, Engines]:
        """The engines that would serve each model, as far as that is known already."""
        from paddlesrv.cli.choices import Engines
        from paddlesrv.server.deciding import decide
        from paddlesrv.server.launch import plan

        settings = self._shell.settings
        here = [model.config for model in located if model.config.name not in missing]
        planned = plan(here, self._find(located), tuning.parts)
        decided = decide(planned, settings.cache_dir, limit_seconds=0, variants=tuning.variants)
        open_ones = {
            name
            for name, choice in decided.choices.items()
            if settings.choice_seconds and not choice.settled
        }
        found = {c.name: Engines.of(c.name, planned, decided, open_ones) for c in here}
        return found | {
            model.config.name: Engines.named(model.config)
            for model in located
            if model.config.name in missing
        }


def start_logging(verbose: int) -> None:
    """Let the server's log go to stderr: warnings, with -v also what it does."""
    from paddlesrv.server.logfile import FORMAT, EscapingFormatter

    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    handler = logging.StreamHandler()
    handler.setFormatter(EscapingFormatter(FORMAT))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("paddlesrv").setLevel(level)
