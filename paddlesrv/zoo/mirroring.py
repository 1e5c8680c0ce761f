"""`MirrorWriter`: makes a directory that serves as a mirror, and keeps it whole.

Files that are there and right are left alone; every other one is fetched, verified, and put in its
place by a rename. A file whose digest nobody has published must prove to be the model that it is
taken for before it is offered to others. How a mirror is laid out is in `mirror_layout`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from paddlesrv.errors import IntegrityError, PaddlesrvError, SourceUnreachable
from paddlesrv.settings import Settings
from paddlesrv.zoo import sources
from paddlesrv.zoo.assemble import make_spec, unpack
from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.digests import sha256_of
from paddlesrv.zoo.disk import clean_disk_errors
from paddlesrv.zoo.entries import Entry, Extra
from paddlesrv.zoo.fetch import Fetched, Fetcher, same_file
from paddlesrv.zoo.mirror_directory import MirrorDirectory, MirrorFile, MirrorIndex
from paddlesrv.zoo.network import Retry
from paddlesrv.zoo.progress import Observer, SilentObserver
from paddlesrv.zoo.recipe import converting_note, make, needs_recipe
from paddlesrv.zoo.sources import Candidate
from paddlesrv.zoo.store import Store


class Mirrored(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one model.

    `fetched` and `kept` are its files by path. `refusal` says why it cannot be mirrored, `error`
    why it could not be this time. For a plan, `fetched` is what would be.
    """

    name: str
    fetched: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    size_bytes: int | None = None
    refusal: str | None = None
    error: PaddlesrvError | None = None


class _Wanted(msgspec.Struct, frozen=True):
    """One file that a model needs: the places to try, best first; `into` as for an extra."""

    path: str
    candidate: Candidate
    extra: Extra | None = None


