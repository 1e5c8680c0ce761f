"""What `--engine auto` chooses for every model of the zoo, and whether it was right.

    python -m benchmarks.engines [--home DIR] [--only MODEL ...] [--write docs/benchmarks.md]

Models of the package index are real. Of the others, those whose network a package builds have
that with random weights (which say nothing of answers, and all of speed); the rest are the tests'
stand-ins, small networks with the same tensors. Each network is tried twice: what the first trial
chose is held against paddle's default as the second trial measured both, so that a choice is not
judged by the very figures that it was made from.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks.comparison import write_section
from paddlesrv.engines.candidates import Candidate, Wanted, Way
from paddlesrv.engines.choice import Choice, choose, forget
from paddlesrv.server.config import default_threads
from paddlesrv.settings import Settings
from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.install import Installer
from paddlesrv.zoo.store import InstalledModel, Store
from tests.real_models import ASKED, FETCHED
from tests.standins import zoo
from tests.zoo.conftest import add_packages

REAL, ARCHITECTURE, STANDIN = "real", "architecture", "stand-in"
SERVED_ROWS = 8


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One network: the ratios are paddle's default time over that of the choice."""

    model: str
    files: str
    engine: str
    threads: int
    at_1: float | None
    at_8: float | None
    difference: float | None
    others: str


def main() -> None:
    """Try every network, print the table, and write it where it is wanted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, help="where models are installed; kept")
    parser.add_argument("--only", nargs="*", default=(), help="these models alone")
    parser.add_argument("--seconds", type=float, default=180, help="for one trial")
    parser.add_argument("--write", type=Path, help="a document with a section for the table")
    parser.add_argument("--json", type=Path, help="the lines as JSON")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = asked.home or Path(scratch) / "home"
        lines = []
        for model, files in models(home, asked.only):
            if model.spec.format != "pipeline":
                lines.append(line(model, files, Settings(home=home).cache_dir, asked.seconds))
                sys.stderr.write(" | ".join(row(lines[-1])) + "\n")
    text = table(lines)
    sys.stdout.write(text + "\n")
    if asked.json:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(lines)))
    if asked.write:
        write_section(asked.write, "engines", text)


def models(home: Path, only: Sequence[str]) -> Iterator[tuple[InstalledModel, str]]:
    """Every model, installed, with what its files are."""
    catalogue = Catalogue.load()
    mirror = home / "mirror"
    built = {key: ARCHITECTURE for key in zoo.all_standins(zoo.ARCHITECTURES)}
    small = {key: STANDIN for key in zoo.all_standins() if key not in built}
    zoo.mirror(mirror, built, zoo.ARCHITECTURES)
    add_packages(zoo.mirror(mirror, small))
    sources = {key.partition("/")[0]: files for key, files in (small | built).items()}
    sources |= dict.fromkeys((*FETCHED, *ASKED), REAL)
    seen: set[str] = set()
    for name, files in sources.items():
        if only and name not in only:
            continue
        settings = Settings(home=home, mirror=None if files == REAL else str(mirror))
        store = Store(settings.cache_dir)
        try:
            entries = catalogue.with_needs(catalogue.resolve(name).entry)
            Installer(catalogue, store, settings).get([name])
        except Exception as error:  # noqa: BLE001 - one model must not cost the table
            sys.stderr.write(f"{name}: {error}\n")
            continue
        for entry in entries:
            model = store.installed(entry.name)
            if model is not None and model.name not in seen and (not only or model.name in only):
                seen.add(model.name)
                yield model, files


def line(model: InstalledModel, files: str, cache_dir: Path, seconds: float) -> Line:
    """Both trials of a network."""
    spec = model.spec
    wanted = Wanted(cores=default_threads(1), rows=min(SERVED_ROWS, spec.max_batch_size))
    forget(spec, model.directory, cache_dir)
    first = choose(spec, model.directory, wanted, cache_dir, limit_seconds=seconds)
    second = first
    if first.evidence and any(found.timings for found in first.evidence):
        forget(spec, model.directory, cache_dir)
        second = choose(spec, model.directory, wanted, cache_dir, limit_seconds=seconds)
    way = Way(Candidate(first.engine, first.variant), first.threads)
    mine = next((e for e in first.evidence if e.candidate == way.candidate), None)
    return Line(
        model=spec.name,
        files=files,
        engine=str(way.candidate),
        threads=way.threads,
        at_1=ratio(second, way, 1),
        at_8=ratio(second, way, wanted.rows) if wanted.rows > 1 else None,
        difference=mine.difference if mine else None,
        others=others(first),
    )


def ratio(trial: Choice, way: Way, rows: int) -> float | None:
    """Paddle's default time over that of a way, as a trial measured both."""
    times = {
        Way(found.candidate, timing.threads): timing.seconds
        for found in trial.evidence
        for timing in found.timings
        if timing.rows == rows
    }
    if trial.usual not in times or way not in times:
        return None
    return times[trial.usual] / times[way]


def others(choice: Choice) -> str:
    """Why an engine was not used, where it could not be; or why nothing was tried."""
    if not choice.evidence:
        return choice.why
    refused = {found.candidate.engine: found.refused for found in choice.evidence if found.refused}
    return "; ".join(f"{engine}: {why}" for engine, why in refused.items())


def row(each: Line) -> list[str]:
    """The cells of a line."""

    def times(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f}"

    difference = "-" if each.difference is None else f"{each.difference:.0e}"
    cells = [each.model, each.files, each.engine, str(each.threads)]
    return [*cells, times(each.at_1), times(each.at_8), difference, each.others]


def table(lines: Sequence[Line]) -> str:
    """The table in Markdown."""
    head = ["model", "files", "engine", "threads", "batch 1", "batch 8", "differs by", "others"]
    rows = [head, ["---"] * len(head), *(row(each) for each in lines)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


if __name__ == "__main__":
    main()
