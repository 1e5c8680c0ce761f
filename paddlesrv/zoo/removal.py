"""Removing models: what goes, how much that frees, and what speaks against it.

Who holds models is told by the caller: the zoo does not know servers.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from paddlesrv.errors import Busy, IntegrityError, PaddlesrvError
from paddlesrv.zoo.disk import clean_disk_errors
from paddlesrv.zoo.leftovers import measured
from paddlesrv.zoo.progress import Observer
from paddlesrv.zoo.store import LINKED, InstalledModel, Store


class Holder(Protocol):
    """A running server: its name, all models that it holds, and the content that it reads."""

    @property
    def name(self) -> str:
        """The server's name."""

    @property
    def models(self) -> tuple[str, ...]:
        """The models, parts of others as well."""

    @property
    def directories(self) -> tuple[Path, ...]:
        """The directories that it reads."""


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """One model that would go, with all content kept for its name.

    `original` is where a linked model's own files lie, which stay. `parts` are installed models
    that it is made of, which stay as well.
    """

    name: str
    path: Path
    size_bytes: int
    original: str | None
    parts: tuple[str, ...]


def plan_removal(names: Sequence[str], store: Store, holders: Sequence[Holder]) -> list[Removal]:
    """What would go.

    Args:
        names: Names of models that are here, whole or damaged.
        store: Where they are.
        holders: The servers that run.

    Raises:
        Busy: a server holds one of them, or an installed model that stays needs it.
    """
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        _refuse_if_held(name, store, holders)
    _refuse_if_needed(wanted, store)
    here = store.names()
    planned = []
    for name in wanted:
        model = _readable(store, name)
        parts = model.spec.components.values() if model else ()
        planned.append(
            Removal(
                name=name,
                path=store.models_dir / name,
                size_bytes=sum(measured(path) for path in _contents(store, name)),
                original=model.where if model and model.source == LINKED else None,
                parts=tuple(part for part in parts if part in here and part not in wanted),
            )
        )
    return planned


def remove(
    removal: Removal, store: Store, holders: Callable[[], Sequence[Holder]], observer: Observer
) -> None:
    """Remove one model; waits for whoever is installing it.

    Args:
        removal: What `plan_removal` said.
        store: Where it is.
        holders: Asked once more, when nobody else can touch the model.
        observer: Told if it has to be waited for.

    Raises:
        Busy: a server has taken it up meanwhile.
        PaddlesrvError: the store cannot be written, or not all of it went.
    """
    with clean_disk_errors(store), store.lock(removal.name, observer):
        _refuse_if_held(removal.name, store, holders())
        store.remove(removal.name)
        left = _contents(store, removal.name)
    if left:
        raise PaddlesrvError(
            f"{removal.name} was removed, but not all of its files",
            context={"left": ", ".join(str(path) for path in left)},
            hints=["remove what is left: paddlesrv cache prune"],
        )


def _contents(store: Store, name: str) -> list[Path]:
    link = store.models_dir / name
    real = [link] if link.is_dir() and not link.is_symlink() else []
    return [*store.contents(name), *real]


def _refuse_if_held(name: str, store: Store, holders: Sequence[Holder]) -> None:
    contents = {path.resolve() for path in _contents(store, name)}
    for holder in holders:
        if name in holder.models or contents & {path.resolve() for path in holder.directories}:
            raise Busy(
                f"{name} is being served by {holder.name}",
                context={"server": holder.name, "it holds": ", ".join(holder.models)},
                hints=[f"stop it first: paddlesrv stop {shlex.quote(holder.name)}"],
            )


def _refuse_if_needed(wanted: Sequence[str], store: Store) -> None:
    """A model without one of its parts is of no use; what is removed together may go."""
    needed_by = [
        (part, name)
        for name in store.names()
        if name not in wanted and (model := _readable(store, name)) is not None
        for part in model.spec.components.values()
        if part in wanted
    ]
    if needed_by:
        wholes = list(dict.fromkeys(name for _, name in needed_by))
        parts = list(dict.fromkeys(part for part, _ in needed_by))
        raise Busy(
            f"{', '.join(parts)} {'is' if len(parts) == 1 else 'are'} needed by "
            f"{', '.join(wholes)}, which {'is' if len(wholes) == 1 else 'are'} installed",
            context={part: f"a part of {name}" for part, name in needed_by},
            hints=[f"remove them together: paddlesrv rm {shlex.join([*wanted, *wholes])}"],
        )


def _readable(store: Store, name: str) -> InstalledModel | None:
    try:
        return store.installed(name)
    except IntegrityError:
        return None
