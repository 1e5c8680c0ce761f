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
    from paddlesrv.cli.bars import Bars

Ready = Callable[[str, Path], None]

STEP_PERCENT = 10


@contextmanager
def watching(
    output: Output, on_ready: Ready, *, models: int | None = None
) -> Iterator[Lines | Bars]:
    """An observer fit for the sink; bars are cleared away at the end.

    Args:
        output: Where it is seen.
        on_ready: Called with each model that is installed, and its path.
        models: How many were asked for; several are counted, by `finished`.
    """
    if not output.bars:
        yield Lines(output, on_ready, models)
        return
    from paddlesrv.cli.bars import Bars

    bars = Bars(output, on_ready, models)
    try:
        yield bars
    finally:
        bars.close()


class Lines:
    """One plain line at the start of a file, each 10 %, and at its end."""

    def __init__(self, output: Output, on_ready: Ready, models: int | None = None) -> None:
        self._output = output
        self._on_ready = on_ready
        self._models = models
        self._finished = 0
        self._said = 0

    def choosing(self, model: str) -> None:
        """Nothing: the source that is tried says it."""

    def source(self, model: str, kind: str, where: str, size: int | None) -> None:
        """Say what is tried."""
        self._said = 0
        lead = counted(self._finished, self._models)
        self._output.note(lead + source_note(model, kind, where, size))

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

    def finished(self) -> None:
        """One more of the models that were asked for is done with, well or badly."""
        self._finished += 1


def counted(finished: int, models: int | None) -> str:
    """What stands before a line about the one that comes after so many: `[3/42] `."""
    return f"[{finished + 1}/{models}] " if models is not None and models > 1 else ""


def source_note(model: str, kind: str, where: str, size: int | None) -> str:
    """The line that says where a model's files come from."""
    known = f" ({human_size(size)})" if size else ""
    return f"{model}: {kind} {where}{known}"
