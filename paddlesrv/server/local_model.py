"""`LocalModel`: a model that lies on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from paddlesrv.models.spec import ModelSpec


@dataclass(frozen=True)
class LocalModel:
    """A model that lies on this machine: what it is, where, and its other names."""

    spec: ModelSpec
    root: Path
    aliases: tuple[str, ...] = ()
