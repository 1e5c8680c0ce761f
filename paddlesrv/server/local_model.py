"""`LocalModel`: a model that lies on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from paddlesrv.models.spec import ModelSpec
from paddlesrv.sealing.opening import Unsealing


@dataclass(frozen=True)
class LocalModel:
    """A model that lies on this machine: what it is, where, and its other names.

    Of an encrypted model, `root` holds (in memory) all but the network, and `sealed` is what opens
    that.
    """

    spec: ModelSpec
    root: Path
    aliases: tuple[str, ...] = ()
    sealed: Unsealing | None = None

    @property
    def content(self) -> Path:
        """Where what is served lies on the disk."""
        return Path(self.sealed.file) if self.sealed is not None else self.root.resolve()
