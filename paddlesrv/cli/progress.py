"""What is seen while models are fetched: bars on a terminal, plain lines elsewhere.

Each observer is what `paddlesrv.zoo.progress` calls an `Observer`; all of it goes to stderr.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from paddlesrv.cli.output import Output, human_size

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from paddlesrv.zoo.progress import Observer

Ready = Callable[[str, Path], None]

STEP_PERCENT = 10


@contextmanager
def watching(output: Output, on_ready: Ready) -> Iterator[Observer]:
    """An observer fit for the sink; bars are cleared away at the end.

    Args:
        output: Where it is seen.
        on_ready: Called with each model that is installed, and its path.
    """
    if not output.bars:
        yield Lines(output, on_ready)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True, no_color=not output.stderr_color)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    # stdout is data, and is not for the bars to redirect.
    progress = Progress(*columns, console=console, transient=True, redirect_stdout=False)
    try:
        yield Bars(output, on_ready, progress)
    finally:
        progress.stop()


class Lines:
    """One plain line at the start of a file, each 10 %, and at its end."""

    def __init__(self, output: Output, on_ready: Ready) -> None:
        self._output = output
        self._on_ready = on_ready
        self._said = 0

    def choosing(self, model: str) -> None:
        """Nothing: the source that is tried says it."""

    def source(self, model: str, kind: str, where: str, size: int | None) -> None:
        """Say what is tried."""
        self._said = 0
        self._output.note(source_note(model, kind, where, size))

    def bytes(self, model: str, done: int, total: int | None) -> None:
        """Say each tenth of a file of known size, once."""
        if not total:
            return
        percent = min(100, done * 100 // total)
        step = percent - percent % STEP_PERCENT
        if step > self._said:
            self._said = step
            self._output.note(f"{model}: {step} % of {human_size(total)}")

    def note(self, text: str) -> None:
        """Say it."""
        self._output.note(text)

    def warning(self, text: str) -> None:
        """Say it, quiet or not."""
        self._output.warning(text)

    def ready(self, model: str, path: Path) -> None:
        """Pass it on."""
        self._on_ready(model, path)


class Bars:
    """One bar a file; lines go above the bars."""

    def __init__(self, output: Output, on_ready: Ready, progress: Progress) -> None:
        self._output = output
        self._on_ready = on_ready
        self._progress = progress
        self._task: TaskID | None = None

    def choosing(self, model: str) -> None:
        """Nothing: the source that is tried says it."""

    def source(self, model: str, kind: str, where: str, size: int | None) -> None:
        """Say what is tried, and begin its bar."""
        self._output.note(source_note(model, kind, where, size))
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

    def _begin_bar(self, model: str, total: int | None) -> TaskID:
        self._progress.start()
        self._task = self._progress.add_task(model, total=total)
        return self._task

    def _end_bar(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._progress.stop()  # until the next one: what is written meanwhile stays whole
            self._task = None


def source_note(model: str, kind: str, where: str, size: int | None) -> str:
    """The line that says where a model's files come from."""
    known = f" ({human_size(size)})" if size else ""
    return f"{model}: {kind} {where}{known}"
