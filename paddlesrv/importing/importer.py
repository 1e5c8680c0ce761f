"""`Importer`: the order in which a path becomes an installed model, or nothing at all.

find -> fit to a task -> stage the files -> try the network -> publish

A linked model's files stay where they are: the store holds its spec, with a digest of each file,
and a link (`draft.LINK`) to their directory. Whatever removes the model removes that link.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from paddlesrv import __version__
from paddlesrv.engines.base import EngineOptions
from paddlesrv.errors import NotFound, UsageError
from paddlesrv.importing.draft import Draft, Wish
from paddlesrv.importing.fitting import check_task, task_name
from paddlesrv.importing.origin import find_origin
from paddlesrv.importing.trial import Trial
from paddlesrv.models.spec import ModelSpec
from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.digests import sha256_of
from paddlesrv.zoo.disk import clean_disk_errors
from paddlesrv.zoo.names import as_name, default_name
from paddlesrv.zoo.progress import Observer, SilentObserver
from paddlesrv.zoo.store import (
    IMPORTED,
    LINKED,
    InstalledModel,
    Record,
    Store,
    checked_name,
    now,
)


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it. `installed` is None for a dry run, `trial` where none was wanted.

    `told` says what was taken from where, `warnings` what was not and why; `ignored` are files
    beside the network that are no part of it.
    """

    spec: ModelSpec
    origin: Path
    size_bytes: int
    linked: bool
    installed: InstalledModel | None
    trial: Trial | None
    told: tuple[str, ...]
    warnings: tuple[str, ...]
    ignored: tuple[str, ...]


class Importer:
    """Makes installed models of what users have."""

    def __init__(
        self, catalogue: Catalogue, store: Store, observer: Observer | None = None
    ) -> None:
        self._catalogue = catalogue
        self._store = store
        self._observer: Observer = observer or SilentObserver()

    def run(self, wish: Wish, options: EngineOptions) -> Imported:
        """Import one model; on any error nothing is left behind.

        Args:
            wish: What is asked for.
            options: How the network is tried; the engine is the one that its format needs.

        Raises:
            NotFound: the path, or the file of labels, is not there.
            UsageError: the path holds no network or several, the name is taken, the task does not
                fit.
            IntegrityError: a file is damaged or missing.
            EngineError: the network crashes, hangs, fails or answers NaN.
            PaddlesrvError: a file cannot be read, or the store not be written.
        """
        path = Path(os.path.abspath(wish.path.expanduser()))  # noqa: PTH100 - links stay as named
        name = self._free_name(path, wish)
        if wish.task is not None:
            wish = msgspec.structs.replace(wish, task=task_name(wish.task))
            check_task(wish.task or "")
        labels = _lines(wish.labels) if wish.labels is not None else ()
        with clean_disk_errors(self._store), self._places(name, wish.dry_run) as (scratch, stage):
            origin = find_origin(path, scratch / "unpacked")
            if wish.link and origin.unpacked:
                raise UsageError(
                    f"--link keeps files where they are, and {path.name} is an archive",
                    hints=["unpack it and give the directory, or leave --link out"],
                )
            draft = Draft(name, origin, wish, labels)
            draft.stage(stage)
            draft.check_task(stage)
            trial = draft.run(stage, options) if wish.run else None
            spec = draft.finished()
            installed = None
            if not wish.dry_run:
                installed = self._publish(stage, spec, path, draft.size_bytes, wish)
            return Imported(
                spec=spec,
                origin=path,
                size_bytes=draft.size_bytes,
                linked=wish.link,
                installed=installed,
                trial=trial,
                told=tuple(draft.told),
                warnings=tuple(draft.warnings),
                ignored=origin.ignored,
            )

    def _free_name(self, path: Path, wish: Wish) -> str:
        """The model's name, which hides no other model."""
        name = wish.name if wish.name is not None else as_name(default_name(path))
        command = shlex.join(["paddlesrv", "import", str(wish.path)])
        if not name:
            raise UsageError(f"{path} gives the model no name", hints=[f"{command} --name NAME"])
        checked_name(name)
        try:
            entry = self._catalogue.resolve(name).entry.name
        except NotFound:
            pass
        except UsageError as error:
            raise UsageError(
                f"{name} is too near to names of the catalogue: {error.message}",
                hints=[f"choose another: {command} --name my-{name}"],
            ) from None
        else:
            raise UsageError(
                f"{name} is a name of the catalogue, and would be hidden by an own model",
                context={"the catalogue's": entry},
                hints=[f"choose another: {command} --name my-{name}"],
            )
        if not wish.force and self._store.installed(name) is not None:
            raise _taken(name, command)
        return name

    @contextmanager
    def _places(self, name: str, dry_run: bool) -> Iterator[tuple[Path, Path]]:
        """A directory to unpack in, and the model's directory to be; gone at the end."""
        if dry_run:
            with tempfile.TemporaryDirectory(prefix="paddlesrv-import-") as place:
                (Path(place) / "stage").mkdir()
                yield Path(place), Path(place) / "stage"
            return
        with self._store.staging(name) as scratch, self._store.staging(name) as stage:
            yield scratch, stage

    def _publish(
        self, stage: Path, spec: ModelSpec, path: Path, size_bytes: int, wish: Wish
    ) -> InstalledModel:
        record = Record(
            source=LINKED if wish.link else IMPORTED,
            where=str(path),
            sha256=sha256_of(path) if path.is_file() else None,
            size_bytes=size_bytes,
            installed_at=now(),
            version=__version__,
        )
        with self._store.lock(spec.name, self._observer):
            if not wish.force and self._store.installed(spec.name) is not None:
                command = shlex.join(["paddlesrv", "import", str(wish.path)])
                raise _taken(spec.name, command)
            return self._store.publish(stage, spec, record)


def _lines(path: Path) -> tuple[str, ...]:
    """The lines of a file of labels or characters."""
    try:
        text = path.expanduser().read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise NotFound(f"{path}, the file of labels, is not there") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}, the file of labels, is not UTF-8: {error.reason}") from error
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise UsageError(f"{path}, the file of labels, is empty")
    return tuple(lines)


def _taken(name: str, command: str) -> UsageError:
    return UsageError(
        f"{name} is the name of an own model already",
        hints=[f"replace that one: {command} --name {name} --force", f"{command} --name OTHER"],
    )
