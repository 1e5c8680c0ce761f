"""sha256 of files and of all files below a directory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

CHUNK_BYTES = 1 << 20


def digests_of(directory: Path, known: Mapping[str, str] | None = None) -> dict[str, str]:
    """sha256 of every file below the directory, by relative path.

    Args:
        directory: Where they lie.
        known: Digests taken while the files were written; those files are not read again.
    """
    known = known or {}
    names = sorted(
        str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()
    )
    return {name: known.get(name) or sha256_of(directory / name) for name in names}


def damaged_files(directory: Path, digests: dict[str, str]) -> dict[str, str]:
    """Files that are not what they must be -> what is wrong."""
    damage = {}
    for name, expected in digests.items():
        try:
            got = sha256_of(directory / name)
        except OSError as error:
            damage[name] = error.strerror or "cannot be read"
            continue
        if got != expected:
            damage[name] = f"expected sha256 {expected}, got {got}"
    return damage


def sha256_of(path: Path) -> str:
    """The digest of one file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
