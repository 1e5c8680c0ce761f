"""`Observer`: what `get` tells while it works; drawn by the command line, silent elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Observer(Protocol):
    """Receives what happens to each model, in the order in which it happens."""

    def choosing(self, model: str) -> None:
        """Work on a model begins."""

    def source(self, model: str, kind: str, where: str, size: int | None) -> None:
        """A source is tried: its kind, a place without credentials, its size in bytes if known."""

    def bytes(self, model: str, done: int, total: int | None) -> None:
        """Bytes of the current source that are here, of how many."""

    def note(self, text: str) -> None:
        """Something worth a line: waiting for a lock, a restart."""

    def warning(self, text: str) -> None:
        """Something went wrong and was worked around: the next source is tried."""

    def ready(self, model: str, path: Path) -> None:
        """The model is installed at that path, now or since long."""


class SilentObserver:
    """Tells nobody."""

    def choosing(self, model: str) -> None:
        """Nothing."""

    def source(self, model: str, kind: str, where: str, size: int | None) -> None:
        """Nothing."""

    def bytes(self, model: str, done: int, total: int | None) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def warning(self, text: str) -> None:
        """Nothing."""

    def ready(self, model: str, path: Path) -> None:
        """Nothing."""
