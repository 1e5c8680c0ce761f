"""`paddlesrv get` of a 2 GB archive next to `curl | tar x`, from the same server, in turns.

    python -m benchmarks.get_large --export get.json

Both start from nothing and end with the files in place. `get` does more: it verifies the
archive's digest before anything is unpacked, refuses what may not be in an archive, records a
digest of every file and makes all of it durable. `curl | tar + sync` is the same pipeline with the
last of these. Compare figures of one run only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.static_server import kind, serving

FORMS = {"tar": "big.tar", "tar.gz": "big.tar.gz"}
MODEL = "big"
BLOCK_FLOATS = 4 << 20
OTHER_FILES = 5
OTHER_BYTES = 20_000_000


@dataclass(frozen=True)
class Run:
    """One transfer: wall time, and the largest resident memory of the process started."""

    form: str
    system: str
    seconds: float
    peak_rss_mb: float


def make_archives(directory: Path, megabytes: int) -> None:
    """A real network with files of weights beside it, packed plain and with gzip at level 1.

    The weights are normally distributed float32, with a run of zeros now and then: as hard to
    compress as real ones.
    """
    import numpy as np

    from tests.standins import linear

    tree = directory / "tree" / MODEL
    linear.write_onnx(tree)
    random = np.random.default_rng(7)
    whole = megabytes * 1_000_000
    sizes = {f"part_{i}.bin": OTHER_BYTES for i in range(OTHER_FILES)}
    sizes["weights.bin"] = whole - OTHER_BYTES * OTHER_FILES
    for name, size in sizes.items():
        with (tree / name).open("wb") as file:
            while (left := size - file.tell()) > 0:
                block = random.standard_normal(BLOCK_FLOATS, dtype=np.float32)
                block[: BLOCK_FLOATS // 64] = 0
                file.write(block.tobytes()[:left])
    plain = directory / FORMS["tar"]
    subprocess.run(["tar", "-C", tree.parent, "-cf", plain, MODEL], check=True)
    with (directory / FORMS["tar.gz"]).open("wb") as packed:
        subprocess.run(["gzip", "-1c", plain], stdout=packed, check=True)
    shutil.rmtree(tree.parent)


def make_catalogue(directory: Path, archives: Path) -> Path:
    """A catalogue that knows the digest of each archive."""
    sources = []
    for name in FORMS.values():
        with (archives / name).open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
        url = f"https://models.invalid/{name}"
        sources.append({"kind": "https", "url": url, "sha256": digest.hexdigest()})
    entry = {
        "name": MODEL,
        "task": "tensors",
        "collection": "benchmark",
        "description": "a large archive",
        "status": "ready",
        "sources": sources,
    }
    path = directory / "manifest.yaml"
    path.write_text(json.dumps({"schema": 1, "models": [entry]}))
    return path


def curl_tar(url: str, target: Path, form: str, *, durable: bool) -> list[str]:
    """The peer's command line."""
    unpack = f"curl -s {url} | tar -x{'z' if form == 'tar.gz' else ''} -C {target}"
    return ["sh", "-c", f"{unpack} && sync -f {target}" if durable else unpack]


def timed(command: list[str], environment: dict[str, str] | None = None) -> tuple[float, float]:
    """Wall time in s and peak resident memory in MB of one command.

    Raises:
        RuntimeError: it failed.
    """
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}")
    return seconds, usage.ru_maxrss / 1024


def one_round(url: str, scratch: Path, catalogue: Path) -> list[Run]:
    """Each form by each system, once."""
    runs = []
    for form, name in FORMS.items():
        for system in ("curl | tar", "curl | tar + sync", "paddlesrv"):
            target = scratch / "target"
            target.mkdir()
            if system == "paddlesrv":
                environment = {k: v for k, v in os.environ.items() if "PADDLESRV" not in k}
                environment |= {
                    "PADDLESRV_HOME": str(target),
                    "PADDLESRV_CATALOGUE": str(catalogue),
                }
                command = [sys.executable, "-m", "paddlesrv", "get", MODEL, "-q"]
                seconds, rss = timed([*command, "--from", f"{url}/{name}"], environment)
            else:
                durable = system.endswith("sync")
                seconds, rss = timed(curl_tar(f"{url}/{name}", target, form, durable=durable))
            runs.append(Run(form, system, seconds, rss))
            # Nobody shall pay for what another has written.
            shutil.rmtree(target)
            os.sync()
    return runs


def summarise(runs: list[Run]) -> list[dict[str, float | str]]:
    """A row for each form and system; the share is of the peers' speed, median of the rounds."""
    rows = []
    for form in FORMS:
        times = {
            system: [r.seconds for r in runs if r.form == form and r.system == system]
            for system in dict.fromkeys(r.system for r in runs)
        }
        for system, its_times in times.items():
            shares = [
                other / own for other, own in zip(times["curl | tar"], its_times, strict=True)
            ]
            rss = [r.peak_rss_mb for r in runs if r.form == form and r.system == system]
            rows.append(
                {
                    "form": form,
                    "system": system,
                    "seconds": statistics.median(its_times),
                    "speed_of_curl_tar": statistics.median(shares),
                    "share_min": min(shares),
                    "share_max": max(shares),
                    "peak_rss_mb": max(rss),
                }
            )
    return rows


def table(rows: list[dict[str, float | str]]) -> str:
    """What a person wants to see."""
    head = f"{'form':<8}{'system':<20}{'seconds':>9}{'speed':>8}{'min':>7}{'max':>7}{'RSS MB':>8}"
    lines = [head, "-" * len(head)]
    lines += [
        f"{row['form']:<8}{row['system']:<20}{row['seconds']:>9.2f}"
        f"{row['speed_of_curl_tar']:>8.2f}{row['share_min']:>7.2f}{row['share_max']:>7.2f}"
        f"{row['peak_rss_mb']:>8.0f}"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Make the archives, measure in turns, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=2000, help="size of the plain archive")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--archives", type=Path, help="make or find the archives here, keep them")
    parser.add_argument("--scratch", type=Path, help="unpack here, such as a tmpfs")
    parser.add_argument("--export", type=Path, help="write all figures as JSON")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory(dir=args.scratch) as directory:
        scratch = Path(directory)
        archives = (args.archives or scratch / "archives").absolute()
        archives.mkdir(parents=True, exist_ok=True)
        if not all((archives / name).is_file() for name in FORMS.values()):
            # Elsewhere: what is resident here counts for the processes started from here.
            make = multiprocessing.get_context("spawn").Process(
                target=make_archives, args=(archives, args.megabytes)
            )
            make.start()
            make.join()
        catalogue = make_catalogue(scratch, archives)
        os.sync()
        runs: list[Run] = []
        with serving(archives, scratch) as url:
            for _ in range(args.rounds):
                runs += one_round(url, scratch, catalogue)
    rows = summarise(runs)
    print(table(rows))
    print(f"{args.rounds} rounds, {kind()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    if args.export:
        document = {"schema": 1, "summary": rows, "runs": [asdict(run) for run in runs]}
        args.export.write_text(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
