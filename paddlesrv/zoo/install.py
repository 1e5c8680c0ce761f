"""`Installer`: from names to installed models, over whichever source works.

It owns the order of things: what belongs to a model, which sources are tried, what a failure
means. How a file comes here, is unpacked and is published is in `fetch`, `assemble` and `store`.
"""

from __future__ import annotations

from collections.abc import Container, Generator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from paddlesrv import __version__
from paddlesrv.errors import IntegrityError, NotFound, PaddlesrvError, SourceUnreachable, UsageError
from paddlesrv.models.spec import Made
from paddlesrv.settings import Settings
from paddlesrv.zoo import sources
from paddlesrv.zoo.assemble import make_spec, unpack
from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.disk import clean_disk_errors
from paddlesrv.zoo.entries import Entry, Source
from paddlesrv.zoo.fetch import Fetched, Fetcher, same_file
from paddlesrv.zoo.network import Retry
from paddlesrv.zoo.outcomes import Outcome, Planned, PlannedSource, State
from paddlesrv.zoo.progress import Observer, SilentObserver
from paddlesrv.zoo.recipe import converting_note, make, needs_recipe, source_digests
from paddlesrv.zoo.sources import Candidate
from paddlesrv.zoo.store import InstalledModel, Record, Store, now


class Installer:
    """Gets models of a catalogue into a store."""

    def __init__(
        self,
        catalogue: Catalogue,
        store: Store,
        settings: Settings,
        observer: Observer | None = None,
        *,
        retry: Retry | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._store = store
        self._settings = settings
        self._observer: Observer = observer or SilentObserver()
        self._retry = retry

    def get(
        self,
        names: Sequence[str],
        *,
        source: str | None = None,
        from_: str | None = None,
        force: bool = False,
    ) -> list[InstalledModel]:
        """Install models with all that belongs to them; what is installed costs nothing.

        Args:
            names: Names or aliases.
            source: Only sources of this kind ("https", "wheel", "tarball", "file", "mirror").
            from_: A URL, an archive or a directory to take one model from instead; what it needs
                besides comes from its sources.
            force: Install again what is there; with `from_`, that model alone.

        Returns:
            The models, each after the models that it needs.

        Raises:
            NotFound: a name is not in the catalogue.
            UsageError: `from_` with other than one model that has files of its own, or a kind of
                source that there is not.
            SourceUnreachable: no source of a model worked, or we are offline.
            IntegrityError: every source that answered gave wrong files.
            PaddlesrvError: the store cannot be written.
        """
        found: dict[str, InstalledModel] = {}
        with closing(self.get_each(names, source=source, from_=from_, force=force)) as outcomes:
            for outcome in outcomes:
                if outcome.error is not None:
                    raise outcome.error
                found |= {model.name: model for model in outcome.models}
        return list(found.values())

    def get_each(
        self,
        names: Sequence[str],
        *,
        source: str | None = None,
        from_: str | None = None,
        force: bool = False,
        again: Container[str] = (),
    ) -> Generator[Outcome, None, None]:
        """As `get`, name by name, where one that fails does not stop the others.

        A file that several of them need is fetched once.

        Args:
            names: Names or aliases.
            source: As for `get`.
            from_: As for `get`.
            force: As for `get`.
            again: Names of the models that are installed again, though they are there.

        Yields:
            What became of each name.

        Raises:
            NotFound: a name is not in the catalogue; nothing was begun.
            UsageError: as for `get`; nothing was begun.
        """
        wanted = [(name, *self._with_needs([name])) for name in names]
        entries = {entry.name: entry for _, several, _ in wanted for entry in several}
        one = wanted[0][1][-1] if len(wanted) == 1 and wanted[0][1] else None
        if from_ is not None and (one is None or one.is_pipeline):
            raise UsageError(
                "--from gives the files of one model",
                hints=["get them one by one: paddlesrv get MODEL --from URL|PATH"],
            )
        done: dict[str, InstalledModel | PaddlesrvError] = {}
        new: set[str] = set()
        with Fetcher(self._store, self._settings, self._observer, self._retry) as fetcher:
            for name, needed, own in wanted:
                models, error = list(own), None
                for entry in needed:
                    if entry.name not in done:
                        its_from = from_ if entry is one else None
                        forced = force and its_from == from_
                        anew = forced or entry.name in again
                        here = None if anew else self._here(entry)
                        if here is None:
                            new.add(entry.name)
                            here = self._attempt(entry, fetcher, source, its_from, anew)
                        done[entry.name] = here
                        if not isinstance(here, PaddlesrvError):
                            self._observer.ready(entry.name, here.path)
                        if fetcher.holds_any:
                            rest = [each for each in entries.values() if each.name not in done]
                            fetcher.keep_only(self._keys(rest), unused=_may_succeed_later(here))
                    result = done[entry.name]
                    if isinstance(result, PaddlesrvError):
                        error = result
                        break
                    models.append(result)
                state = _state(needed, new, error, from_)
                yield Outcome(name=name, state=state, models=tuple(models), error=error)

    def _here(self, entry: Entry) -> InstalledModel | PaddlesrvError | None:
        """The model if it is installed; only its records are read."""
        try:
            return self._store.installed(entry.name)
        except PaddlesrvError as error:
            return error

    def _attempt(
        self, entry: Entry, fetcher: Fetcher, kind: str | None, from_: str | None, anew: bool
    ) -> InstalledModel | PaddlesrvError:
        try:
            return self._install(entry, fetcher, kind, from_, anew)
        except PaddlesrvError as error:
            return error

    def _keys(self, entries: Sequence[Entry]) -> set[str]:
        """The files that these entries may ask for, as `same_file` has them."""
        own = [each for entry in entries for each in self._candidates(entry, None, None)]
        return {same_file(each) for each in (*own, *self._extras(entries))}

    def _extras(self, entries: Sequence[Entry]) -> list[Candidate]:
        return [self._extra(entry, extra.source) for entry in entries for extra in entry.extras]

    def _extra(self, entry: Entry, source: Source) -> Candidate:
        (candidate,) = sources.candidates(
            [source],
            entry.name,
            mirror=self._settings.mirror,
            manifest_dir=self._catalogue.path.parent,
        )
        return candidate

    def plan(
        self, names: Sequence[str], *, source: str | None = None, from_: str | None = None
    ) -> list[Planned]:
        """What `get` would do, without doing any of it; the store is only read.

        Raises:
            NotFound: a name is not in the catalogue.
            UsageError: there is no such kind of source.
        """
        entries, installed = self._with_needs(names)
        planned = [
            Planned(name=model.name, status="ready", installed=True, sources=())
            for model in installed
        ]
        for entry in entries:
            its_from = from_ if entry is entries[-1] else None
            found = [] if entry.is_pipeline else self._candidates(entry, source, its_from)
            planned.append(
                Planned(
                    name=entry.name,
                    status=entry.status,
                    installed=self._is_whole(entry.name),
                    sources=tuple(
                        PlannedSource(kind=c.kind, where=c.where, size=c.shown_size) for c in found
                    ),
                )
            )
        return planned

    def _is_whole(self, name: str) -> bool:
        """Whether the model is here as far as its records say; damaged ones say nothing."""
        try:
            return self._store.installed(name) is not None
        except IntegrityError:
            return False

    def _with_needs(self, names: Sequence[str]) -> tuple[list[Entry], list[InstalledModel]]:
        """Entries for the names, each after what it is made of; and own models, already there."""
        entries: dict[str, Entry] = {}
        own: dict[str, InstalledModel] = {}
        for name in names:
            try:
                entry = self._catalogue.resolve(name).entry
            except NotFound:
                imported = self._installed_by_name(name)
                if imported is None:
                    raise
                own[imported.name] = imported
            else:
                entries |= {each.name: each for each in self._catalogue.with_needs(entry)}
        return list(entries.values()), list(own.values())

    def _installed_by_name(self, name: str) -> InstalledModel | None:
        try:
            return self._store.installed(name)
        except UsageError:
            return None

    def _candidates(self, entry: Entry, kind: str | None, from_: str | None) -> list[Candidate]:
        manifest_dir = self._catalogue.path.parent
        if from_ is not None:
            return [sources.named(from_, entry.sources, manifest_dir)]
        if entry.status == "needs-export":
            return sources.exported(entry.name, self._settings.mirror)
        found = sources.candidates(
            entry.sources, entry.name, mirror=self._settings.mirror, manifest_dir=manifest_dir
        )
        return sources.of_kind(found, kind, entry.name)

    def _install(
        self, entry: Entry, fetcher: Fetcher, kind: str | None, from_: str | None, force: bool
    ) -> InstalledModel:
        self._observer.choosing(entry.name)
        found = [] if entry.is_pipeline else self._candidates(entry, kind, from_)
        if not found and entry.status == "needs-export":
            raise _unoffered(entry)
        with clean_disk_errors(self._store), self._store.lock(entry.name, self._observer):
            installed = None if force else self._store.installed(entry.name)
            if installed is not None:
                return installed
            if entry.is_pipeline:
                return self._publish(entry, None, None, fetcher)
            return self._first_that_works(entry, found, fetcher)

    def _first_that_works(
        self, entry: Entry, found: Sequence[Candidate], fetcher: Fetcher
    ) -> InstalledModel:
        failures: list[tuple[Candidate, PaddlesrvError]] = []
        for number, candidate in enumerate(found, start=1):
            self._observer.source(entry.name, candidate.kind, candidate.where, candidate.shown_size)
            try:
                fetched = fetcher.fetch(candidate, entry.name)
                return self._publish(entry, candidate, fetched, fetcher)
            except (SourceUnreachable, IntegrityError) as error:
                failures.append((candidate, error))
                if number < len(found):
                    self._observer.warning(f"{error.message}; trying the next source")
        if entry.status == "needs-export" and all(c.kind == "mirror" for c, _ in failures):
            errors = [error for _, error in failures if isinstance(error, IntegrityError)]
            raise errors[0] if errors else _unoffered(entry, failures)
        raise _none_worked(entry, failures, offline=self._settings.offline)

    def _publish(
        self,
        entry: Entry,
        candidate: Candidate | None,
        fetched: Fetched | None,
        fetcher: Fetcher,
    ) -> InstalledModel:
        """Put the model together and make it visible; the pin follows once it proved good."""
        with ExitStack() as stack:
            staging = stack.enter_context(self._store.staging(entry.name))
            digests: dict[str, str] = {}
            brought: list[tuple[Candidate, Fetched]] = []
            if candidate is not None and fetched is not None:
                digests |= unpack(fetched, candidate, staging)
                brought.append((candidate, fetched))
            brought += self._add_extras(entry, fetcher, staging, digests)
            made: Made | None = None
            if needs_recipe(entry, staging):
                source, staging = staging, stack.enter_context(self._store.staging(entry.name))
                self._observer.note(converting_note(entry))
                made = make(entry, source, staging, source_digests(brought))
                digests = {}
            spec, warnings = make_spec(entry, self._catalogue, staging, digests, made)
            for warning in warnings:
                self._observer.warning(f"{entry.name}: {warning}")
            for its_candidate, its_file in brought:
                fetcher.pin(its_candidate, its_file)
            record = Record(
                source=candidate.kind if candidate else "pipeline",
                where=candidate.where if candidate else ", ".join(entry.components.values()),
                sha256=fetched.sha256 if fetched else None,
                size_bytes=sum((staging / name).stat().st_size for name in spec.digests),
                installed_at=now(),
                version=__version__,
            )
            return self._store.publish(staging, spec, record)

    def _add_extras(
        self, entry: Entry, fetcher: Fetcher, staging: Path, digests: dict[str, str]
    ) -> list[tuple[Candidate, Fetched]]:
        added = []
        for extra in entry.extras:
            candidate = self._extra(entry, extra.source)
            self._observer.source(entry.name, candidate.kind, candidate.where, candidate.shown_size)
            fetched = fetcher.fetch(candidate, entry.name)
            digests |= unpack(fetched, candidate, staging, extra.into)
            added.append((candidate, fetched))
        return added


def _state(
    needed: Sequence[Entry], new: Container[str], error: PaddlesrvError | None, from_: str | None
) -> State:
    """What became of a name whose entries, the last of them its own, are these."""
    if error is None:
        return "installed" if any(entry.name in new for entry in needed) else "here"
    unoffered = from_ is None and any(entry.status == "needs-export" for entry in needed)
    return "skipped" if unoffered and isinstance(error, SourceUnreachable) else "failed"


def _may_succeed_later(result: InstalledModel | PaddlesrvError) -> bool:
    """Whether it was not the files that failed (but, say, a full disk)."""
    of_files = (SourceUnreachable, IntegrityError)
    return isinstance(result, PaddlesrvError) and not isinstance(result, of_files)


def _unoffered(
    entry: Entry, failures: Sequence[tuple[Candidate, PaddlesrvError]] = ()
) -> SourceUnreachable:
    return SourceUnreachable(
        f"nobody offers the files of {entry.name}; it must be exported first",
        context={"mirror": "; ".join(_told(error) for _, error in failures)} if failures else None,
        hints=[*entry.notes, f"then: paddlesrv get {entry.name} --from PATH"],
    )


def _none_worked(
    entry: Entry, failures: Sequence[tuple[Candidate, PaddlesrvError]], *, offline: bool
) -> PaddlesrvError:
    """One error for all sources: of integrity if nothing but wrong files was met."""
    context = {
        f"source {number} ({candidate.kind})": _told(error)
        for number, (candidate, error) in enumerate(failures, start=1)
    }
    own_hints = list(dict.fromkeys(hint for _, error in failures for hint in error.hints))
    if failures and all(isinstance(error, IntegrityError) for _, error in failures):
        return IntegrityError(
            f"no source of {entry.name} gives the right files; nothing was installed",
            context=context,
            hints=own_hints
            or [f"try a file that you trust: paddlesrv get {entry.name} --from PATH"],
        )
    hints = [
        *own_hints,
        "take every model from a mirror: export PADDLESRV_MIRROR=URL|DIRECTORY",
        f"or from a file that you have: paddlesrv get {entry.name} --from URL|PATH",
    ]
    if offline:
        message = f"{entry.name} is not installed, and paddlesrv is offline"
    else:
        message = f"no source of {entry.name} could be used"
        hints.append("behind a proxy: export HTTPS_PROXY=http://HOST:PORT")
    return SourceUnreachable(message, context=context, hints=hints)


def _told(error: PaddlesrvError) -> str:
    details = "; ".join(f"{name} {text}" for name, text in error.context.items())
    return f"{error.message} ({details})" if details else error.message
