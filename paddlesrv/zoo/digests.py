"""sha256 of files and of all files below a directory."""

from __future__ import annotations

import hashlib
from pathlib import Path

CHUNK_BYTES = 1 << 20


def digests_of(directory: Path) -> dict[str, str]:
    """sha256 of every file below the directory, by relative path."""
    return {
        str(path.relative_to(directory)): sha256_of(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


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
