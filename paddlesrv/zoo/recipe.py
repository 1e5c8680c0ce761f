"""A model's files made of other files, where an entry has a recipe and no network was fetched.

The recipe itself runs in a process of its own (`paddlesrv.recipes.worker`): it needs paddle and
much memory, and works on files from outside. Here is what goes into that process, what comes out of
it, and what its failures mean.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from paddlesrv.errors import EngineError, IntegrityError, NotFound, PaddlesrvError, of_code
from paddlesrv.isolated import Failure, run_isolated
from paddlesrv.models.signature import read_signature
from paddlesrv.models.spec import Made
from paddlesrv.zoo.entries import Entry
from paddlesrv.zoo.fetch import Fetched
from paddlesrv.zoo.sources import Candidate

TIMEOUT_SECONDS = 600.0
WORKER = "paddlesrv.recipes.worker"


class Request(msgspec.Struct, frozen=True):
    """What the worker is asked: to make `target`, an empty directory, of what is in `source`."""

    recipe: str
    options: dict[str, Any]
    source: str
    target: str
    report: str


class Report(msgspec.Struct, frozen=True):
    """What became of it: the version of the recipe that made the files, or why there are none."""

    version: int = 0
    failure: Failure | None = None


def needs_recipe(entry: Entry, source: Path) -> bool:
    """Whether the files must be made first: the entry has a recipe, and no network is there yet."""
    if entry.recipe is None:
        return False
    said = entry.layout.server_dir
    directory = source / said if said and (source / said).is_dir() else source
    try:
        read_signature(directory)
    except (IntegrityError, NotFound):
        return True
    return False


def make(
    entry: Entry,
    source: Path,
    target: Path,
    sources: dict[str, str],
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Made:
    """Make a model's files by its entry's recipe.

    Args:
        entry: One that has a recipe.
        source: Where the fetched files lie, unpacked; they are only read.
        target: An empty directory for the model's files.
        sources: sha256 of what was fetched, by its name; the spec keeps them.
        timeout_seconds: How long it may take, with the import of paddle.

    Raises:
        PaddlesrvError: what the recipe says is missing or wrong.
        EngineError: the process died, or its time was up; with the end of what it wrote.
    """
    recipe = entry.recipe
    if recipe is None:
        raise ValueError(f"{entry.name} has no recipe")
    with tempfile.TemporaryDirectory(prefix="paddlesrv-recipe-") as scratch:
        path = Path(scratch, "report.json")
        request = Request(recipe.name, recipe.options, str(source), str(target), str(path))
        ended = run_isolated(WORKER, request, timeout_seconds)
        if ended.status != 0 or not path.is_file():
            how = ended.how
            if ended.status is None:
                how = f"it took longer than {timeout_seconds:.0f} s"
            raise EngineError(
                f"the files of {entry.name} could not be made by the recipe {recipe.name}: {how}",
                context={"it wrote last": ended.tail.strip() or "nothing"},
                hints=[f"try again: paddlesrv get {entry.name}"],
            )
        report = msgspec.json.decode(path.read_bytes(), type=Report)
    if report.failure is not None:
        raise _raised(entry, report.failure)
    return Made(recipe=recipe.name, version=report.version, options=recipe.options, sources=sources)


def converting_note(entry: Entry) -> str:
    """The line that says what is being done."""
    return f"{entry.name}: converting (recipe {entry.recipe.name if entry.recipe else '-'})"


def source_digests(brought: Sequence[tuple[Candidate, Fetched]]) -> dict[str, str]:
    """sha256 of what was fetched, by file name; of a directory nothing is known."""
    return {candidate.basename: file.sha256 for candidate, file in brought if file.sha256}


def _raised(entry: Entry, failure: Failure) -> PaddlesrvError:
    kind = of_code(failure.code, EngineError)
    return kind(f"{entry.name}: {failure.message}", context=failure.context, hints=failure.hints)
