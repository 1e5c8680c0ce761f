"""The catalogue: reads `zoo/manifest.yaml`, checks it as a whole, and finds entries by name.

What one entry holds is in `entries`; how names are compared and ranked is in `names`. Nothing here
opens a connection or looks at what is installed.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from paddlesrv.errors import IntegrityError, NotFound, PaddlesrvError, UsageError
from paddlesrv.zoo import names
from paddlesrv.zoo.entries import (
    SHIPPED,
    Entry,
    Extra,
    FileSource,
    HttpsSource,
    Layout,
    Source,
    TarballSource,
    TensorHint,
    WheelSource,
)

__all__ = [
    "Catalogue",
    "Entry",
    "Extra",
    "FileSource",
    "HttpsSource",
    "Layout",
    "Resolved",
    "Source",
    "TarballSource",
    "TensorHint",
    "WheelSource",
    "data_directory",
]


def data_directory(kind: Literal["zoo", "templates"] = "zoo") -> Path:
    """The directory of data files that come with paddlesrv.

    In an installed wheel it lies inside the package (`_data/`), in a checkout beside it.

    Raises:
        IntegrityError: neither is there; the installation is damaged.
    """
    package = Path(__file__).resolve().parent.parent
    for candidate in (package / "_data" / kind, package.parent / kind):
        if candidate.is_dir():
            return candidate
    raise IntegrityError(
        f"paddlesrv's own {kind} directory is missing: the installation is damaged",
        context={"package": str(package)},
        hints=["install it again: pip install --force-reinstall paddlesrv"],
    )


class _Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: Literal[1]
    published: datetime | None = None
    models: tuple[Entry, ...]
    templates: dict[str, Any] = {}


class Resolved(msgspec.Struct, frozen=True):
    """The entry that a name stands for, and how it was asked for."""

    entry: Entry
    asked: str
    by_alias: bool
    """Whether `asked` is one of the entry's aliases, not (another spelling of) its name."""


class Catalogue:
    """All entries of one manifest, in its order."""

    def __init__(
        self,
        entries: Iterable[Entry],
        *,
        revision: str = "",
        path: Path,
        shipped: Path | None = None,
        published: datetime | None = None,
    ) -> None:
        """Take the entries and check what they must keep among each other.

        Args:
            entries: In the order in which they are listed.
            revision: Short digest of the manifest.
            path: The manifest.
            shipped: Where the files lie that come with it; by default beside it.
            published: When this edition was made.

        Raises:
            ValueError: two entries share a name or alias, or an entry names one that is not there.
        """
        self.entries = tuple(entries)
        self.revision = revision
        self.path = path
        self.published = published
        self._shipped = shipped or path.parent
        self._names: dict[str, tuple[Entry, bool]] = {}
        for entry in self.entries:
            for name in (entry.name, *entry.aliases):
                self._claim(name, entry)
        for entry in self.entries:
            self._check_references(entry)

    @classmethod
    def load(cls, path: Path | None = None) -> Catalogue:
        """Read a manifest; without a path the one that comes with paddlesrv.

        Raises:
            UsageError: the manifest at `path` cannot be read or is not valid.
            IntegrityError: the same of the one that comes with paddlesrv.
        """
        if path is not None:
            return _read(path, UsageError, _OTHER_HINTS)
        return _shipped(data_directory() / "manifest.yaml")

    @classmethod
    def parse(
        cls,
        data: bytes,
        path: Path,
        error: type[PaddlesrvError],
        hints: Sequence[str],
        shipped: Path | None = None,
    ) -> Catalogue:
        """A manifest's bytes as a catalogue.

        Args:
            data: The manifest.
            path: Where it lies.
            error: What is raised where it is not valid.
            hints: What to do then.
            shipped: As for the catalogue itself.

        Raises:
            PaddlesrvError: `error`, which says what is wrong where.
        """
        return _parsed(data, path, error, hints, shipped)

    def get(self, name: str) -> Entry:
        """The entry of exactly that name; no aliases, no other spelling.

        Raises:
            NotFound: there is none.
        """
        found = self._names.get(name.lower())
        if found is None or found[0].name != name:
            raise self._unknown(name)
        return found[0]

    def resolve(self, name: str) -> Resolved:
        """The entry that a name or alias stands for; case, "-" and "_" do not matter.

        Raises:
            NotFound: nothing is called so; the error suggests what may be meant.
            UsageError: once "-" and "_" are held equal, several entries are called so.
        """
        asked = name.strip()
        found = self._names.get(asked.lower())
        if found is None:
            candidates = {
                entry.name: (entry, by_alias)
                for known, (entry, by_alias) in self._names.items()
                if names.fold(known) == names.fold(asked)
            }
            if not candidates:
                raise self._unknown(name)
            if len(candidates) > 1:
                raise UsageError(
                    f"{asked!r} can mean several models: {', '.join(candidates)}",
                    hints=[f"give the exact name: paddlesrv info {next(iter(candidates))}"],
                )
            found = next(iter(candidates.values()))
        entry, by_alias = found
        return Resolved(entry, asked, by_alias)

    def with_needs(self, entry: Entry) -> list[Entry]:
        """The entry after all that it is made of, and that its clients need."""
        found: dict[str, Entry] = {}
        self._add(entry, found)
        return list(found.values())

    def _add(self, entry: Entry, found: dict[str, Entry], *above: str) -> None:
        for needed in (*entry.components.values(), *entry.requires):
            if needed not in found and needed not in above:
                self._add(self.get(needed), found, *above, entry.name)
        found.setdefault(entry.name, entry)

    def search(self, query: str) -> list[Entry]:
        """Entries that fit every word of the query, best first; all of them for an empty query.

        Looked at are names, aliases, task and description, with prefixes and small typing errors.
        """
        return names.rank(self.entries, query)

    def shipped_file(self, reference: str) -> Path | None:
        """Where a file of an entry lies if it comes with the catalogue (`zoo:...`), else None."""
        if not reference.startswith(SHIPPED):
            return None
        return self._shipped / reference.removeprefix(SHIPPED)

    def _claim(self, name: str, entry: Entry) -> None:
        holder = self._names.get(name.lower())
        if holder is not None:
            raise ValueError(f"{entry.name!r}: {name!r} is already a name of {holder[0].name!r}")
        self._names[name.lower()] = (entry, name != entry.name)

    def _check_references(self, entry: Entry) -> None:
        wanted = [(f"component {role!r}", other) for role, other in entry.components.items()]
        wanted += [("requirement", other) for other in entry.requires]
        for what, other in wanted:
            found = self._names.get(other.lower())
            if found is None or found[0].name != other:
                raise ValueError(f"{entry.name!r}: {what} is {other!r}, which is no entry's name")
            if found[0] is entry:
                raise ValueError(f"{entry.name!r}: {what} is the entry itself")
        holder = self._names.get(entry.slug.lower())
        if holder is not None and holder[0] is not entry:
            raise ValueError(f"{entry.name!r}: its slug {entry.slug!r} names {holder[0].name!r}")
        for role, reference in entry.files.items():
            shipped = self.shipped_file(reference)
            if shipped is not None and not shipped.is_file():
                raise ValueError(f"{entry.name!r}: file {role!r} is not there: {shipped}")

    def _unknown(self, name: str) -> NotFound:
        near = names.similar(name, self.entries)
        hints = [f"did you mean {', '.join(near)}?"] if near else []
        hints.append(f"look for it: paddlesrv search {shlex.quote(name)}")
        return NotFound(f"no model in the catalogue is called {name!r}", hints=hints)


