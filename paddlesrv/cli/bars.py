"""Bars on a terminal: one for the file that comes, and, of several models, one for all of them.

Imported only where there is a terminal to draw on.
"""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from paddlesrv.cli.output import Output
from paddlesrv.cli.progress import Ready, counted, source_note


class Bars:
    """One bar a file, below it that of all models if there are several; lines go above.

    Args:
        output: Where lines go.
        on_ready: As for `watching`.
        models: How many there are to get; with one, or None, there is no bar for all.
    """

    def __init__(self, output: Output, on_ready: Ready, models: int | None = None) -> None:
        self._output = output
        self._on_ready = on_ready
        self._models = models
        self._finished = 0
        self._task: TaskID | None = None
        # stdout is data, and is not for the bars to redirect.
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            _OfFiles(DownloadColumn()),
            _OfFiles(TransferSpeedColumn()),
            _OfFiles(TimeRemainingColumn()),
            console=Console(stderr=True, no_color=not output.stderr_color),
            transient=True,
            redirect_stdout=False,
        )
        self._all: TaskID | None = None

    def choosing(self, model: str) -> None:
        """Nothing: the source that is tried says it."""

    def source(self, model: str, kind: str, where: str, size: int | None) -> None:
        """Say what is tried, and begin its bar."""
        lead = counted(self._finished, self._models)
        self._output.note(lead + source_note(model, kind, where, size))
        self._end_bar()
        self._begin_bar(model, size)

    def bytes(self, model: str, done: int, total: int | None) -> None:
        """Move the bar."""
        task = self._begin_bar(model, total) if self._task is None else self._task
        self._progress.update(task, completed=done, total=total)

    def note(self, text: str) -> None:
        """Say it."""
        self._output.note(text)

    def warning(self, text: str) -> None:
        """Say it."""
        self._output.warning(text)

    def ready(self, model: str, path: Path) -> None:
        """End the bar and pass it on."""
        self._end_bar()
        self._on_ready(model, path)

    def finished(self) -> None:
        """One more of the models that were asked for is done with, well or badly."""
        self._end_bar()
        self._finished += 1

    def close(self) -> None:
        """Clear everything away."""
        self._end_bar()
        self._progress.stop()

    def _begin_bar(self, model: str, total: int | None) -> TaskID:
        self._task = self._progress.add_task(model, total=total, is_file=True)
        if self._models is not None and self._models > 1:
            done = f"{self._finished} of {self._models} models"
            self._all = self._progress.add_task(
                done, total=self._models, completed=self._finished, is_file=False
            )
        self._progress.start()
        return self._task

    def _end_bar(self) -> None:
        for task in (self._task, self._all):
            if task is not None:
                self._progress.remove_task(task)
        if self._task is not None:
            self._progress.stop()  # until the next one: what is written meanwhile stays whole
        self._task = self._all = None


class _OfFiles(ProgressColumn):
    """A column that means something for files alone."""

    def __init__(self, column: ProgressColumn) -> None:
        super().__init__()
        self._column = column

    def render(self, task: Task) -> Text:
        rendered = self._column(task) if task.fields.get("is_file") else ""
        return rendered if isinstance(rendered, Text) else Text(str(rendered))