class MirrorWriter:
    """Writes one mirror."""

    def __init__(
        self,
        directory: Path,
        catalogue: Catalogue,
        store: Store,
        settings: Settings,
        observer: Observer | None = None,
        *,
        retry: Retry | None = None,
    ) -> None:
        self._mirror = MirrorDirectory(directory)
        self._catalogue = catalogue
        self._store = store
        self._settings = settings
        self._observer: Observer = observer or SilentObserver()
        self._retry = retry

    def plan(self, entries: Sequence[Entry]) -> list[Mirrored]:
        """What `write` would do; nothing is fetched or written."""
        index = self._mirror.read_index()
        return [self._plan(entry, index) for entry in entries]

    def write(self, entries: Sequence[Entry]) -> Iterator[Mirrored]:
        """Bring the models' files into the mirror; one that fails does not stop the others.

        Yields:
            What became of each model, once that is on the disk.

        Raises:
            Busy: somebody else is writing this mirror.
            IntegrityError: its `index.json` is damaged.
            PaddlesrvError: the directory cannot be written.
        """
        with clean_disk_errors(self._mirror.path), self._mirror.alone():
            index = self._mirror.read_index()
            fetcher = Fetcher(self._store, self._settings, self._observer, self._retry)
            with fetcher:
                for number, entry in enumerate(entries):
                    done = self._bring(entry, index, fetcher)
                    if done.error is None and done.refusal is None:
                        self._mirror.write_lists(index, self._catalogue)
                    rest = self._keys(entries[number + 1 :])
                    fetcher.keep_only(rest, unused=isinstance(done.error, SourceUnreachable))
                    yield done
            self._mirror.write_lists(index, self._catalogue)

    def _bring(self, entry: Entry, index: MirrorIndex, fetcher: Fetcher) -> Mirrored:
        if refusal := self._refusal(entry):
            return Mirrored(name=entry.name, refusal=refusal)
        if entry.is_pipeline:
            return Mirrored(name=entry.name, size_bytes=0)
        known = {file.path: file for file in index.models.get(entry.name, ())}
        try:
            files, fetched = self._first_that_works(entry, known, fetcher)
        except PaddlesrvError as error:
            return Mirrored(name=entry.name, error=error)
        # What other sources gave earlier stays, and stays listed, as long as it is there.
        others = [f for path, f in known.items() if path not in {file.path for file in files}]
        files += [file for file in others if (self._mirror.path / file.path).is_file()]
        index.models[entry.name] = tuple(sorted(files, key=lambda file: file.path))
        paths = {file.path for file in files}
        return Mirrored(
            name=entry.name,
            fetched=tuple(sorted(fetched)),
            kept=tuple(sorted(paths - fetched)),
            size_bytes=sum(file.size_bytes for file in files),
        )

    def _first_that_works(
        self, entry: Entry, known: dict[str, MirrorFile], fetcher: Fetcher
    ) -> tuple[list[MirrorFile], set[str]]:
        """The files of the first source that gives them; which of them were fetched."""
        failures: dict[str, str] = {}
        errors: list[PaddlesrvError] = []
        for wanted in self._alternatives(entry):
            try:
                return self._take(entry, wanted, known, fetcher)
            except (SourceUnreachable, IntegrityError) as error:
                errors.append(error)
                failures[wanted[0].candidate.where] = error.message
        kind = SourceUnreachable
        if errors and all(isinstance(error, IntegrityError) for error in errors):
            kind = IntegrityError  # type: ignore[assignment]
        hints = list(dict.fromkeys(hint for error in errors for hint in error.hints))
        raise kind(
            f"{entry.name} could not be mirrored: no source gives all of its files",
            context=failures,
            hints=hints or ["see which sources answer: paddlesrv catalog check " + entry.name],
        )

    def _take(
        self,
        entry: Entry,
        wanted: Sequence[_Wanted],
        known: dict[str, MirrorFile],
        fetcher: Fetcher,
    ) -> tuple[list[MirrorFile], set[str]]:
        files: dict[str, MirrorFile] = {}
        missing = []
        for each in wanted:
            there = self._right(each, known.get(each.path))
            if there is not None:
                files[each.path] = there
            else:
                missing.append(each)
        if not missing:
            return list(files.values()), set()
        brought: dict[str, Fetched] = {}
        for each in missing:
            one = each.candidate
            self._observer.source(entry.name, one.kind, one.where, one.shown_size)
            brought[each.path] = fetcher.fetch(one, entry.name)
            if brought[each.path].sha256 is None:
                raise SourceUnreachable(f"{one.where} is a directory, and no file to be offered")
        if any(each.candidate.sha256 is None for each in missing):
            self._prove(entry, wanted, brought)
            for each in missing:
                fetcher.pin(each.candidate, brought[each.path])
        for each in missing:
            fetched = brought[each.path]
            self._mirror.place(fetched.path, each.path)
            files[each.path] = MirrorFile(
                path=each.path,
                sha256=fetched.sha256 or "",
                size_bytes=fetched.path.stat().st_size,
                where=each.candidate.where,
            )
        return list(files.values()), set(brought)

    def _prove(self, entry: Entry, wanted: Sequence[_Wanted], brought: dict[str, Fetched]) -> None:
        """That these files are the model: they are put together as `get` would do it."""
        with ExitStack() as stack:
            staging = stack.enter_context(self._store.staging(entry.name))
            for each in wanted:
                path = self._mirror.path / each.path
                file = brought.get(each.path) or Fetched(path=path, sha256=None)
                unpack(file, each.candidate, staging, each.extra.into if each.extra else None)
            if needs_recipe(entry, staging):
                source, staging = staging, stack.enter_context(self._store.staging(entry.name))
                self._observer.note(converting_note(entry))
                make(entry, source, staging, {})
            make_spec(entry, self._catalogue, staging)

    def _right(self, wanted: _Wanted, known: MirrorFile | None) -> MirrorFile | None:
        """The file as it lies in the mirror, if it is what it must be."""
        path, candidate = self._mirror.path / wanted.path, wanted.candidate
        pinned = self._store.pins.get(candidate.pin) if candidate.pin is not None else None
        expected = candidate.sha256 or pinned or (known.sha256 if known else None)
        if expected is None or not path.is_file() or path.is_symlink():
            return None
        if sha256_of(path) != expected:
            return None
        return MirrorFile(
            path=wanted.path,
            sha256=expected,
            size_bytes=path.stat().st_size,
            where=known.where if known else candidate.where,
        )

    def _plan(self, entry: Entry, index: MirrorIndex) -> Mirrored:
        if refusal := self._refusal(entry):
            return Mirrored(name=entry.name, refusal=refusal)
        if entry.is_pipeline:
            return Mirrored(name=entry.name, size_bytes=0)
        known = {file.path: file for file in index.models.get(entry.name, ())}
        best: list[_Wanted] = []
        for number, wanted in enumerate(self._alternatives(entry)):
            if number == 0:
                best = wanted
            if all(self._right(each, known.get(each.path)) for each in wanted):
                return Mirrored(name=entry.name, kept=tuple(each.path for each in wanted))
        missing = [each for each in best if not self._right(each, known.get(each.path))]
        sizes = [each.candidate.shown_size for each in missing]
        return Mirrored(
            name=entry.name,
            fetched=tuple(each.path for each in missing),
            kept=tuple(each.path for each in best if each not in missing),
            size_bytes=sum(size or 0 for size in sizes) if all(sizes) else None,
        )

    def _refusal(self, entry: Entry) -> str | None:
        if entry.status == "needs-export":
            return "nobody offers its files; it must be exported first"
        files: dict[str, str] = {}
        for each in (*self._sources(entry)[:1], *self._extras(entry)):
            if files.setdefault(each.basename, same_file(each)) != same_file(each):
                return f"two of its files are called {each.basename}"
        return None

    def _alternatives(self, entry: Entry) -> Iterator[list[_Wanted]]:
        """For each source: the files that a model needs from it, and from its extras."""
        extras = [
            _Wanted(f"{entry.name}/{candidate.basename}", candidate, extra)
            for extra, candidate in zip(entry.extras, self._extras(entry), strict=True)
        ]
        seen: set[str] = set()
        for candidate in self._sources(entry):
            path = f"{entry.name}/{candidate.basename}"
            # Whoever reads the mirror takes the first of that name to be meant.
            if path not in seen:
                yield [_Wanted(path, candidate), *extras]
            seen.add(path)

    def _sources(self, entry: Entry) -> list[Candidate]:
        return sources.candidates(
            entry.sources,
            entry.name,
            mirror=self._settings.mirror,
            manifest_dir=self._catalogue.path.parent,
        )

    def _extras(self, entry: Entry) -> list[Candidate]:
        return [
            candidate
            for extra in entry.extras
            for candidate in sources.candidates(
                [extra.source],
                entry.name,
                mirror=self._settings.mirror,
                manifest_dir=self._catalogue.path.parent,
            )
        ]

    def _keys(self, entries: Sequence[Entry]) -> set[str]:
        return {
            same_file(each)
            for entry in entries
            for each in (*self._sources(entry), *self._extras(entry))
        }
