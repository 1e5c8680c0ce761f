"""Whether a model's files are what its spec says, asked right before an engine opens them.

Engines take what they find: parameters that are not there become zeros, without an error.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from paddlesrv.errors import IntegrityError, NotFound
from paddlesrv.models.signature import Signature, read_signature
from paddlesrv.models.spec import ModelSpec
from paddlesrv.sealing.memory import is_in_memory

_BLOCK_BYTES = 1 << 20


class ModelFiles(NamedTuple):
    """Where the network of a spec lies; `params` is None where they are not one file beside it.

    `in_memory` is for an encrypted network: engines take it as bytes where they can.
    """

    program: Path
    params: Path | None
    signature: Signature
    in_memory: bool = False


def checked_files(spec: ModelSpec, root: Path) -> ModelFiles:
    """The files of a spec's network, after a look at each.

    Raises:
        IntegrityError: one is missing, damaged, or has another digest than the spec says.
    """
    if spec.program is None:
        raise IntegrityError(f"{spec.name} has no network of its own", context={"as": spec.format})
    for name, digest in spec.digests.items():
        _check_digest(spec, root, name, digest)
    try:
        signature = read_signature(root, spec.program)
    except NotFound as error:
        raise _missing(spec, root, spec.program) from error
    if signature.format != spec.format:
        raise IntegrityError(
            f"{spec.program} of {spec.name} is {signature.format}, not {spec.format}"
        )
    if spec.params is not None and not (root / spec.params).is_file():
        raise _missing(spec, root, spec.params)
    params = spec.params or signature.params
    program = root / spec.program
    return ModelFiles(program, root / params if params else None, signature, is_in_memory(program))


def sha256(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _check_digest(spec: ModelSpec, root: Path, name: str, expected: str) -> None:
    path = root / name
    if not path.is_file():
        raise _missing(spec, root, name)
    found = sha256(path)
    if found != expected:
        raise IntegrityError(
            f"{name} of {spec.name} has changed since it was installed",
            context={"file": str(path), "sha256": found, "expected": expected},
            hints=[f"see all of the damage, and what to do: paddlesrv verify {spec.name}"],
        )


def _missing(spec: ModelSpec, root: Path, name: str) -> IntegrityError:
    return IntegrityError(
        f"{name} of {spec.name} is missing",
        context={"directory": str(root)},
        hints=[f"see all of the damage, and what to do: paddlesrv verify {spec.name}"],
    )
