"""`tune`: finds how a model is served best on this machine, and remembers it for `serve`."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paddlesrv.cli import inputs, options
from paddlesrv.cli.choices import Watched
from paddlesrv.cli.command import command
from paddlesrv.cli.output import Output
from paddlesrv.cli.progress import watching
from paddlesrv.cli.shell import Shell
from paddlesrv.errors import PaddlesrvError, UsageError

if TYPE_CHECKING:
    from paddlesrv.server.config import ModelConfig
    from paddlesrv.server.local_model import LocalModel
    from paddlesrv.server.locate import Located
    from paddlesrv.tasks.base import TaskInput
    from paddlesrv.tuning.measured import Row, Wishes
    from paddlesrv.tuning.search import Found, Watch
    from paddlesrv.tuning.tuner import Plan

PANEL = "Serving"
_THROUGHPUT_CONCURRENCY = 16
_SHOWN_ROWS = 12


class ObjectiveWord(str, Enum):
    """What a model is tuned for."""

    throughput = "throughput"
    latency = "latency"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(
        app,
        "tune",
        panel=PANEL,
        examples=[
            "paddlesrv tune ocr",
            "paddlesrv tune resnet50 --objective latency",
            "paddlesrv tune resnet50 --limit 50 --concurrency 32 --budget 120",
            "paddlesrv tune resnet50 --precision int8 --calibrate photos/",
            "paddlesrv tune ocr picture.png --dry-run",
            "paddlesrv tune ocr --forget",
        ],
    )(tune)


def tune(
    shell: Shell,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name, alias, or directory.")],
    word: Annotated[
        str | None,
        typer.Argument(metavar="[INPUT]", help="What is asked; default: the task's own example."),
    ] = None,
    objective: Annotated[
        ObjectiveWord,
        typer.Option("--objective", metavar="latency|throughput", help="What is to be best."),
    ] = ObjectiveWord.throughput,
    limit: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="MS", help="Most that 99 of 100 answers may take, in ms."),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            "-c",
            "--concurrency",
            min=1,
            metavar="N",
            help="Callers at a time; default: 16, for latency 1.",
        ),
    ] = None,
    budget: Annotated[
        float, typer.Option(min=1, metavar="S", help="Time for the search, in seconds.")
    ] = 60.0,
    gpu: options.Gpu = None,
    cpu: options.Cpu = False,
    precision: options.PrecisionFlag = None,
    calibrate: options.Calibrate = None,
    accept: options.Accept = False,
    engine: options.EngineFlag = None,
    forget: Annotated[
        bool,
        typer.Option("--forget", help="Forget what was found; serve it as if never tried."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be tried, and try nothing.")
    ] = False,
) -> int:
    """Find the engine, threads, processes and batches that serve a model best here.

    Each candidate is served and loaded beside what is served now, in turns; the good ones longer.
    What wins by more than noise is remembered for this machine, and `serve` uses it where no flag,
    variable or file says otherwise.
    """
    from paddlesrv.tuning.measured import Wishes

    running = options.Running(gpu=gpu, cpu=cpu, precision=precision, engine=engine)
    wishes = Wishes(
        objective=objective.value,
        limit_ms=limit,
        concurrency=concurrency
        or (_THROUGHPUT_CONCURRENCY if objective is ObjectiveWord.throughput else 1),
    )
    asked = _Tune(shell, model, running)
    if forget:
        return asked.forget(dry_run)
    return asked.run(wishes, budget, word, calibrate, accept, dry_run)


class _Tune:
    """One model to be tuned."""

    def __init__(self, shell: Shell, model: str, running: options.Running) -> None:
        from paddlesrv.server.defaults import defaults
        from paddlesrv.server.locate import locate

        self._shell = shell
        self._out = shell.output
        self._word = model
        found = defaults(shell.in_force.file).configuration([model])
        located = locate(running.applied(found.models), shell.catalogue, shell.store)
        self._located: Located = located[0]
        if self._located.by_alias:
            self._out.note(f"{model} -> {self._located.config.name} (alias)")

    def forget(self, dry_run: bool) -> int:
        """Remove the records of all networks of the model, those of `--engine auto` too."""
        from paddlesrv.engines import choice
        from paddlesrv.tuning import record

        cache = self._shell.settings.cache_dir
        removed = 0
        for _, network in self._planned():
            if dry_run:
                removed += len(record.paths(network, cache))
                removed += len(choice.recorded(network.spec, network.root, cache))
            else:
                removed += len(record.forget(network, cache))
                removed += choice.forget(network.spec, network.root, cache)
        name = self._located.config.name
        records = f"{removed} record{'s' if removed != 1 else ''}"
        would = "would forget" if dry_run else "forgot"
        self._out.answer(
            {"model": name, "forgotten": removed, "dry_run": dry_run},
            names=[str(removed)],
            human=lambda: self._out.line(f"{name}: {would} {records}"),
        )
        return 0

    def run(
        self,
        wishes: Wishes,
        budget: float,
        word: str | None,
        calibration: Path | None,
        accept: bool,
        dry_run: bool,
    ) -> int:
        """Search, tell and remember."""
        from paddlesrv.server.deciding import check_device, decide
        from paddlesrv.server.locate import is_onnx, missing
        from paddlesrv.tuning.tuner import plan, tune, write

        shell, config = self._shell, self._located.config
        again = shlex.join(["paddlesrv", "tune", self._word])
        check_device(config, again, is_onnx=is_onnx(self._located, shell.store))
        item = self._item(word)
        absent = missing([self._located], shell.store)
        if absent and dry_run:
            raise UsageError(
                f"{config.name} is not here, and a dry run fetches nothing",
                hints=[f"get it: paddlesrv get {config.name}"],
            )
        self._get(absent)
        if not dry_run:
            self._quantise(calibration, accept)
        planned = self._planned()
        decided = decide(
            planned,
            shell.settings.cache_dir,
            limit_seconds=0 if dry_run else shell.settings.choice_seconds,
            watch=Watched(self._out),
        )
        plans = plan(planned, decided, wishes)
        if dry_run:
            self._tell_plans(plans, wishes, budget)
            return 0
        shell.interrupted = "interrupted; nothing was changed"
        with _progress(self._out, len(plans)) as watch:
            found = tune(planned, decided, plans, wishes, budget, watch, item=item)
        written: list[Path | None] = []
        unwritten: OSError | None = None
        for each, verdict in found:
            try:
                cache = shell.settings.cache_dir
                written.append(write(each, verdict, wishes, config.name, cache))
            except OSError as error:
                unwritten = error
                written.append(None)
        shell.interrupted = "interrupted"
        self._tell(found, wishes, written)
        if unwritten is not None:
            raise PaddlesrvError(
                "what was found cannot be written down, and `serve` will not know of it",
                context={"found": f"{unwritten.strerror or unwritten}: {unwritten.filename}"},
                hints=["see to the store: paddlesrv doctor --group store", "or give it as flags"],
            )
        return 0 if all(verdict.best is not None for _, verdict in found) else 1

    def _planned(self) -> list[tuple[ModelConfig, LocalModel]]:
        from paddlesrv.server.launch import plan

        return plan([self._located.config], self._find)

    def _find(self, name: str) -> LocalModel:
        from paddlesrv.server.locate import find_local

        return find_local([self._located], self._shell.catalogue, self._shell.store, name)

    def _item(self, word: str | None) -> TaskInput | None:
        if word is None:
            return None
        task = self._located.task
        if self._located.directory is not None:
            task = self._find(self._located.config.name).spec.task
        if task in (None, "tensors"):
            raise UsageError(
                f"{self._located.config.name} takes tensors, which are made up for it",
                hints=["leave the input out"],
            )
        return inputs.read(word, inputs.kind_of(task), as_text=False)

    def _get(self, absent: Sequence[str]) -> None:
        if not absent:
            return
        from paddlesrv.zoo.install import Installer

        shell = self._shell
        with watching(self._out, lambda model, path: None) as observer:
            Installer(shell.catalogue, shell.store, shell.settings, observer).get(absent)

    def _quantise(self, calibration: Path | None, accept: bool) -> None:
        if not (self._located.config.precision == "int8" or calibration or accept):
            return
        from paddlesrv.precision.serving import ensure_quantised

        reports = ensure_quantised(
            [self._located.config], self._find, calibration, self._out.note, accept=accept
        )
        for line in (line for report in reports for line in report.lines):
            self._out.note(line)

    def _tell_plans(self, plans: Sequence[Plan], wishes: Wishes, budget: float) -> None:
        def human() -> None:
            for each in plans:
                self._out.line(f"{each.model.spec.name}: {len(each.candidates)} candidates")
                for candidate in each.candidates:
                    self._out.line(f"  {candidate}")
            self._out.line(f"would search for {budget:g} s, for {_for(wishes)}")

        self._out.answer(
            {
                "dry_run": True,
                "wishes": wishes,
                "budget_seconds": budget,
                "networks": [
                    {"name": each.model.spec.name, "candidates": each.candidates} for each in plans
                ],
            },
            names=[each.model.spec.name for each in plans],
            human=human,
        )

    def _tell(
        self,
        found: Sequence[tuple[Plan, Found]],
        wishes: Wishes,
        written: Sequence[Path | None],
    ) -> None:
        def human() -> None:
            for each, verdict in found:
                self._tell_network(each, verdict)
            changed = any(written)
            name = shlex.quote(self._word)
            if changed:
                self._out.line(f"serve it so: paddlesrv serve {name}", "green")
                self._out.line(f"take it back: paddlesrv tune {name} --forget")

        self._out.answer(
            {
                "model": self._located.config.name,
                "wishes": wishes,
                "networks": [
                    _record(each, verdict, path)
                    for (each, verdict), path in zip(found, written, strict=True)
                ],
            },
            names=[str(path) for path in written if path is not None],
            human=human,
        )

    def _tell_network(self, each: Plan, verdict: Found) -> None:
        out = self._out
        out.line(each.model.spec.name, "bold")
        headers = ("ENGINE", "THREADS", "INSTANCES", "BATCH", "DELAY", "REQ/S", "P50 MS", "P99 MS",
                   "RATIO", "")  # fmt: skip
        out.table(headers, [_cells(row, verdict) for row in verdict.table[:_SHOWN_ROWS]])
        more = len(verdict.table) - _SHOWN_ROWS
        if more > 0:
            out.line(f"and {more} more; all of them: --json")
        if verdict.left_out:
            out.line(f"{verdict.left_out} were not tried for want of time; more: --budget S")
        if verdict.best is None:
            out.line(f"{verdict.why}; nothing was changed", "yellow")
        elif verdict.best == verdict.default:
            out.line(f"stays as it is: {verdict.why}")
        else:
            out.line(f"best: {verdict.best}: {verdict.why}")
        out.line()


def _cells(row: Row, verdict: Found) -> tuple[str, ...]:
    way = row.candidate
    engine = way.engine if way.variant in (None, "default") else f"{way.engine} {way.variant}"
    mark = "now" if way == verdict.default else ""
    if way == verdict.best:
        mark = "best, and now" if mark else "best"

    def number(value: float | None, digits: str = ".1f") -> str:
        return "-" if value is None else format(value, digits)

    return (
        engine if way.precision == "fp32" else f"{engine} {way.precision}",
        str(way.threads),
        str(way.instances),
        str(way.max_batch_size),
        f"{way.max_delay_ms:g}",
        number(row.rate),
        number(row.p50_ms, ".2f"),
        number(row.p99_ms, ".2f"),
        number(row.ratio, ".2f"),
        row.refused or mark,
    )


def _record(each: Plan, verdict: Found, path: Path | None) -> dict[str, Any]:
    return {
        "name": each.model.spec.name,
        "best": verdict.best,
        "default": verdict.default,
        "gain": verdict.gain,
        "noise": verdict.noise,
        "why": verdict.why,
        "written": None if path is None else str(path),
        "left_out": verdict.left_out,
        "seconds": round(verdict.seconds, 2),
        "table": verdict.table,
    }


def _for(wishes: Wishes) -> str:
    callers = f"{wishes.concurrency} caller{'s' if wishes.concurrency != 1 else ''}"
    within = f" within {wishes.limit_ms:g} ms" if wishes.limit_ms is not None else ""
    return f"{wishes.objective}{within} with {callers}"


@contextlib.contextmanager
def _progress(output: Output, networks: int) -> Iterator[Callable[[Plan], Watch]]:
    """Who is told of each network's search: a bar on a terminal, lines elsewhere."""
    if not output.bars:
        yield lambda each: _Lines(output, each.model.spec.name)
        return
    from paddlesrv.cli.tune_bar import Bar

    with contextlib.closing(Bar(output)) as bar:
        yield lambda each: bar.of(each.model.spec.name)


class _Lines:
    """A line for each step."""

    def __init__(self, output: Output, name: str) -> None:
        self._output = output
        self._name = name

    def begin(self, title: str, share: float) -> None:
        """Say it."""
        self._output.note(f"{self._name}: {share:4.0%} {title}")

    def row(self, row: Row, share: float) -> None:
        """Nothing: the table has it."""
