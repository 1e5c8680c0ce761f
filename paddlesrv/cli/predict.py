"""`predict`: ask a model, in this process or over HTTP."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from paddlesrv.cli import inputs, options, results
from paddlesrv.cli.command import command
from paddlesrv.cli.own_key import ApiKeyFrom, own_key
from paddlesrv.cli.progress import watching
from paddlesrv.cli.shell import Shell
from paddlesrv.errors import NotFound, PaddlesrvError, UsageError

if TYPE_CHECKING:
    from paddlesrv.server.config import ModelConfig
    from paddlesrv.server.local_model import LocalModel
    from paddlesrv.server.pictures import Picture
    from paddlesrv.tasks.base import InputKind, TaskInput, TaskOptions

PANEL = "Serving"


class Client(Protocol):
    """Whoever can be asked: a server, or this process."""

    def predict(self, model: str, item: TaskInput, options: TaskOptions) -> dict[str, Any]:
        """The answer on one input."""

    def picture(self, wanted: Picture, model: str, item: TaskInput, options: TaskOptions) -> bytes:
        """The painted picture, or the class map, as PNG."""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(
        app,
        "predict",
        panel=PANEL,
        examples=[
            "paddlesrv predict ocr picture.png",
            "paddlesrv predict ocr picture.png --url http://127.0.0.1:9393 --wait 60",
            "paddlesrv predict ocr a.png b.png --json",
            "paddlesrv predict ocr picture.png --draw lines.png",
            "paddlesrv predict unet picture.png --map classes.png",
            "paddlesrv predict lac '百度是一家高科技公司'",
            "cat picture.png | paddlesrv predict ocr -",
        ],
    )(predict)


def predict(
    shell: Shell,
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Name, alias, or a model's directory.")
    ],
    words: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", help="Files, - for stdin, or texts for a text model."),
    ],
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="Ask the server at this address.")
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="S", help="With --url: wait so long for the server, in seconds."
        ),
    ] = None,
    api_key_from: ApiKeyFrom = None,
    text: Annotated[
        bool, typer.Option("--text", help="Each INPUT is a text, never a file.")
    ] = False,
    draw: Annotated[
        Path | None, typer.Option(metavar="OUT.png", help="Paint the result on the picture.")
    ] = None,
    class_map: Annotated[
        Path | None,
        typer.Option("--map", metavar="OUT.png", help="Write the class of each pixel."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="How many classes.")] = 5,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, metavar="SCORE", help="Leave out what is below.")
    ] = None,
    tokens: Annotated[
        bool, typer.Option("--tokens", help="With --json: the vector of each token as well.")
    ] = False,
    gpu: options.Gpu = None,
    cpu: options.Cpu = False,
    precision: options.PrecisionFlag = None,
    engine: options.EngineFlag = None,
    threads: options.Threads = None,
) -> int:
    """Ask a model about pictures, texts or features.

    With --url a server is asked; without it the model is loaded in this very process, and
    fetched before if it is not here.
    """
    running = options.Running(gpu=gpu, cpu=cpu, precision=precision, engine=engine, threads=threads)
    pictures: dict[Picture, Path] = {}
    if draw is not None:
        pictures["draw"] = draw
    if class_map is not None:
        pictures["map"] = class_map
    for wanted in pictures:
        if len(words) != 1:
            raise UsageError(
                f"--{wanted} is of one picture",
                context={"found": f"{len(words)} inputs", "wanted": "one"},
            )
    if words.count(inputs.STDIN) > 1:
        raise UsageError("- is stdin, which can be read once")
    if url is None and wait is not None:
        raise UsageError("--wait is for a server", hints=["name it: --url http://127.0.0.1:9393"])
    if url is None and api_key_from is not None:
        raise UsageError(
            "--api-key-from is for a server", hints=["name it: --url http://127.0.0.1:9393"]
        )
    from paddlesrv.tasks.base import TaskOptions

    asked = _Asked(
        shell, words, TaskOptions(top=top, threshold=threshold, tokens=tokens), text, pictures
    )
    if url is not None:
        key = own_key(api_key_from) if api_key_from is not None else None
        return _remote(shell, model, url, key, wait, running, asked)
    return _local(shell, model, running, asked)


def _remote(
    shell: Shell,
    model: str,
    url: str,
    key: str | None,
    wait: float | None,
    running: options.Running,
    asked: _Asked,
) -> int:
    from paddlesrv.client.http import HttpClient

    if running != options.Running():
        raise UsageError(
            "where and how a model runs is its server's business",
            hints=["leave out --gpu, --cpu, --precision, --engine and --threads"],
        )
    with HttpClient(url, key) as client:
        if wait is not None:
            client.wait_ready(model, wait)
        asked.check_map(_known_task(shell, model))
        return asked.answer(client, model, _known_kind(shell, model))


def _known_task(shell: Shell, model: str) -> str | None:
    """What the model does, if the catalogue knows; a server may serve others."""
    try:
        return shell.catalogue.resolve(model).entry.task
    except NotFound:
        return None


def _known_kind(shell: Shell, model: str) -> InputKind | None:
    """What the model takes, if the catalogue knows."""
    task = _known_task(shell, model)
    return inputs.kind_of(task) if task is not None else None


def _local(shell: Shell, model: str, running: options.Running, asked: _Asked) -> int:
    from paddlesrv.server.config import ModelConfig
    from paddlesrv.server.deciding import decide

    (config,) = running.applied([ModelConfig(name=model)])
    local, parts = _installed(shell, config)
    asked.check_map(local.spec.task)
    kind = inputs.kind_of(local.spec.task)
    from paddlesrv.client.local import LocalClient

    # One answer is sooner there than a trial of engines; what `serve` chose holds here too.
    needed = [(config, part) for part in (*parts, local)]
    decided = decide(needed, shell.settings.cache_dir, limit_seconds=0)
    with LocalClient(local, parts, decided.options) as client:
        return asked.answer(client, local.spec.name, kind)


def _installed(shell: Shell, config: ModelConfig) -> tuple[LocalModel, list[LocalModel]]:
    """The model and its components, fetched if they are not here."""
    from paddlesrv.server.deciding import check_device
    from paddlesrv.server.locate import find_local, is_onnx, locate, missing
    from paddlesrv.zoo.install import Installer

    located = locate([config], shell.catalogue, shell.store)
    if located[0].by_alias:
        shell.output.note(f"{config.name} -> {located[0].config.name} (alias)")
    command = shlex.join(["paddlesrv", "predict", config.name, "INPUT"])
    check_device(config, command, is_onnx=is_onnx(located[0], shell.store))
    absent = missing(located, shell.store)
    if absent:
        with watching(shell.output, lambda model, path: None) as observer:
            Installer(shell.catalogue, shell.store, shell.settings, observer).get(absent)
    found = find_local(located, shell.catalogue, shell.store, located[0].config.name)
    parts = [
        find_local(located, shell.catalogue, shell.store, part)
        for part in found.spec.components.values()
    ]
    return found, parts


class _Asked:
    """What is asked: the inputs, the options, and where answers go."""

    def __init__(
        self,
        shell: Shell,
        words: Sequence[str],
        options: TaskOptions,
        as_text: bool,
        pictures: Mapping[Picture, Path],
    ) -> None:
        self._out = shell.output
        self._words = words
        self._options = options
        self._as_text = as_text
        self._pictures = pictures

    def check_map(self, task: str | None) -> None:
        """Refuse `--map` for a task that has none, before anything is loaded.

        Raises:
            UsageError: it has none.
        """
        if "map" not in self._pictures or task is None:
            return
        from paddlesrv.tasks import tasks_with_class_maps

        known = tasks_with_class_maps()
        if task not in known:
            raise UsageError(
                f"--map is of tasks with a class map, and this model does {task}",
                context={"tasks with one": ", ".join(known)},
            )

    def answer(self, client: Client, model: str, kind: InputKind | None) -> int:
        """Ask about each input in turn and print; 1 if one of several failed.

        Raises:
            PaddlesrvError: the only input failed, or the server is not there.
        """
        answers: list[dict[str, Any]] = []
        found: list[dict[str, Any]] = []
        failed = 0
        for word in self._words:
            try:
                item = inputs.read(word, kind, as_text=self._as_text)
                answer = client.predict(model, item, self._options)
                for wanted, path in self._pictures.items():
                    path.write_bytes(client.picture(wanted, model, item, self._options))
            except PaddlesrvError as error:
                # Without a server or the model, the other inputs would fail alike.
                if len(self._words) == 1 or isinstance(error, NotFound):
                    raise
                failed += 1
                found.append(self._failed(word, error))
                continue
            answers.append(answer)
            found += answer["results"]
            self._show(word, answer)
        if self._out.json:
            self._out.document(_envelope(model, answers, found))
        else:
            for wanted, path in self._pictures.items():
                self._out.note(f"{'painted' if wanted == 'draw' else 'wrote'} {path}")
        return 1 if failed else 0

    def _failed(self, word: str, error: PaddlesrvError) -> dict[str, Any]:
        details = "".join(f"; {name}: {text}" for name, text in error.context.items())
        lead = "" if word in error.message else f"{word}: "
        self._out.error_line(f"{lead}{error.message}{details}", "error:", "red")
        hint = error.hints[0] if error.hints else None
        return {"error": {"code": error.code, "message": error.message, "hint": hint}}

    def _show(self, word: str, answer: dict[str, Any]) -> None:
        if self._out.json:
            return
        if len(self._words) > 1 and not self._out.quiet:
            self._out.line(f"{word}:", "bold")
        for result in answer["results"]:
            for line in results.lines(answer["task"], result):
                self._out.line(line)


def _envelope(
    model: str, answers: Sequence[dict[str, Any]], found: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """One answer on all inputs: results in their order, times added up."""
    first = answers[0] if answers else {"model": model, "task": None}
    timing = {
        part: round(sum(answer["timing_ms"].get(part, 0.0) for answer in answers), 3)
        for part in ("queue", "compute", "total")
    }
    return {
        "model": first["model"],
        "task": first["task"],
        "results": list(found),
        "timing_ms": timing,
    }
