"""How much of the machine a container leaves to this process: its control groups' limits.

Source of the format: the kernel's "Control Group v2" (cpu.max, memory.max) and, for version 1,
"CFS Bandwidth Control" and "Memory Resource Controller".
"""

from __future__ import annotations

from pathlib import Path

import msgspec

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
_UNLIMITED = 1 << 62
"""Version 1 writes the largest number of pages for "no limit"."""


class Limits(msgspec.Struct, frozen=True):
    """What this process may take at most; None is no limit."""

    cores: float | None = None
    memory_bytes: int | None = None


def limits(root: Path = ROOT, own: Path = OWN) -> Limits:
    """The tightest limits from this process's group up to the root."""
    cores: list[float] = []
    memory: list[int] = []
    for folder in _folders(root, _groups(own)):
        quota, _, period = _read(folder / "cpu.max").partition(" ")
        _add_cores(cores, quota, period)
        _add_cores(cores, _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _read(folder / name)
            if text.isdigit() and int(text) < _UNLIMITED:
                memory.append(int(text))
    return Limits(min(cores, default=None), min(memory, default=None))


def _groups(own: Path) -> list[tuple[str, str]]:
    """Controllers and path of each group that this process is in; version 2 has no controllers."""
    lines = (line.split(":", 2) for line in _read(own).splitlines())
    return [(parts[1], parts[2]) for parts in lines if len(parts) == 3]


def _folders(root: Path, groups: list[tuple[str, str]]) -> list[Path]:
    """The groups' folders and those above them, as a container or the host mounts them."""
    found: list[Path] = []
    for controllers, path in groups:
        if controllers and not {"cpu", "memory"} & set(controllers.split(",")):
            continue
        base = root / controllers if controllers else root
        folder = base / path.lstrip("/")
        # Inside a container the path may be the host's, and its own group the root of the mount.
        found += [folder, *(p for p in folder.parents if p.is_relative_to(base))]
    return found


def _add_cores(cores: list[float], quota: str, period: str) -> None:
    if quota.isdigit() and period.isdigit() and int(period) > 0:
        cores.append(int(quota) / int(period))


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
