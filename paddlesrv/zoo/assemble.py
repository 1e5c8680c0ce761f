"""Puts a model's directory together: unpacks what was fetched, adds shipped files, makes the spec.

It works in a staging directory that nobody else sees; publishing it is the store's business.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from paddlesrv.errors import IntegrityError, NotFound
from paddlesrv.models.signature import read_signature
from paddlesrv.models.spec import ModelSpec
from paddlesrv.zoo.archive import extract
from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.digests import digests_of
from paddlesrv.zoo.entries import SHIPPED, Entry
from paddlesrv.zoo.fetch import Fetched
from paddlesrv.zoo.members import is_archive
from paddlesrv.zoo.sources import Candidate
from paddlesrv.zoo.specification import model_spec, pipeline_spec
from paddlesrv.zoo.store import RECORD_FILE, SPEC_FILE

SHIPPED_DIR = "zoo"
"""Where files that come with the catalogue lie in a model's directory."""


def unpack(fetched: Fetched, candidate: Candidate, staging: Path, into: str | None = None) -> None:
    """Put what was fetched into the staging directory.

    Args:
        fetched: An archive, a single file or a directory.
        candidate: Where it is from: which of its members to take, and what it is called.
        staging: The model's directory to be.
        into: Below the staging directory: a directory (with "/" at its end), or, for a single
            file, its path; None for the top.

    Raises:
        IntegrityError: see `archive.extract`.
    """
    place = staging / (into or ".")
    if fetched.path.is_dir():
        _copy_directory(fetched.path, place)
    elif is_archive(fetched.path):
        if into is None:
            extract(fetched.path, staging, members=candidate.members)
        else:
            extract(fetched.path, place, members=candidate.members)
    else:
        if into is None or into.endswith("/"):
            place = place / candidate.basename
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(fetched.path, place)


def make_spec(entry: Entry, catalogue: Catalogue, staging: Path) -> tuple[ModelSpec, list[str]]:
    """Complete the directory and say what it holds.

    Returns:
        The spec, and warnings on what the catalogue and the files do not agree on.

    Raises:
        IntegrityError: no network is there, or a file that the entry names is missing.
    """
    files = {
        role: _file(reference, catalogue, staging, entry) for role, reference in entry.files.items()
    }
    if entry.components:
        return pipeline_spec(entry, files=files, digests=digests_of(staging)), []
    for record in (SPEC_FILE, RECORD_FILE):
        if (staging / record).exists():
            raise IntegrityError(
                f"what was fetched for {entry.name} holds {record}, a name kept for the store"
            )
    directory = _network_directory(entry, staging)
    try:
        signature = read_signature(staging / directory)
    except NotFound as error:
        raise IntegrityError(error.message, context=error.context) from error
    return model_spec(
        entry, signature, directory=directory, files=files, digests=digests_of(staging)
    )


def _network_directory(entry: Entry, staging: Path) -> str:
    """Where the network lies: where the catalogue says, or else it is looked for from the top."""
    said = entry.layout.server_dir
    return said.rstrip("/") if said and (staging / said).is_dir() else ""


def _file(reference: str, catalogue: Catalogue, staging: Path, entry: Entry) -> str:
    """A task's file, by its path in the model's directory; shipped ones are copied there."""
    shipped = catalogue.shipped_file(reference)
    if shipped is None:
        if not (staging / reference).is_file():
            raise IntegrityError(
                f"what was fetched for {entry.name} does not hold {reference}",
                context={"expected": f"{reference}, which the catalogue names"},
            )
        return reference
    path = f"{SHIPPED_DIR}/{reference.removeprefix(SHIPPED)}"
    target = staging / path
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(shipped, target)
    return path


def _copy_directory(source: Path, target: Path) -> None:
    """Regular files and directories only; a directory that the user names is still not ours."""
    for path in sorted(source.rglob("*")):
        if path.is_symlink() and not path.resolve().is_relative_to(source.resolve()):
            raise IntegrityError(
                f"{path} is a link that leads out of its directory",
                context={"to": str(path.resolve())},
            )
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
