"""`Store`: the installed models on disk, and how one appears there all at once or not at all.

models/NAME                  a link to the installed content, swapped atomically
objects/NAME-REVISION/       the model's files, `spec.json`, and `install.json`, written last;
                             of a linked model, a link `original` instead of its files
staging/                     what is being put together; each directory locked while it is
partial/                     unfinished downloads
locks/                       one lock per model
pins.json                    digests noted at the first download

A directory without `install.json` is no model. Reading never writes, so that a read-only store
serves as well.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from paddlesrv.errors import IntegrityError, PaddlesrvError, UsageError
from paddlesrv.models.spec import ModelSpec
from paddlesrv.zoo.digests import damaged_files
from paddlesrv.zoo.leftovers import find_leftovers, remove_leftover, stale_staging
from paddlesrv.zoo.locks import lock_descriptor, locked
from paddlesrv.zoo.pins import Pins
from paddlesrv.zoo.progress import Observer
from paddlesrv.zoo.tree import make_durable

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+&-]{0,99}")
IMPORTED, LINKED = "import", "link"
OWN_SOURCES = (IMPORTED, LINKED)
"""Kinds of source of own models: files copied into the store, or left where they are."""

SPEC_FILE, RECORD_FILE = "spec.json", "install.json"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """How a model came here; kept as `install.json`.

    `source` is the kind ("https", "wheel", "tarball", "file", "mirror", "pipeline", or one of
    `OWN_SOURCES`), `where` the place without credentials, `sha256` the digest of what was fetched
    from there. `spec_sha256` is the digest of `spec.json`, which says what the files must be.
    """

    source: str
    where: str
    sha256: str | None
    size_bytes: int
    installed_at: datetime
    version: str
    spec_sha256: str | None = None


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
    spec_sha256: str | None = None

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
        self.objects_dir = root / "objects"
        self.staging_dir = root / "staging"

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
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
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
            spec_sha256=record.spec_sha256,
        )

    def installed_models(self) -> list[InstalledModel]:
        """All models that are here, by name."""
        found = (self.installed(name) for name in self.names())
        return [model for model in found if model is not None]

    def lock(self, name: str, observer: Observer) -> AbstractContextManager[None]:
        """Hold the model against other processes; says so when it has to wait."""

        def waiting() -> None:
            observer.note(f"waiting for another paddlesrv that is installing {name}")

        return locked(self.lock_path(name), waiting)

    @contextmanager
    def staging(self, name: str) -> Iterator[Path]:
        """An empty directory on the store's file system; removed afterwards if still there.

        It is locked for as long as it is in use, so that nobody takes it for a leftover.
        """
        stale_staging(self.staging_dir)
        path = self.staging_dir / f"{checked_name(name)}-{uuid.uuid4().hex}"
        # Until it is locked it has a name that counts as in use.
        unborn = path.with_name(f".{path.name}")
        unborn.mkdir(parents=True, mode=0o755)
        descriptor = os.open(unborn, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            lock_descriptor(descriptor, lambda: None)
            unborn.rename(path)
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            shutil.rmtree(unborn, ignore_errors=True)
            os.close(descriptor)

    def publish(self, staging: Path, spec: ModelSpec, record: Record) -> InstalledModel:
        """Make a staged directory the model of that name, in one step for every reader.

        The directory must hold all files that `spec.digests` names, and is gone afterwards. They
        are on the disk before anybody sees them. The same content published by somebody else
        meanwhile is kept; damaged content of the same revision is replaced.
        """
        name = checked_name(spec.name)
        spec_json = msgspec.json.format(msgspec.json.encode(spec), indent=2)
        record = msgspec.structs.replace(record, spec_sha256=hashlib.sha256(spec_json).hexdigest())
        (staging / SPEC_FILE).write_bytes(spec_json)
        (staging / RECORD_FILE).write_bytes(
            msgspec.json.format(msgspec.json.encode(record), indent=2)
        )
        # Links are left alone: what a linked model's one leads to is not ours.
        places = [path for path in staging.rglob("*") if not path.is_symlink()]
        make_durable(staging, [str(p.relative_to(staging)) for p in places if p.is_file()])
        for path in (*(p for p in places if p.is_dir()), staging):
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
        found = os.path.lexists(link)
        if link.is_symlink():
            link.unlink(missing_ok=True)
        elif found:
            remove_tree(link)
        for content in self.contents(name):
            remove_tree(content)
        return found

    def names(self) -> list[str]:
        """Every name that something stands for, whole or damaged, sorted."""
        if not self.models_dir.is_dir():
            return []
        return sorted(p.name for p in self.models_dir.iterdir() if _NAME.fullmatch(p.name))

    def contents(self, name: str) -> list[Path]:
        """All content that is kept for a name: the current one and replaced ones."""
        pattern = re.compile(re.escape(name) + r"-[0-9a-f]{12}(-[0-9a-f]{6})?")
        return [p for p in self.objects_dir.glob("*") if pattern.fullmatch(p.name)]

    def lock_path(self, name: str) -> Path:
        """The file that `lock` locks."""
        return self.root / "locks" / f"{checked_name(name)}.lock"

    def leftovers(
        self, *, older_than_seconds: float = 0.0, in_use: Collection[Path] = ()
    ) -> list[Path]:
        """What `find_leftovers` finds, untouched for that long."""
        found = find_leftovers(self, in_use=in_use)
        return sorted(each.path for each in found if each.age_seconds >= older_than_seconds)

    def prune(
        self, *, older_than_seconds: float = 0.0, in_use: Collection[Path] = ()
    ) -> list[Path]:
        """Remove the leftovers; returns those that are gone."""
        found = find_leftovers(self, in_use=in_use)
        old = [each for each in found if each.age_seconds >= older_than_seconds]
        return sorted(each.path for each in old if remove_leftover(self, each))

    def _place(self, staging: Path, spec: ModelSpec) -> Path:
        """Move the content to its place among the objects."""
        self.objects_dir.mkdir(parents=True, exist_ok=True)
        base = f"{spec.name}-{spec.revision[:12]}"
        target = self.objects_dir / base
        for _ in range(8):
            try:
                staging.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
                if _is_same(target, staging) and not damaged_files(target, spec.digests):
                    return target
                target = self.objects_dir / f"{base}-{uuid.uuid4().hex[:6]}"
            else:
                _sync(self.objects_dir)
                return target
        raise PaddlesrvError(f"no place could be made for {spec.name} in {self.objects_dir}")

    def _point(self, name: str, target: Path) -> None:
        """Let the name stand for the content from now on."""
        self.models_dir.mkdir(parents=True, exist_ok=True)
        link = self.models_dir / name
        if link.is_dir() and not link.is_symlink():
            # Not of our making; kept among the replaced content of that name.
            link.rename(self.objects_dir / f"{name}-{uuid.uuid4().hex[:12]}")
        scratch = self.models_dir / f".{name}.{uuid.uuid4().hex}"
        scratch.symlink_to(Path("..") / self.objects_dir.name / target.name)
        scratch.replace(link)
        _sync(self.models_dir)


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


def _is_same(content: Path, staging: Path) -> bool:
    """Whether content that is there already has the very records of what is staged, and sound."""
    try:
        msgspec.json.decode((content / RECORD_FILE).read_bytes(), type=Record)
        return (content / SPEC_FILE).read_bytes() == (staging / SPEC_FILE).read_bytes()
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return False


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_tree(directory: Path) -> None:
    """Remove content; the ready mark goes first, so that what a crash leaves is no model."""
    (directory / RECORD_FILE).unlink(missing_ok=True)
    shutil.rmtree(directory, ignore_errors=True)
