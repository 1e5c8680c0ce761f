"""What a store takes on its disk, by what it is good for."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

import msgspec

from paddlesrv.zoo.leftovers import find_leftovers, measured
from paddlesrv.zoo.store import Store

CONVERTED = "converted"
"""The directory of models in another engine's form."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes on the disk.

    `models` is the content of each installed model; of a linked one its records alone. What is
    unfinished, staged or replaced and may be pruned is counted in `leftovers`, and the same kinds
    that are in use in `in_use`. `free` is what the file system has left for this user.
    """

    models: dict[str, int]
    converted: int
    downloads: int
    staging: int
    replaced: int
    in_use: int
    total: int
    free: int

    @property
    def prunable(self) -> int:
        """What `cache prune` would free."""
        return self.downloads + self.staging + self.replaced


def usage(store: Store, *, in_use: Collection[Path] = ()) -> Usage:
    """Measure a store; it is only read."""
    models = {name: measured((store.models_dir / name).resolve()) for name in store.names()}
    leftovers = find_leftovers(store, in_use=in_use)

    def of_kind(kind: str) -> int:
        return sum(each.size_bytes for each in leftovers if each.kind == kind)

    downloads, staging, replaced = map(of_kind, ("download", "staging", "replaced"))
    abandoned = [each for each in leftovers if each.path.parent == store.root / CONVERTED]
    converted = measured(store.root / CONVERTED) - sum(each.size_bytes for each in abandoned)
    places = (store.partial_dir, store.staging_dir, store.objects_dir)
    held = sum(map(measured, places)) - sum(models.values()) - downloads - replaced
    held -= staging - sum(each.size_bytes for each in abandoned)
    return Usage(
        models=models,
        converted=converted,
        downloads=downloads,
        staging=staging,
        replaced=replaced,
        in_use=max(0, held),
        total=measured(store.root),
        free=shutil.disk_usage(_existing(store.root)).free,
    )


def _existing(path: Path) -> Path:
    """The path, or the nearest directory above it that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
