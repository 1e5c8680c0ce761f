"""What of a model goes into its encrypted file: it, the models that it is made of, their files.

Each model is a directory named after it, with its `spec.json` and its files.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from paddlesrv.errors import IntegrityError, UsageError
from paddlesrv.models.signature import read_signature
from paddlesrv.models.spec import ModelSpec
from paddlesrv.sealing.container import Member, write
from paddlesrv.zoo.digests import damaged_files

SPEC_FILE = "spec.json"
SUFFIX = ".sealed"
_BLOCK_BYTES = 1 << 20


class Packed(NamedTuple):
    """A model that goes in: what it is, and where its files lie."""

    spec: ModelSpec
    root: Path


class Sealed(NamedTuple):
    """What was written: the models inside, and bytes before and after."""

    models: tuple[str, ...]
    files: int
    plain_bytes: int
    sealed_bytes: int


def seal(
    models: Sequence[Packed], key: bytes, out: Path, *, version: str, replace: bool = False
) -> Sealed:
    """Write models, the first of which is the one that is served, into an encrypted file.

    The file appears when it is whole, or not at all.

    Args:
        models: The model and, after it, its components.
        key: 32 bytes.
        out: The file.
        version: What tells this content from another one of that name.
        replace: Whether a file that is there is replaced.

    Raises:
        UsageError: the file is there, or cannot be written.
        IntegrityError: a file of a model is missing or damaged.
    """
    check_place(out, replace=replace)
    members = [member for model in models for member in _members(model)]
    main = models[0].spec
    partial: str | None = None
    try:
        descriptor, partial = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.parent)
        with os.fdopen(descriptor, "wb") as file:
            write(
                file,
                key,
                model=main.name,
                version=version,
                task=main.task,
                format=main.format,
                members=[(member, _blocks(path)) for member, path in members],
            )
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o644)
        Path(partial).replace(out)
    except OSError as error:
        raise UsageError(
            f"{out} cannot be written: {error.strerror or error}",
            hints=["name another place: -o FILE"],
        ) from None
    finally:
        if partial is not None:
            with contextlib.suppress(FileNotFoundError):
                Path(partial).unlink()
    return Sealed(
        tuple(model.spec.name for model in models),
        len(members),
        sum(member.size for member, _ in members),
        out.stat().st_size,
    )


def check_place(out: Path, *, replace: bool) -> None:
    """Refuse a place where an encrypted file cannot be put.

    Raises:
        UsageError: a file is there already, or no directory to put it into.
    """
    if out.is_dir() or (os.path.lexists(out) and not replace):
        raise UsageError(
            f"{out} is there already",
            hints=["name another file: -o FILE", "or replace it: --force"],
        )
    if not out.parent.is_dir():
        raise UsageError(f"{out.parent} is not a directory", hints=["make it first, or: -o FILE"])


def version_of(model: Packed) -> str:
    """What tells a model's content from another one of that name: the start of a digest."""
    if model.spec.revision:
        return model.spec.revision[:12]
    digest = hashlib.sha256()
    for member, source in _members(model):
        digest.update(f"{member.path}:{member.size}:".encode())
        for block in _blocks(source):
            digest.update(block)
    return digest.hexdigest()[:12]


def _members(model: Packed) -> list[tuple[Member, Path | bytes]]:
    spec = model.spec
    if damage := damaged_files(model.root, spec.digests):
        raise IntegrityError(
            f"{spec.name} is damaged, and was not encrypted",
            context=dict(damage),
            hints=[f"see all of it, and what to do: paddlesrv verify {spec.name}"],
        )
    network: tuple[str, ...] = ()
    if spec.program is not None:
        network = read_signature(model.root, spec.program).files
    described = msgspec.json.encode(spec)
    found: list[tuple[Member, Path | bytes]] = [
        (Member(path=f"{spec.name}/{SPEC_FILE}", size=len(described)), described)
    ]
    others = {*spec.files.values(), *spec.digests} - set(network)
    for name in (*sorted(others), *network):
        path = model.root / name
        member = Member(
            path=f"{spec.name}/{name}", size=path.stat().st_size, network=name in network
        )
        found.append((member, path))
    return found


def _blocks(source: Path | bytes) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block
