"""`MirrorDirectory`: a mirror on the disk: files put there whole, and the lists of them."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from paddlesrv import __version__
from paddlesrv.errors import Busy, IntegrityError
from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.digests import sha256_of
from paddlesrv.zoo.entries import SHIPPED
from paddlesrv.zoo.locks import locked_now
from paddlesrv.zoo.mirror_layout import INDEX, MANIFEST, SUMS, render_sums

OWN_DIR = ".paddlesrv"
"""What a writer needs for itself, in the mirror's directory."""


class MirrorFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a mirror; `where` is where it came from, without credentials."""

    path: str
    sha256: str
    size_bytes: int
    where: str


class MirrorIndex(msgspec.Struct, frozen=True, kw_only=True):
    """What `index.json` holds: files by the model that they are for."""

    schema: int = 1
    paddlesrv: str = __version__
    catalogue: str = ""
    models: dict[str, tuple[MirrorFile, ...]] = {}


class MirrorDirectory:
    """The mirror in one directory."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def place(self, file: Path, path: str) -> None:
        """Put a copy of the file at its place, all at once."""
        target = self.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = self.path / OWN_DIR / uuid.uuid4().hex
        try:
            shutil.copyfile(file, scratch)
            _sync(scratch)
            scratch.chmod(0o644)
            scratch.replace(target)
        finally:
            scratch.unlink(missing_ok=True)

    def write_lists(self, index: MirrorIndex, catalogue: Catalogue) -> None:
        """The manifest and its files, then what tells of all."""
        digests = {file.path: file.sha256 for files in index.models.values() for file in files}
        for path, source in _shipped(catalogue).items():
            self.place(source, path)
            digests[path] = sha256_of(source)
        index = msgspec.structs.replace(index, paddlesrv=__version__, catalogue=catalogue.revision)
        encoded = msgspec.json.encode(index, order="sorted")
        for name, data in (
            (INDEX, msgspec.json.format(encoded, indent=2) + b"\n"),
            (SUMS, render_sums(digests).encode()),
        ):
            source = self.path / OWN_DIR / f"{name}.new"
            source.write_bytes(data)
            self.place(source, name)
            source.unlink()

    def read_index(self) -> MirrorIndex:
        """What `index.json` says; nothing where there is none.

        Raises:
            IntegrityError: it is damaged.
        """
        path = self.path / INDEX
        try:
            return msgspec.json.decode(path.read_bytes(), type=MirrorIndex)
        except (FileNotFoundError, NotADirectoryError):
            return MirrorIndex(models={})
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise IntegrityError(
                f"{path} is no list of a mirror: {error}",
                hints=[f"if that directory is a mirror, remove the list: rm {path}"],
            ) from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the mirror against other writers; what one that was killed left is removed.

        Raises:
            Busy: somebody else is writing it.
        """
        own = self.path / OWN_DIR
        own.mkdir(parents=True, exist_ok=True)
        with locked_now(own / "lock") as mine:
            if not mine:
                raise Busy(
                    f"another paddlesrv is writing the mirror {self.path}",
                    hints=["try again when it is done"],
                )
            for left in own.iterdir():
                if left.name != "lock":
                    left.unlink()
            yield


def _shipped(catalogue: Catalogue) -> dict[str, Path]:
    """The manifest and the files that come with it, by their place in the mirror."""
    found = {MANIFEST: catalogue.path}
    for entry in catalogue.entries:
        for reference in entry.files.values():
            source = catalogue.shipped_file(reference)
            if source is not None:
                found[reference.removeprefix(SHIPPED)] = source
    return found


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
