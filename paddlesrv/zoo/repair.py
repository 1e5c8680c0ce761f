"""Putting damaged models right: each is installed once more beside what is damaged, then swapped.

A model that somebody imported has no source to be fetched from; what to do instead is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from paddlesrv.errors import NotFound, PaddlesrvError
from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.entries import Entry
from paddlesrv.zoo.install import Installer
from paddlesrv.zoo.outcomes import Planned
from paddlesrv.zoo.store import Store
from paddlesrv.zoo.verification import Verdict, look_at

FROM = "from"
"""The kind of source of a model whose files the user named."""


class Remedy(msgspec.Struct, frozen=True, kw_only=True):
    """How one damaged model can be put right.

    `from_` is the place to take it from instead of the catalogue's sources; `refusal` says what
    the user must do where it cannot be fetched at all.
    """

    name: str
    from_: str | None = None
    refusal: str | None = None


class Repaired(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a damaged model; `error` is None if it is whole again."""

    name: str
    verdict: Verdict
    error: PaddlesrvError | None


def remedy(verdict: Verdict, catalogue: Catalogue) -> Remedy:
    """How a damaged model can be put right."""
    name, installed = verdict.name, verdict.installed
    if installed is not None and verdict.own:
        return Remedy(name=name, refusal=f"put it here anew: {installed.again}")
    entry = _entry(name, catalogue)
    if entry is None:
        again = f"paddlesrv import PATH --name {name} --force"
        return Remedy(name=name, refusal=f"nobody knows where it came from; import it: {again}")
    if installed is not None and installed.source == FROM:
        if "://" in installed.where or Path(installed.where).exists():
            return Remedy(name=name, from_=installed.where)
        if not entry.sources:
            again = f"paddlesrv get {name} --from PATH --force"
            return Remedy(name=name, refusal=f"{installed.where} is gone; with its files: {again}")
    if entry.status == "needs-export":
        return Remedy(
            name=name, refusal=f"with its files: paddlesrv get {name} --from PATH --force"
        )
    return Remedy(name=name)


def plan_repair(remedies: Sequence[Remedy], installer: Installer) -> dict[str, list[Planned]]:
    """What would be fetched from where, by the name of the damaged model."""
    planned = {}
    for each in remedies:
        if each.refusal is None:
            every = installer.plan([each.name], from_=each.from_)
            planned[each.name] = [p for p in every if p.name == each.name or not p.installed]
    return planned


def repair(remedies: Sequence[Remedy], installer: Installer, store: Store) -> Iterator[Repaired]:
    """Install the damaged models again, and look at each once more.

    Yields:
        What became of each that can be fetched; one that fails does not stop the others.
    """
    fetched = [each for each in remedies if each.refusal is None]
    names = [each.name for each in fetched if each.from_ is None]
    for outcome in installer.get_each(names, again=frozenset(names)):
        yield _seen(outcome.name, outcome.error, store)
    for each in fetched:
        if each.from_ is not None:
            for outcome in installer.get_each([each.name], from_=each.from_, force=True):
                yield _seen(outcome.name, outcome.error, store)


def _seen(name: str, error: PaddlesrvError | None, store: Store) -> Repaired:
    verdict = look_at(store, name)
    if error is None and verdict.damage:
        error = PaddlesrvError(f"{name} is damaged again: {verdict.told}")
    return Repaired(name=name, verdict=verdict, error=error)


def _entry(name: str, catalogue: Catalogue) -> Entry | None:
    try:
        return catalogue.get(name)
    except NotFound:
        return None
