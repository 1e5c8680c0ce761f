"""`Store`: the installed models on disk, and how one appears there all at once or not at all.

models/NAME                  a link to the installed content, swapped atomically
objects/NAME-REVISION/       the model's files, `spec.json`, and `install.json`, written last;
                             of a linked model, a link `original` instead of its files
staging/                     what is being put together
partial/                     unfinished downloads
locks/                       one lock per model
pins.json                    digests noted at the first download

A directory without `install.json` is no model. Reading never writes, so that a read-only store
serves as well.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from paddlesrv.errors import IntegrityError, PaddlesrvError, UsageError
from paddlesrv.models.spec import ModelSpec
from paddlesrv.zoo.digests import damaged_files
from paddlesrv.zoo.locks import is_locked, locked
from paddlesrv.zoo.partial import main_file
from paddlesrv.zoo.pins import Pins
from paddlesrv.zoo.progress import Observer

STALE_SECONDS = 24 * 3600.0
"""Staging that nobody has touched for this long was left behind by a killed process."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+&-]{0,99}")
IMPORTED, LINKED = "import", "link"
OWN_SOURCES = (IMPORTED, LINKED)
"""Kinds of source of own models: files copied into the store, or left where they are."""

SPEC_FILE, RECORD_FILE = "spec.json", "install.json"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """How a model came here; kept as `install.json`.

    `source` is the kind ("https", "wheel", "file", "mirror", "pipeline", or one of
    `OWN_SOURCES`), `where` the place without credentials, `sha256` the digest of what was fetched
    from there.
    """

    source: str
    where: str
    sha256: str | None
    size_bytes: int
    installed_at: datetime
    version: str


class InstalledModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is here, whole.

    `path` is the lasting place to show to people; `directory` is the very content that it stood
    for when this was read, and stays what it is while a newer one is put in its place.
    """

    spec: ModelSpec
    path: Path
    directory: Path
    size_bytes: int
    source: str
    where: str
    sha256: str | None
    installed_at: datetime

    @property
    def name(self) -> str:
        """The model's name."""
        return self.spec.name

    @property
    def again(self) -> str:
        """The command that puts it here anew, from where it came."""
        if self.source not in OWN_SOURCES:
            return f"paddlesrv get {self.name} --force"
        words = ["paddlesrv", "import", self.where, "--name", self.name]
        words += ["--task", self.spec.task] if self.spec.task != "tensors" else []
        words += ["--link"] if self.source == LINKED else []
        return shlex.join([*words, "--force"])


