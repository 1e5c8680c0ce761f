"""`get --all`: the whole catalogue, or a part of it, and what became of each model."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from paddlesrv.cli.failure import as_record
from paddlesrv.cli.models import only
from paddlesrv.cli.output import Output, human_size
from paddlesrv.cli.progress import watching
from paddlesrv.cli.shell import Shell
from paddlesrv.errors import PaddlesrvError, UsageError, of_code

if TYPE_CHECKING:
    from paddlesrv.zoo.entries import Entry
    from paddlesrv.zoo.outcomes import Outcome

_HINTS_MAX = 3


def everything(
    shell: Shell, source: str | None, task: str | None, collection: str | None
) -> list[str]:
    """The names that `--all` stands for, in the catalogue's order.

    Raises:
        NotFound: there is no such task or collection.
        UsageError: no model has such a source.
    """
    found = list(shell.catalogue.entries)
    if task is not None:
        found = only(found, "task", task)
    if collection is not None:
        found = only(found, "collection", collection)
    # A mirror takes the place of every source.
    if source is not None and source != "mirror":
        found = [entry for entry in found if entry.components or source in _kinds(entry)]
        if not any(source in _kinds(entry) for entry in found):
            raise UsageError(
                f"no model has a source of the kind {source!r}",
                hints=["without a wish: paddlesrv get --all"],
            )
    return [entry.name for entry in found]


def fetch_all(shell: Shell, names: Sequence[str], source: str | None, force: bool) -> None:
    """Get them all, and tell what became of each.

    Raises:
        PaddlesrvError: some failed, after the others were installed and all was told; of the kind
            that all failures have in common, if they have one.
    """
    from paddlesrv.zoo.install import Installer

    output = shell.output
    outcomes: list[Outcome] = []
    with watching(output, lambda model, path: None, models=len(names)) as observer:
        installer = Installer(shell.catalogue, shell.store, shell.settings, observer)
        for outcome in installer.get_each(names, source=source, force=force):
            outcomes.append(outcome)
            if outcome.error is not None and outcome.state == "failed":
                output.warning(f"{outcome.name}: {outcome.error.message}")
            observer.finished()
            if output.quiet and not output.json and outcome.error is None:
                output.line(outcome.name)
    failures = {o.name: o.error for o in outcomes if o.error is not None and o.state == "failed"}
    error = _verdict(failures, len(outcomes)) if failures else None
    if output.json:
        output.document(_document(outcomes, error))
    elif not output.quiet:
        _tell(output, outcomes)
    if error is not None:
        raise error


def _kinds(entry: Entry) -> set[str]:
    return {str(type(source).__struct_config__.tag) for source in entry.sources}


def _verdict(failures: dict[str, PaddlesrvError], total: int) -> PaddlesrvError:
    """One error for all of them."""
    names: dict[str, list[str]] = {}
    for name, each in failures.items():
        names.setdefault(each.code, []).append(name)
    codes = list(names)
    kind = of_code(codes[0], PaddlesrvError) if len(codes) == 1 else PaddlesrvError
    own = dict.fromkeys(hint for each in failures.values() for hint in each.hints)
    # Hints that name a model stand in the table's reasons or help one model alone.
    general = [hint for hint in own if not any(name in hint for name in failures)]
    again = shlex.join(["paddlesrv", "get", *failures])
    return kind(
        f"{len(failures)} of {total} models could not be got",
        context={code: ", ".join(several) for code, several in names.items()},
        hints=[f"once more: {again}", *general[:_HINTS_MAX]],
    )


def _document(outcomes: Sequence[Outcome], error: PaddlesrvError | None) -> dict[str, Any]:
    models = [
        {
            "name": outcome.name,
            "state": outcome.state,
            "path": str(outcome.models[-1].path) if outcome.error is None else None,
            "size_bytes": outcome.models[-1].size_bytes if outcome.error is None else None,
            "source": outcome.models[-1].source if outcome.error is None else None,
            "error": as_record(outcome.error) if outcome.error is not None else None,
        }
        for outcome in outcomes
    ]
    record: dict[str, Any] = {"counts": _counts(outcomes), "models": models}
    return record | ({"error": as_record(error)} if error is not None else {})


def _counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    from paddlesrv.zoo.outcomes import State

    return {state: sum(o.state == state for o in outcomes) for state in get_args(State)}


def _tell(output: Output, outcomes: Sequence[Outcome]) -> None:
    """A line for each that is not simply here since long, and how many there are of each kind."""
    rows = [
        (outcome.state, outcome.name, *_size_and_word(outcome))
        for outcome in outcomes
        if outcome.state != "here"
    ]
    if rows:
        output.table(("STATE", "NAME", "SIZE", "FROM / WHY NOT"), rows)
    words = {"here": "here already"}
    counted = [
        f"{count} {words.get(state, state)}" for state, count in _counts(outcomes).items() if count
    ]
    noun = "model" if len(outcomes) == 1 else "models"
    output.note(f"{len(outcomes)} {noun}: {', '.join(counted)}")


def _size_and_word(outcome: Outcome) -> tuple[str, str]:
    if outcome.error is not None:
        return "-", outcome.error.message
    model = outcome.models[-1]
    if model.source == "pipeline":
        return "-", f"made of {model.where}"
    return human_size(model.size_bytes), f"{model.source} {_short(model.where)}"


def _short(where: str) -> str:
    """A place, without what is in front of a file's name."""
    return Path(where).name if "/" in where else where
