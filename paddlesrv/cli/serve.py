"""`serve`: from names to a running server."""

from __future__ import annotations

import contextlib
import logging
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paddlesrv.cli import options
from paddlesrv.cli.command import command
from paddlesrv.cli.detaching import Naming, shown_command, start_detached
from paddlesrv.cli.progress import watching
from paddlesrv.cli.shell import Shell
from paddlesrv.errors import Busy

if TYPE_CHECKING:
    from paddlesrv.cli.choices import Engines
    from paddlesrv.engines.devices import DeviceInfo
    from paddlesrv.server.config import ModelConfig, ServerConfig
    from paddlesrv.server.deciding import Decisions
    from paddlesrv.server.launch import LocalModel
    from paddlesrv.server.locate import Located
    from paddlesrv.server.pipeline_translation import Translation
    from paddlesrv.server.ports import Ports
    from paddlesrv.server.records import Claim, ServerRecord
    from paddlesrv.server.run import Started
    from paddlesrv.server.service import ModelSetup

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
            help="Names, aliases, directories with a model, or a config file (of Paddle Serving's "
            "pipelines as well); none: ./paddlesrv.yaml.",
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
        admin=admin,
        max_body_mb=max_body,
        grace_s=grace,
    )
    asked = limits.applied(replace(base.config, models=running.applied(base.config.models)))
    again = shlex.join(["paddlesrv", "serve", *base.words, *(["-d"] if detach else [])])
    said = [fields | running.said for fields in base.said]
    return _Start(shell, asked, said, again, name, detach, base.translation, calibrate, accept).run(
        dry_run
    )


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
    ) -> None:
        self._shell = shell
        self._out = shell.output
        self._config = config
        self._said = said
        self._tuning = Tuning()
        self._command = command
        self._name = name
        self._detach = detach
        self._translation = translation
        self._calibration = calibration
        self._accept = accept
        self._began = time.monotonic()

    def run(self, dry_run: bool) -> int:
        """Names, devices, port, its own name, files, server: the cheap refusals first."""
        from paddlesrv.server.locate import locate, missing

        located = locate(self._config.models, self._shell.catalogue, self._shell.store)
        for model in located:
            if model.by_alias:
                self._out.note(f"{model.asked} -> {model.config.name} (alias)")
        located = self._tuned(located)
        devices = self._check_devices(located)
        if self._config.tls_cert is not None:
            from paddlesrv.server.tls import server_context

            server_context(self._config.tls_cert, self._config.tls_key)
        naming = Naming(self._out, self._shell.settings.state_dir, self._name, located)
        # Port and name are held from here on: nobody takes them while models are fetched.
        with contextlib.closing(self._take_ports()) as ports:
            absent = missing(located, self._shell.store)
            if dry_run:
                naming.look()
                if not absent and self._calibration is None:
                    self._quantise(located)
                self._tell_plan(located, absent, devices, naming.name)
                return 0
            claim = naming.take(self._detach)
            try:
                self._get(absent)
                if absent:
                    located = self._tuned(located)
                return self._serve(located, devices, ports, naming.name, claim)
            finally:
                if claim is not None:
                    claim.release()

    def _tuned(self, located: Sequence[Located]) -> list[Located]:
        """The models as they were tuned, in what nobody has said."""
        from paddlesrv.server.locate import find_local
        from paddlesrv.tuning.serving import apply

        shell = self._shell
        found, self._tuning = apply(
            located,
            self._said,
            lambda name: find_local(located, shell.catalogue, shell.store, name),
            shell.settings.cache_dir,
        )
        return found

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
        from paddlesrv.server.locate import find_local

        shell = self._shell
        reports = ensure_quantised(
            configs,
            lambda name: find_local(located, shell.catalogue, shell.store, name),
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
        devices: Sequence[DeviceInfo],
        ports: Ports,
        name: str,
        claim: Claim | None,
    ) -> int:
        from msgspec.structs import replace

        from paddlesrv.cli.choices import Engines
        from paddlesrv.server.launch import plan, setups
        from paddlesrv.server.locate import find_local
        from paddlesrv.server.logfile import log_path
        from paddlesrv.server.registration import describe

        shell = self._shell
        self._quantise(located)
        planned = plan(
            [model.config for model in located],
            lambda name: find_local(located, shell.catalogue, shell.store, name),
            self._tuning.parts,
        )
        decided = self._decide(planned)
        ready = setups(planned, decided.options)
        for model, device in zip(located, devices, strict=True):
            self._tell_model(model, device, Engines.of(model.config.name, planned, decided))
        config = replace(self._config, models=tuple(model.config for model in located))
        log = log_path(shell.settings.state_dir, name) if self._detach else None
        record = describe(name, config, planned, ports, shown_command(shell.argv), log)
        if self._detach:
            assert claim is not None, "a server without a record is not detached"
            record, started = start_detached(
                shell, config, located, decided.options, record, ports, claim
            )
            self._tell_ready(located, started, record)
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
            self._tell_ready(located, started, record)

        registration.enter("starting")
        shelf = StoreShelf(config, self._shell.catalogue, self._shell.store)
        return run_server(
            config, models, ports, announce, lambda: registration.enter("stopping"), shelf
        )

    def _decide(self, planned: Sequence[tuple[ModelConfig, LocalModel]]) -> Decisions:
        """The engine of each network, tried where that was never done."""
        from paddlesrv.server.deciding import decide

        shell = self._shell
        decided = decide(
            planned,
            shell.settings.cache_dir,
            limit_seconds=shell.settings.choice_seconds,
            watch=lambda text: self._out.note(f"engine   {text}"),
        )
        return decided

    def _tell_model(self, model: Located, device: DeviceInfo, engines: Engines) -> None:
        self._out.note(f"model    {self._place(model)}")
        self._out.note(f"device   {device_line(model, device, engines.short)}")
        for line in engines.lines:
            self._out.note(line)

    def _place(self, model: Located) -> str:
        if model.directory is not None:
            return str(model.directory)
        installed = self._shell.store.installed(model.config.name)
        return str(installed.path) if installed is not None else model.config.name

    def _tell_ready(
        self, located: Sequence[Located], started: Started, record: ServerRecord
    ) -> None:
        seconds = time.monotonic() - self._began
        names = [model.config.name for model in located]
        url = started.url

        def human() -> None:
            out = self._out
            out.note(f"loaded   in {started.load_seconds:.1f} s, sha256 ok")
            out.note(f"warm-up  in {started.warm_up_seconds:.1f} s")
            out.line(f"serving  {url}   HTTP, gRPC and bRPC on one port")
            out.line(
                "         " + " · ".join([*_routes(located[0]), "docs /docs", "metrics /metrics"])
            )
            if record.detached:
                out.line(f"name     {record.name}   (pid {record.pid})")
                out.line(f"logs     paddlesrv logs {record.name} -f")
                out.line(f"stop     paddlesrv stop {record.name}")
            end = "" if record.detached else "   (Ctrl-C stops)"
            told = f"ready in {seconds:.1f} s as {record.name}; {self._try(located[0], url)}{end}"
            out.line(told, "green")

        answer = {
            "name": record.name,
            "pid": record.pid,
            "url": url,
            "models": names,
            "log": record.log,
            "ready_seconds": round(seconds, 3),
        }
        self._out.answer(answer, names=[record.name if record.detached else url], human=human)

    def _try(self, model: Located, url: str) -> str:
        from paddlesrv.cli.inputs import example_input

        if model.task is None:
            return f"try: curl {url}/v2/models/{model.config.name}"
        asked = shlex.quote(model.asked)
        return f"try: paddlesrv predict {asked} {example_input(model.task)} --url {url}"

    def _engines(self, model: Located, missing: bool) -> Engines:
        """The engines that would serve a model, as far as that is known already."""
        from paddlesrv.cli.choices import Engines
        from paddlesrv.server.deciding import decide
        from paddlesrv.server.launch import plan
        from paddlesrv.server.locate import find_local

        name, shell = model.config.name, self._shell
        if missing:
            known = model.config.engine if model.config.engine != "auto" else None
            return Engines({name: known}, {name: known} if known else {})
        planned = plan(
            [model.config], lambda part: find_local([model], shell.catalogue, shell.store, part)
        )
        decided = decide(planned, shell.settings.cache_dir, limit_seconds=0)
        engines = Engines.of(name, planned, decided)
        if shell.settings.choice_seconds:
            for network, choice in decided.choices.items():
                if not choice.kept:
                    engines.names[network] = None
        return engines

    def _tell_plan(
        self,
        located: Sequence[Located],
        missing: Sequence[str],
        devices: Sequence[DeviceInfo],
        called: str,
    ) -> None:
        from paddlesrv.cli.configured import record

        told = self._translation
        address = f"http://{self._config.host}:{self._config.port}"
        engines = {m.config.name: self._engines(m, m.config.name in missing) for m in located}

        def human() -> None:
            for model, device in zip(located, devices, strict=True):
                name = model.config.name
                fetched = ", would be fetched" if name in missing else f" {self._place(model)}"
                self._out.line(f"model    {name}{fetched}")
                self._out.line(f"device   {device_line(model, device, engines[name].short)}")
                for line in engines[name].lines:
                    self._out.line(line)
            self._out.line(f"would serve {address} as {called}")

        self._out.answer(
            {
                "dry_run": True,
                "name": called,
                "url": address,
                "models": [model.config for model in located],
                "engines": {n: e for each in engines.values() for n, e in each.names.items()},
                "missing": list(missing),
                **({"translation": record(told)} if told is not None else {}),
            },
            names=[model.config.name for model in located],
            human=human,
        )


def _routes(model: Located) -> list[str]:
    """What can be asked of a model: a pipeline takes no tensors; without a task, only tensors."""
    name = model.config.name
    easy, tensors = f"POST /predict/{name}", f"POST /v2/models/{name}/infer"
    if model.task is None:
        return [tensors]
    pipeline = model.entry is not None and model.entry.is_pipeline
    return [easy] if pipeline else [easy, tensors]


def device_line(model: Located, device: DeviceInfo, engine: str) -> str:
    """Where and how a model runs: device, precision, engine."""
    config = model.config
    memory = f" ({device.memory_bytes / 2**30:.0f} GiB)" if device.memory_bytes else ""
    return f"{config.device} {device.name}{memory}, {config.precision}, {engine}"


def start_logging(verbose: int) -> None:
    """Let the server's log go to stderr: warnings, with -v also what it does."""
    from paddlesrv.server.logfile import FORMAT, EscapingFormatter

    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    handler = logging.StreamHandler()
    handler.setFormatter(EscapingFormatter(FORMAT))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("paddlesrv").setLevel(level)