_OTHER_HINTS = ("correct the file, or unset PADDLESRV_CATALOGUE to use the one that is built in",)


@lru_cache(maxsize=1)
def _shipped(path: Path) -> Catalogue:
    hint = "install it again: pip install --force-reinstall paddlesrv"
    return _read(path, IntegrityError, (hint,))


def _read(path: Path, error: type[PaddlesrvError], hints: Sequence[str]) -> Catalogue:
    try:
        data = path.read_bytes()
    except OSError as problem:
        raise error(
            f"the catalogue cannot be read: {problem.strerror}", context={"file": str(path)}
        ) from problem
    return _parsed(data, path, error, hints, None)


def _parsed(
    data: bytes,
    path: Path,
    error: type[PaddlesrvError],
    hints: Sequence[str],
    shipped: Path | None,
) -> Catalogue:
    def invalid(what: str, problem: object) -> PaddlesrvError:
        first, *rest = str(problem).splitlines()
        detail = {"detail": " ".join(rest)} if rest else {}
        return error(f"{what}: {first}", context={"file": str(path), **detail}, hints=hints)

    # libyaml reads it in a tenth of the time, where PyYAML was built with it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        raw = yaml.load(data, loader)  # noqa: S506 - both are safe loaders
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise invalid("the catalogue is not YAML", problem) from problem
    try:
        manifest = msgspec.convert(_with_moment(raw), _Manifest)
        return Catalogue(
            manifest.models,
            revision=hashlib.sha256(data).hexdigest()[:12],
            path=path,
            shipped=shipped,
            published=manifest.published,
        )
    except msgspec.ValidationError as problem:
        raise invalid(f"{_entry_at(raw, str(problem))} is not valid", problem) from problem
    except ValueError as problem:
        raise invalid("the catalogue is not consistent", problem) from problem


def moment(found: str | date) -> datetime:
    """A date or a time, in ISO form or as YAML reads it; without a zone it is UTC.

    Raises:
        ValueError: it is none.
    """
    if isinstance(found, str):
        found = datetime.fromisoformat(found.replace("Z", "+00:00"))
    if not isinstance(found, datetime):
        found = datetime(found.year, found.month, found.day)
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def _with_moment(raw: object) -> object:
    """The manifest with `published` as a moment, where it is one."""
    if not isinstance(raw, Mapping) or not isinstance(raw.get("published"), (str, date)):
        return raw
    return {**raw, "published": moment(raw["published"])}


def _entry_at(raw: object, problem: str) -> str:
    """Which entry msgspec's path (`$.models[3].task`) is about, by name."""
    match = re.search(r"`\$\.models\[(\d+)\]", problem)
    if match is None or not isinstance(raw, Mapping):
        return "the catalogue"
    entry = raw["models"][int(match.group(1))]
    name = entry.get("name") if isinstance(entry, Mapping) else None
    return f"catalogue entry {name!r}" if name else "a catalogue entry without a name"
