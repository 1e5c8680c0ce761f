"""What `Installer` says it would do, and what became of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from paddlesrv.errors import PaddlesrvError
from paddlesrv.zoo.store import InstalledModel

State = Literal["installed", "here", "skipped", "failed"]
"""`installed`: it, or a part of it, was put here now. `here`: all of it was here before.
`skipped`: nobody offers its files. `failed`: the error says why."""


class PlannedSource(msgspec.Struct, frozen=True, kw_only=True):
    """A place that would be tried; size in bytes, exact or as documented, if known."""

    kind: str
    where: str
    size: int | None


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What `get` would do for one model: nothing if it is installed, else try the sources."""

    name: str
    status: str
    installed: bool
    sources: tuple[PlannedSource, ...]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one name: its models, each after what it needs, or why they are not here."""

    name: str
    state: State
    models: tuple[InstalledModel, ...]
    error: PaddlesrvError | None
