"""Puts a model's directory together: unpacks what was fetched, adds shipped files, makes the spec.

It works in a staging directory that nobody else sees; publishing it is the store's business.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from paddlesrv.errors import IntegrityError, NotFound, SourceUnreachable
from paddlesrv.models.signature import read_signature
from paddlesrv.models.spec import Made, ModelSpec
from paddlesrv.zoo.archive import broken_rule, extract
from paddlesrv.zoo.bounds import Limits, shown
from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.digests import CHUNK_BYTES, digests_of
from paddlesrv.zoo.entries import SHIPPED, Entry
from paddlesrv.zoo.events import NOT_REGULAR
from paddlesrv.zoo.fetch import Fetched
from paddlesrv.zoo.members import is_archive
from paddlesrv.zoo.sources import Candidate
from paddlesrv.zoo.specification import model_spec, pipeline_spec
from paddlesrv.zoo.store import RECORD_FILE, SPEC_FILE
from paddlesrv.zoo.tree import File, Tree

SHIPPED_DIR = "zoo"
"""Where files that come with the catalogue lie in a model's directory."""


def unpack(
    fetched: Fetched, candidate: Candidate, staging: Path, into: str | None = None
) -> dict[str, str]:
    """Put what was fetched into the staging directory.

    Args:
        fetched: An archive, a single file or a directory.
        candidate: Where it is from: which of its members to take, and what it is called.
        staging: The model's directory to be.
        into: Below the staging directory: a directory (with "/" at its end), or, for a single
            file, its path; None for the top.

    Returns:
        sha256 of the files written, by path in the staging directory.

    Raises:
        IntegrityError: see `archive.extract`; or a directory holds what is neither a file nor a
            directory, or a link that leads out of it.
    """
    place = PurePosixPath(into or ".")
    if fetched.path.is_dir():
        digests = _copy_directory(fetched.path, staging / place)
    elif is_archive(fetched.path):
        digests = extract(fetched.path, staging / place, members=candidate.members)
    else:
        if into is None or into.endswith("/"):
            place = place / candidate.basename
        with Tree(staging) as tree:
            return {str(place): _copy_file(fetched.path, tree, place)}
    return {str(place / name): digest for name, digest in digests.items()}


def make_spec(
    entry: Entry,
    catalogue: Catalogue,
    staging: Path,
    digests: dict[str, str] | None = None,
    made: Made | None = None,
) -> tuple[ModelSpec, list[str]]:
    """Complete the directory, make its files durable and say what it holds.

    Args:
        entry: What the catalogue knows.
        catalogue: Whose shipped files are added.
        staging: The model's directory to be.
        digests: What `unpack` told; files that are not in it are read.
        made: The recipe that made the files, if one did.

    Returns:
        The spec, and warnings on what the catalogue and the files do not agree on.

    Raises:
        IntegrityError: no network is there, or a file that the entry names is missing.
    """
    shipped: dict[str, str] = {}
    files = {
        role: _file(reference, catalogue, staging, entry, shipped)
        for role, reference in entry.files.items()
    }
    for record in (SPEC_FILE, RECORD_FILE):
        if os.path.lexists(staging / record):
            raise IntegrityError(
                f"what was fetched for {entry.name} holds {record}, a name kept for the store",
                context={"member": record, "rule": "a name kept for the store"},
            )
    known = digests_of(staging, {**(digests or {}), **shipped})
    if entry.is_pipeline:
        return pipeline_spec(entry, files=files, digests=known), []
    directory = _network_directory(entry, staging)
    try:
        signature = read_signature(staging / directory)
    except NotFound as error:
        raise IntegrityError(error.message, context=error.context) from error
    return model_spec(entry, signature, directory=directory, files=files, digests=known, made=made)


def _network_directory(entry: Entry, staging: Path) -> str:
    """Where the network lies: where the catalogue says, or else it is looked for from the top."""
    said = entry.layout.server_dir
    return said.rstrip("/") if said and (staging / said).is_dir() else ""


def _file(
    reference: str, catalogue: Catalogue, staging: Path, entry: Entry, shipped: dict[str, str]
) -> str:
    """A task's file, by its path in the model's directory.

    One that comes with the catalogue is copied there, and its digest added to `shipped`.
    """
    source = catalogue.shipped_file(reference)
    if source is None:
        if not (staging / reference).is_file():
            raise IntegrityError(
                f"what was fetched for {entry.name} does not hold {reference}",
                context={"expected": f"{reference}, which the catalogue names"},
            )
        return reference
    path = f"{SHIPPED_DIR}/{reference.removeprefix(SHIPPED)}"
    if path not in shipped:
        with Tree(staging) as tree:
            shipped[path] = _copy_file(source, tree, PurePosixPath(path))
    return path


def _copy_directory(source: Path, target: Path) -> dict[str, str]:
    """Regular files and directories only; a directory that the user names is still not ours.

    A link to a file is followed where it stays inside.
    """
    top = os.path.realpath(source)
    digests = {}
    with Tree(target) as tree:
        for directory, names, files in os.walk(source, onerror=_unreadable):
            names.sort()
            for name in (*names, *sorted(files)):
                path = Path(directory, name)
                place = PurePosixPath(path.relative_to(source))
                if rule := broken_rule(str(place), Limits()) or _refusal(path, top):
                    raise IntegrityError(
                        f"{shown(str(path))} is refused: {rule}",
                        context={"member": shown(str(place)), "rule": rule},
                    )
                if name in files:
                    digests[str(place)] = _copy_file(path, tree, place)
    return digests


def _refusal(path: Path, top: str) -> str | None:
    """What is wrong with an entry of a directory, or None."""
    real = os.path.realpath(path)
    if os.path.commonpath((top, real)) != top:
        return "a link that leads out of its directory"
    if path.is_dir():
        return "a link to a directory" if path.is_symlink() else None
    return None if path.is_file() else NOT_REGULAR


def _unreadable(error: OSError) -> None:
    raise SourceUnreachable(f"{error.filename} cannot be read: {error.strerror}") from error


def _copy_file(source: Path, tree: Tree, place: PurePosixPath) -> str:
    """Copy one regular file and tell its sha256; what is there already is not replaced."""
    try:
        # It does not wait, should a pipe have taken the file's place meanwhile.
        descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        _unreadable(error)
        raise
    digest = hashlib.sha256()
    with open(descriptor, "rb", buffering=0) as content, _new(tree, place) as file:  # noqa: PTH123
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise IntegrityError(f"{shown(str(source))} is refused: {NOT_REGULAR}")
        while chunk := content.read(CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


@contextmanager
def _new(tree: Tree, place: PurePosixPath) -> Iterator[File]:
    try:
        file = tree.create(place.parts)
    except (FileExistsError, NotADirectoryError) as error:
        raise IntegrityError(
            f"{place} is there already", context={"member": str(place), "rule": "one of a name"}
        ) from error
    try:
        yield file
    finally:
        file.close()
