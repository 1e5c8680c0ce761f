"""The bar of `tune` on a terminal: what is being tried, and the best so far.

Imported only where there is a terminal to draw on.
"""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from paddlesrv.cli.output import Output
from paddlesrv.tuning.measured import Row


class Bar:
    """One bar for each network, gone at the end."""

    def __init__(self, output: Output) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[best]}", markup=False),
            console=Console(stderr=True, no_color=not output.stderr_color),
            transient=True,
            redirect_stdout=False,
        )
        self._progress.start()

    def of(self, name: str) -> OfNetwork:
        """The bar of one network."""
        return OfNetwork(self._progress, self._progress.add_task(name, total=1.0, best=""), name)

    def close(self) -> None:
        """Clear it away."""
        self._progress.stop()


class OfNetwork:
    """Is told of a network's search; see `tuning.search.Watch`."""

    def __init__(self, progress: Progress, task: TaskID, name: str) -> None:
        self._progress = progress
        self._task = task
        self._name = name
        self._best: Row | None = None

    def begin(self, title: str, share: float) -> None:
        """Show the step."""
        self._progress.update(self._task, description=f"{self._name}: {title}", completed=share)

    def row(self, row: Row, share: float) -> None:
        """Show it if it is the best so far."""
        if row.refused is None and row.ratio is not None:
            best = self._best.ratio if self._best is not None else None
            if best is None or row.ratio > best:
                self._best = row
        shown = f"{self._best.ratio:.2f}x {self._best.candidate}" if self._best else ""
        self._progress.update(self._task, completed=share, best=shown)