class Store:
    """The models below one directory, for any number of processes at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.models_dir = root / "models"
        self.partial_dir = root / "partial"
        self.pins = Pins(root / "pins.json", root / "locks" / "pins.lock")
        self._objects = root / "objects"
        self._staging = root / "staging"

    def installed(self, name: str) -> InstalledModel | None:
        """The model of that name if it is here and whole as far as its records say.

        Raises:
            UsageError: the name cannot be a model's.
            IntegrityError: its records cannot be read.
        """
        path = self.models_dir / checked_name(name)
        try:
            directory = path.resolve(strict=True)
            spec_json = (directory / SPEC_FILE).read_bytes()
            record_json = (directory / RECORD_FILE).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            spec = msgspec.json.decode(spec_json, type=ModelSpec)
            record = msgspec.json.decode(record_json, type=Record)
        except msgspec.MsgspecError as error:
            raise IntegrityError(
                f"the records of {name} are damaged: {error}",
                context={"where": str(path)},
                hints=[f"paddlesrv get {name} --force"],
            ) from error
        return InstalledModel(
            spec=spec,
            path=path,
            directory=directory,
            size_bytes=record.size_bytes,
            source=record.source,
            where=record.where,
            sha256=record.sha256,
            installed_at=record.installed_at,
        )

    def installed_models(self) -> list[InstalledModel]:
        """All models that are here, by name."""
        names = (
            sorted(p.name for p in self.models_dir.iterdir()) if self.models_dir.is_dir() else []
        )
        found = (self.installed(name) for name in names if _NAME.fullmatch(name))
        return [model for model in found if model is not None]

    def lock(self, name: str, observer: Observer) -> AbstractContextManager[None]:
        """Hold the model against other processes; says so when it has to wait."""

        def waiting() -> None:
            observer.note(f"waiting for another paddlesrv that is installing {name}")

        return locked(self.root / "locks" / f"{checked_name(name)}.lock", waiting)

    @contextmanager
    def staging(self, name: str) -> Iterator[Path]:
        """An empty directory on the store's file system; removed afterwards if still there."""
        self._remove_stale()
        path = self._staging / f"{checked_name(name)}-{uuid.uuid4().hex}"
        path.mkdir(parents=True, mode=0o755)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def publish(self, staging: Path, spec: ModelSpec, record: Record) -> InstalledModel:
        """Make a staged directory the model of that name, in one step for every reader.

        The directory must hold all files that `spec.digests` names, and is gone afterwards. The
        same content published by somebody else meanwhile is kept; damaged content of the same
        revision is replaced.
        """
        name = checked_name(spec.name)
        (staging / SPEC_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(spec), indent=2))
        _sync(staging / SPEC_FILE)
        (staging / RECORD_FILE).write_bytes(
            msgspec.json.format(msgspec.json.encode(record), indent=2)
        )
        for path in [*staging.rglob("*"), staging]:
            if path.is_dir() or path.name == RECORD_FILE:
                _sync(path)
        target = self._place(staging, spec)
        self._point(name, target)
        installed = self.installed(name)
        if installed is None:
            raise PaddlesrvError(f"{name} was removed while it was being installed")
        return installed

    def verify_digests(self, installed: InstalledModel) -> None:
        """Hash every file of the model; right before a load, and for `verify`.

        Raises:
            IntegrityError: a file is missing or is another one; names all of them.
        """
        if damage := damaged_files(installed.directory, installed.spec.digests):
            name = installed.spec.name
            raise IntegrityError(
                f"{name} is damaged on disk: {', '.join(damage)}",
                context=dict(damage) | {"where": str(installed.path)},
                hints=[installed.again],
            )

    def remove(self, name: str) -> bool:
        """Remove a model and all content kept for it; False if it is not here."""
        link = self.models_dir / checked_name(name)
        found = link.is_symlink()
        link.unlink(missing_ok=True)
        for content in self._contents(name):
            # The ready mark goes first, so that what a crash leaves is no model.
            (content / RECORD_FILE).unlink(missing_ok=True)
            shutil.rmtree(content, ignore_errors=True)
        return found

    def leftovers(self, *, older_than_seconds: float = 0.0) -> list[Path]:
        """Unfinished downloads, staging and replaced content, untouched for that long."""
        current = {p.resolve() for p in self.models_dir.glob("*")}
        parts = self.partial_dir.glob("*")
        places = [p for p in parts if not is_locked(main_file(p))]
        places += self._staging.glob("*")
        places += [p for p in self._objects.glob("*") if p.resolve() not in current]
        return sorted(p for p in places if _age(p) >= older_than_seconds)

    def prune(self, *, older_than_seconds: float = 0.0) -> list[Path]:
        """Remove the leftovers; returns them."""
        found = self.leftovers(older_than_seconds=older_than_seconds)
        for path in found:
            _remove(path)
        return found

    def _place(self, staging: Path, spec: ModelSpec) -> Path:
        """Move the content to its place among the objects."""
        self._objects.mkdir(parents=True, exist_ok=True)
        base = f"{spec.name}-{spec.revision[:12]}"
        target = self._objects / base
        for _ in range(8):
            try:
                staging.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
                same = _read_spec(target) == spec and not damaged_files(target, spec.digests)
                if same and (target / RECORD_FILE).is_file():
                    return target
                target = self._objects / f"{base}-{uuid.uuid4().hex[:6]}"
            else:
                _sync(self._objects)
                return target
        raise PaddlesrvError(f"no place could be made for {spec.name} in {self._objects}")

    def _point(self, name: str, target: Path) -> None:
        """Let the name stand for the content from now on."""
        self.models_dir.mkdir(parents=True, exist_ok=True)
        link = self.models_dir / name
        scratch = self.models_dir / f".{name}.{uuid.uuid4().hex}"
        scratch.symlink_to(Path("..") / self._objects.name / target.name)
        scratch.replace(link)
        _sync(self.models_dir)

    def _contents(self, name: str) -> list[Path]:
        pattern = re.compile(re.escape(name) + r"-[0-9a-f]{12}(-[0-9a-f]{6})?")
        return [p for p in self._objects.glob("*") if pattern.fullmatch(p.name)]

    def _remove_stale(self) -> None:
        for path in self._staging.glob("*"):
            if _age(path) > STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


def checked_name(name: str) -> str:
    """The name, if it may be a model's and so a directory's.

    Raises:
        UsageError: it may not.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a model's name",
            context={"expected": 'letters, digits and ". _ + & -", at most 100'},
        )
    return name


def now() -> datetime:
    """The time for a record."""
    return datetime.now(timezone.utc).replace(microsecond=0)


def _read_spec(directory: Path) -> ModelSpec | None:
    try:
        return msgspec.json.decode((directory / SPEC_FILE).read_bytes(), type=ModelSpec)
    except (OSError, msgspec.MsgspecError):
        return None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat(follow_symlinks=False).st_mtime
    except FileNotFoundError:
        return 0.0


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
