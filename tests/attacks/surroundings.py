"""What a directory holds, links not followed, and what a command may have added to it."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

Seen = dict[str, tuple[int, str]]

CACHE = "a/b/home/cache"
ALLOWED = (f"{CACHE}/partial/", f"{CACHE}/locks/")


def seen(root: Path) -> Seen:
    """Mode and content (or target) of everything below a directory."""
    found: Seen = {}
    for path in sorted(root.rglob("*")):
        mode = path.lstat().st_mode
        content = ""
        if stat.S_ISLNK(mode):
            content = str(path.readlink())
        elif stat.S_ISREG(mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(root))] = (mode, content)
    return found


def changes(before: Seen, after: Seen) -> set[str]:
    """What is not as it was, but for empty directories of the store, locks and partial files."""
    different = {
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    }
    store = {CACHE, f"{CACHE}/staging", f"{CACHE}/partial", f"{CACHE}/locks", "a/b/home"}
    return {name for name in different if name not in store and not name.startswith(ALLOWED)}
