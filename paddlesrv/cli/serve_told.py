"""What `serve` tells: which models run where and on what, when they are ready, or the plan."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from paddlesrv.cli.shell import Shell

if TYPE_CHECKING:
    from paddlesrv.cli.choices import Engines
    from paddlesrv.engines.devices import DeviceInfo
    from paddlesrv.server.config import ServerConfig
    from paddlesrv.server.locate import Located
    from paddlesrv.server.pipeline_translation import Translation
    from paddlesrv.server.records import ServerRecord
    from paddlesrv.server.run import Started
    from paddlesrv.tuning.serving import Tuning


class Told:
    """Lines for a person on the way, and one answer at the end."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._out = shell.output

    def model(self, model: Located, device: DeviceInfo, engines: Engines) -> None:
        """What is about to be served."""
        self._out.note(f"model    {self._place(model)}")
        self._out.note(f"device   {device_line(model, device, engines.short)}")
        for line in engines.lines:
            self._out.note(line)

    def tuning(self, tuning: Tuning) -> None:
        """What records of `tune` decide of it."""
        for taken in tuning.taken:
            self._out.note(f"tuned    {taken.text}")
        for remark in tuning.remarks:
            self._out.note(f"tuned    {remark}")

    def ready(
        self, located: Sequence[Located], started: Started, record: ServerRecord, seconds: float
    ) -> None:
        """Where it is served, and what to do next."""
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
            told = f"ready in {seconds:.1f} s as {record.name}; {_try(located[0], url)}{end}"
            out.line(told, "green")

        answer = {
            "name": record.name,
            "pid": record.pid,
            "url": url,
            "models": [model.config.name for model in located],
            "log": record.log,
            "ready_seconds": round(seconds, 3),
        }
        self._out.answer(answer, names=[record.name if record.detached else url], human=human)

    def plan(
        self,
        config: ServerConfig,
        located: Sequence[Located],
        missing: Sequence[str],
        devices: Sequence[DeviceInfo],
        called: str,
        engines: Mapping[str, Engines],
        tuning: Tuning,
        translation: Translation | None,
    ) -> None:
        """What would be served, for a dry run; `engines` by the model's name."""
        from paddlesrv.cli.configured import record

        address = f"http://{config.host}:{config.port}"

        def human() -> None:
            for model, device in zip(located, devices, strict=True):
                name = model.config.name
                fetched = ", would be fetched" if name in missing else f" {self._place(model)}"
                self._out.line(f"model    {name}{fetched}")
                self._out.line(f"device   {device_line(model, device, engines[name].short)}")
                for line in engines[name].lines:
                    self._out.line(line)
            for taken in tuning.taken:
                self._out.line(f"tuned    {taken.text}")
            self._out.line(f"would serve {address} as {called}")

        self._out.answer(
            {
                "dry_run": True,
                "name": called,
                "url": address,
                "models": [model.config for model in located],
                "engines": {n: e for each in engines.values() for n, e in each.names.items()},
                "tuned": list(tuning.taken),
                "missing": list(missing),
                **({"translation": record(translation)} if translation is not None else {}),
            },
            names=[model.config.name for model in located],
            human=human,
        )

    def _place(self, model: Located) -> str:
        if model.place is not None:
            return str(model.place)
        installed = self._shell.store.installed(model.config.name)
        return str(installed.path) if installed is not None else model.config.name


def device_line(model: Located, device: DeviceInfo, engine: str) -> str:
    """Where and how a model runs: device, precision, engine."""
    config = model.config
    memory = f" ({device.memory_bytes / 2**30:.0f} GiB)" if device.memory_bytes else ""
    return f"{config.device} {device.name}{memory}, {config.precision}, {engine}"


def _routes(model: Located) -> list[str]:
    """What can be asked of a model: a pipeline takes no tensors; without a task, only tensors."""
    name = model.config.name
    easy, tensors = f"POST /predict/{name}", f"POST /v2/models/{name}/infer"
    if model.task is None:
        return [tensors]
    pipeline = model.entry is not None and model.entry.is_pipeline
    return [easy] if pipeline else [easy, tensors]


def _try(model: Located, url: str) -> str:
    from paddlesrv.cli.inputs import example_input

    if model.task is None:
        return f"try: curl {url}/v2/models/{model.config.name}"
    asked = shlex.quote(model.asked)
    return f"try: paddlesrv predict {asked} {example_input(model.task)} --url {url}"
