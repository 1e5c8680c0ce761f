"""Whether an installed model is what it was when it was installed: every file, link and record.

It only reads. What a damaged model is put right with is the installer's business.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from paddlesrv.errors import IntegrityError, NotFound
from paddlesrv.models.spec import ModelSpec
from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.digests import damaged_files, sha256_of
from paddlesrv.zoo.store import OWN_SOURCES, RECORD_FILE, SPEC_FILE, InstalledModel, Store

_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at one model found.

    `damage` is what is wrong, by file; what is wrong with the model as a whole stands at "".
    `unlisted` are files in its directory that its record does not know, which do no harm.
    `installed` is None where the records cannot be read.
    """

    name: str
    files: int
    size_bytes: int
    damage: dict[str, str]
    unlisted: tuple[str, ...]
    installed: InstalledModel | None

    @property
    def own(self) -> bool:
        """Whether nobody else can give its files: it was imported."""
        return self.installed is not None and self.installed.source in OWN_SOURCES

    @property
    def told(self) -> str:
        """The damage in one line, with digests cut short."""
        texts = (f"{file}: {what}" if file else what for file, what in self.damage.items())
        return _DIGEST.sub(r"\1...", "; ".join(texts))


def chosen(names: list[str], catalogue: Catalogue, store: Store) -> list[str]:
    """The installed models that are meant, each after its parts; all of them without names.

    Raises:
        NotFound: one is not installed.
    """
    if not names:
        return store.names()
    found: dict[str, None] = {}
    for name in names:
        _add(installed_name(name, catalogue, store), store, found)
    return list(found)


def installed_name(name: str, catalogue: Catalogue, store: Store) -> str:
    """The model that a name or alias stands for, among those that are here, whole or damaged.

    Raises:
        NotFound: it is not here.
    """
    here = store.names()
    if name in here:
        return name
    try:
        entry = catalogue.resolve(name).entry
    except NotFound as error:
        raise NotFound(
            f"no model called {name!r} is installed",
            hints=[*error.hints[:-1], "see what is here: paddlesrv list --installed"],
        ) from error
    if entry.name not in here:
        raise NotFound(
            f"{entry.name} is not installed", hints=[f"get it: paddlesrv get {entry.name}"]
        )
    return entry.name


def look_at(store: Store, name: str) -> Verdict:
    """Hash every file of a model and compare it with its records.

    Raises:
        UsageError: the name cannot be a model's.
    """
    try:
        installed = store.installed(name)
    except IntegrityError as error:
        return _without_records(name, error.message)
    if installed is None:
        return _without_records(name, _what_is_there(store, name))
    damage = damaged_files(installed.directory, installed.spec.digests)
    damage |= _damaged_records(installed, name)
    for part in installed.spec.components.values():
        if part not in store.names():
            damage[""] = f"its part {part} is not installed"
    return Verdict(
        name=name,
        files=len(installed.spec.digests),
        size_bytes=installed.size_bytes,
        damage=damage,
        unlisted=tuple(_unlisted(installed.directory, installed.spec)),
        installed=installed,
    )


def _add(name: str, store: Store, found: dict[str, None]) -> None:
    try:
        installed = store.installed(name)
    except IntegrityError:
        installed = None
    for part in installed.spec.components.values() if installed else ():
        if part not in found and part in store.names():
            found[part] = None
    found[name] = None


def _without_records(name: str, what: str) -> Verdict:
    return Verdict(name=name, files=0, size_bytes=0, damage={"": what}, unlisted=(), installed=None)


def _what_is_there(store: Store, name: str) -> str:
    """Why a name stands for no model."""
    link = store.models_dir / name
    if not link.exists():
        return f"what {link} leads to is gone"
    absent = [file for file in (SPEC_FILE, RECORD_FILE) if not (link / file).is_file()]
    return f"{', '.join(absent)} missing" if absent else f"{link} is no model's directory"


def _damaged_records(installed: InstalledModel, name: str) -> dict[str, str]:
    damage = {}
    if installed.spec.name != name:
        damage[SPEC_FILE] = f"it is the record of {installed.spec.name}"
    expected = installed.spec_sha256
    if expected is not None and sha256_of(installed.directory / SPEC_FILE) != expected:
        damage[SPEC_FILE] = "it has changed since the model was installed"
    return damage


def _unlisted(directory: Path, spec: ModelSpec) -> Iterator[str]:
    """What lies in a model's directory and is no file of it; a linked model's link is."""
    known = {*spec.digests, SPEC_FILE, RECORD_FILE}
    links = {file.partition("/")[0] for file in spec.digests}
    for folder, names, files in os.walk(directory):
        linked = [name for name in names if Path(folder, name).is_symlink()]
        for name in sorted((*files, *linked)):
            path = str(Path(folder, name).relative_to(directory))
            if path not in known and not (name in linked and path in links):
                yield path
