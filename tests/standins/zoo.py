"""The mirror of stand-ins: for each model of Paddle Serving 0.7, archives like the published ones.

Where Baidu's archives cannot be had, these take their place: same file names and layout, same
tensors, same meaning; the networks are small, their weights seeded or made by hand. Each family
has a module here whose `STANDINS` says, by "MODEL/FILE" as a mirror has it, who writes what. What
was built is kept until the sources of its family change.

    python -m tests.standins.zoo MIRROR [MODEL/FILE ...]
"""

from __future__ import annotations

import gzip
import hashlib
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from tests import packages

Builder = Callable[[Path], None]
"""Writes, into an empty directory, what an archive unpacks to (or the file, if it is none)."""

FAMILIES = (
    "classification",
    "detection",
    "reading",
    "segmentation",
    "language",
    "translation",
    "recommendation",
)
ARCHITECTURES = ("architectures",)
"""For some of the same models: what their archives really hold, with other weights."""

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip")
_HERE = Path(__file__).parent


def builders(family: str) -> Mapping[str, Builder]:
    """The builders of one family, by MODEL/FILE."""
    found: Mapping[str, Builder] = importlib.import_module(f"tests.standins.{family}").STANDINS
    return found


def all_standins(families: Sequence[str] = FAMILIES) -> dict[str, str]:
    """The family of each MODEL/FILE."""
    return {key: family for family in families for key in builders(family)}


def mirror(
    place: Path, keys: Iterable[str] | None = None, families: Sequence[str] = FAMILIES
) -> Path:
    """Lay out a mirror with these files, or with all; built are only those that are not kept.

    Args:
        place: The mirror's directory.
        keys: MODEL/FILE of each; None for all that there are.
        families: Whose builders write them.

    Returns:
        `place`.
    """
    family_of = all_standins(families)
    wanted = list(family_of) if keys is None else list(keys)
    for family in families:
        own = [key for key in wanted if family_of[key] == family]
        kept = packages.cache() / "standins" / f"{family}-{_revision(family)}"
        missing = [key for key in own if not (kept / key).is_file()]
        if missing:
            _build(family, missing, kept)
        for key in own:
            link(kept / key, place / key)
    return place


def link(source: Path, target: Path) -> None:
    """The same file at another path, without its bytes twice where that can be."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def pack(tree: Path, archive: Path) -> None:
    """Everything in a directory as an archive; equal trees give equal bytes."""
    files = sorted(path for path in tree.rglob("*") if path.is_file())
    if archive.name.endswith(".zip"):
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in files:
                packed.writestr(zipfile.ZipInfo(str(path.relative_to(tree))), path.read_bytes())
        return
    with archive.open("wb") as raw:
        compressed = archive.name.endswith(("gz", "tgz"))
        stream = gzip.GzipFile("", "wb", 6, raw, mtime=0) if compressed else raw
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as packed_tar:
            for path in files:
                member = tarfile.TarInfo(str(path.relative_to(tree)))
                member.size = path.stat().st_size
                with path.open("rb") as content:
                    packed_tar.addfile(member, content)
        if compressed:
            stream.close()


def _revision(family: str) -> str:
    """What changes whenever a builder of the family could write something else."""
    shared = [path for path in _HERE.glob("*.py") if path.stem not in (*FAMILIES, *ARCHITECTURES)]
    digest = hashlib.sha256()
    for path in sorted([*shared, _HERE / f"{family}.py"]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _build(family: str, keys: list[str], place: Path) -> None:
    """Run the builders in a process of its own that stays out of this one's way."""
    pir = getattr(importlib.import_module(f"tests.standins.{family}"), "PIR", False)
    subprocess.run(
        [sys.executable, "-m", "tests.standins.zoo", "--build", family, str(place), *keys],
        check=True,
        cwd=_HERE.parents[1],
        env={
            **os.environ,
            "FLAGS_enable_pir_api": "1" if pir else "0",
            "GLOG_minloglevel": "2",
            "PYTHONWARNINGS": "ignore",
        },
    )


def _build_here(family: str, place: Path, keys: list[str]) -> None:
    found = builders(family)
    import paddle  # noqa: F401  # once, for all that are forked from here

    for key in keys:
        # A process each: names that paddle makes up depend on what was built before.
        child = os.fork()
        if child == 0:
            code = 1
            try:
                _write(found[key], place / key)
                code = 0
            except Exception:  # noqa: BLE001  # the child ends here, whatever happened
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stderr.flush()
                os._exit(code)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status != 0:
            raise SystemExit(f"{key} was not built (status {status})")


def _write(builder: Builder, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as work:
        tree, packed = Path(work, "tree"), Path(work, file.name)
        tree.mkdir()
        builder(tree)
        if file.name.endswith(ARCHIVES):
            pack(tree, packed)
        else:
            packed = tree / file.name
        packed.rename(file)


if __name__ == "__main__":
    if sys.argv[1] == "--build":
        _build_here(sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
    else:
        mirror(Path(sys.argv[1]), sys.argv[2:] or None)
