"""A run of atheris (coverage-guided) over one target or all of them.

    python -m tests.fuzz --runs 60000 [TARGET ...]

Each target runs in a process of its own, for at most so many messages and seconds; what crashes one
is written to a file whose name is told. Needs `pip install atheris`.
"""

from __future__ import annotations

import argparse
import collections
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def one(name: str, runs: int, folder: Path) -> None:
    """Fuzz a target in this process; atheris ends it."""
    import atheris

    with atheris.instrument_imports(include=["paddlesrv", "paddlesrv_client"]):
        from tests.fuzz.targets import REFUSALS, TARGETS

    target = TARGETS[name]
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, sound in enumerate(target.sound):
        (corpus / f"sound-{number}").write_bytes(sound)
    counts: collections.Counter[str] = collections.Counter()

    def read(data: bytes) -> None:
        try:
            target.read(data)
        except REFUSALS:
            counts["refused"] += 1
        else:
            counts["read"] += 1
        if sum(counts.values()) % 1000 == 0:
            (folder / "counts").write_text(f"{counts['refused']} refused, {counts['read']} read")

    arguments = [f"-runs={runs}", "-max_len=4096", "-timeout=20", "-rss_limit_mb=2048",
                 "-verbosity=0", f"-artifact_prefix={folder}/", str(corpus)]  # fmt: skip
    atheris.Setup([sys.argv[0], *arguments], read)
    atheris.Fuzz()


def main() -> int:
    """Fuzz the targets that are asked for, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", help="all, unless named")
    parser.add_argument("--runs", type=int, default=60_000, help="messages for each")
    parser.add_argument("--here", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.here:
        one(args.targets[0], args.runs, args.here)
        return 0
    from tests.fuzz.targets import TARGETS

    bad = 0
    for name in args.targets or TARGETS:
        folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", name, "--runs", str(args.runs), "--here", folder],
            capture_output=True, text=True, errors="replace",
        )  # fmt: skip
        time.monotonic() - started
        counted = folder / "counts"
        counted.read_text() if counted.exists() else "none counted"
        if done.returncode:
            bad += 1
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
