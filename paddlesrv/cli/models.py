"""`list`, `search`, `info`: what models there are. Nothing here opens a connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from paddlesrv.cli.command import command
from paddlesrv.cli.output import Output, human_size
from paddlesrv.cli.shell import Shell

if TYPE_CHECKING:
    from paddlesrv.cli.choices import Known
    from paddlesrv.models.spec import ModelSpec, TensorSpec
    from paddlesrv.zoo.entries import Entry, Source
    from paddlesrv.zoo.store import InstalledModel

T = TypeVar("T")

PANEL = "Models"
OWN = "own"
"""The collection of models that are installed without being in the catalogue."""


@dataclass(frozen=True)
class Row:
    """One model of `list`: what the catalogue says of it and what is here."""

    name: str
    aliases: tuple[str, ...]
    task: str
    collection: str
    status: str
    installed: bool
    size_bytes: int | None

    @property
    def shown_status(self) -> str:
        """The status in one word for people."""
        if self.installed:
            return "installed"
        return "available" if self.status == "ready" else self.status


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    command(
        app,
        "list",
        hidden="ls",
        panel=PANEL,
        examples=[
            "paddlesrv list",
            "paddlesrv list --task ocr",
            "paddlesrv list --installed --json",
        ],
    )(list_models)
    command(
        app,
        "search",
        panel=PANEL,
        examples=["paddlesrv search mobilenet", "paddlesrv search 'chinese text'"],
    )(search)
    command(
        app, "info", panel=PANEL, examples=["paddlesrv info ocr", "paddlesrv info ocr_det --json"]
    )(info)


def list_models(
    shell: Shell,
    task: Annotated[
        str | None, typer.Option("--task", metavar="TASK", help="Only models of this task.")
    ] = None,
    collection: Annotated[
        str | None,
        typer.Option("--collection", metavar="COLLECTION", help="Only models of this collection."),
    ] = None,
    installed: Annotated[
        bool, typer.Option("--installed", help="Only models that are here.")
    ] = False,
) -> None:
    """List the models there are, and which of them are here."""
    rows = _rows(shell)
    if task is not None:
        rows = only(rows, "task", task)
    if collection is not None:
        rows = only(rows, "collection", collection)
    _answer(shell.output, [row for row in rows if row.installed or not installed])


def search(
    shell: Shell,
    query: Annotated[list[str], typer.Argument(metavar="QUERY...", help="Words to look for.")],
) -> None:
    """Look for models by name, alias, task or description."""
    found = shell.catalogue.search(" ".join(query))
    rows = [_row(entry, _installed(shell, entry.name)) for entry in found]
    descriptions = {entry.name: entry.description for entry in found}
    _answer(shell.output, rows, descriptions)


def info(
    shell: Shell, model: Annotated[str, typer.Argument(metavar="MODEL", help="Name or alias.")]
) -> None:
    """Show everything known of a model."""
    from paddlesrv.errors import NotFound, UsageError

    try:
        entry: Entry | None = shell.catalogue.resolve(model).entry
    except NotFound:
        try:
            own = shell.store.installed(model)
        except UsageError:
            own = None
        if own is None:
            raise
        entry, installed = None, own
    else:
        assert entry is not None
        installed = shell.store.installed(entry.name)  # type: ignore[assignment]
    record = _record(entry, installed)
    known: Known | None = None
    if installed is not None:
        from paddlesrv.cli.choices import Known

        known = Known.of(installed, shell.settings.cache_dir)
        record |= known.records()
    shell.output.answer(
        record,
        names=[record["name"]],
        human=lambda: _show(shell.output, record, entry, installed, known),
    )


def _rows(shell: Shell) -> list[Row]:
    """All models: the catalogue's in its order, then others that are installed."""
    rows = [_row(entry, _installed(shell, entry.name)) for entry in shell.catalogue.entries]
    known = {row.name for row in rows}
    names = shell.store.models_dir.iterdir() if shell.store.models_dir.is_dir() else ()
    for name in sorted(path.name for path in names if not path.name.startswith(".")):
        model = _installed(shell, name) if name not in known else None
        if model is not None:
            size = model.size_bytes
            rows.append(Row(model.name, (), model.spec.task, OWN, "ready", True, size))
    return rows


def _installed(shell: Shell, name: str) -> InstalledModel | None:
    """The model if it is here; one damaged model does not hide the others."""
    from paddlesrv.errors import PaddlesrvError

    try:
        return shell.store.installed(name)
    except PaddlesrvError as error:
        hint = f"; {error.hints[0]}" if error.hints else ""
        shell.output.warning(error.message + hint)
        return None


def _row(entry: Entry, installed: InstalledModel | None) -> Row:
    # A pipeline has nothing of its own to download.
    size = installed.size_bytes if installed and installed.size_bytes else entry.size
    return Row(
        entry.name,
        entry.aliases,
        entry.task,
        entry.collection,
        entry.status,
        installed is not None,
        size,
    )


def only(rows: Sequence[T], field: str, wanted: str) -> list[T]:
    """Rows with that value; an unknown value is an error that names those there are."""
    from paddlesrv.errors import NotFound

    found = [row for row in rows if getattr(row, field) == wanted]
    if found:
        return found
    import difflib

    known = sorted({getattr(row, field) for row in rows})
    close = difflib.get_close_matches(wanted, known, n=1)
    raise NotFound(
        f"no model has the {field} {wanted!r}",
        context={"known": ", ".join(known)},
        hints=[f"did you mean {close[0]}?"] if close else ["list them all: paddlesrv list"],
    )


def _answer(output: Output, rows: list[Row], descriptions: dict[str, str] | None = None) -> None:
    records = [
        {
            "name": row.name,
            "aliases": row.aliases,
            "task": row.task,
            "collection": row.collection,
            "status": row.status,
            "installed": row.installed,
            "size_bytes": row.size_bytes,
            **({"description": descriptions[row.name]} if descriptions is not None else {}),
        }
        for row in rows
    ]

    def human() -> None:
        last = "ALIASES" if descriptions is None else "DESCRIPTION"
        if rows:
            output.table(
                ("NAME", "TASK", "SIZE", "STATUS", last),
                [
                    (
                        row.name,
                        row.task,
                        human_size(row.size_bytes),
                        row.shown_status,
                        ", ".join(row.aliases) if descriptions is None else descriptions[row.name],
                    )
                    for row in rows
                ],
            )
        here = sum(row.installed for row in rows)
        count = f"{len(rows)} model{'s' if len(rows) != 1 else ''}"
        output.note(f"{count}, {here} installed" if rows else "no model")

    output.answer({"models": records}, names=[row.name for row in rows], human=human)


def _record(entry: Entry | None, installed: InstalledModel | None) -> dict[str, Any]:
    """Everything known of a model, for `info --json`."""
    import msgspec

    record: dict[str, Any]
    if entry is not None:
        record = msgspec.to_builtins(entry)
        record["size_bytes"] = entry.size
    else:
        assert installed is not None
        record = {"name": installed.name, "task": installed.spec.task, "collection": OWN}
    record["installed"] = None
    if installed is not None:
        record["installed"] = {
            "path": str(installed.path),
            "size_bytes": installed.size_bytes,
            "source": installed.source,
            "where": installed.where,
            "sha256": installed.sha256,
            "installed_at": installed.installed_at.isoformat(),
            "spec": msgspec.to_builtins(installed.spec),
        }
    return record


def _show(
    output: Output,
    record: dict[str, Any],
    entry: Entry | None,
    installed: InstalledModel | None,
    known: Known | None,
) -> None:
    pairs: list[tuple[str, str]] = [("name", record["name"])]
    if entry is not None:
        pairs += [
            ("aliases", ", ".join(entry.aliases) or "-"),
            ("task", entry.task),
            ("about", entry.description),
            ("collection", entry.collection),
            ("licence", entry.licence or "not stated"),
            ("status", entry.status),
        ]
        pairs += [("component", f"{role}: {name}") for role, name in entry.components.items()]
        pairs += [("recipe", entry.recipe.name)] if entry.recipe else []
        pairs += [("requires", name) for name in entry.requires]
        pairs += [("source", source_line(source)) for source in entry.sources]
        pairs += [("note", note) for note in entry.notes]
    else:
        pairs += [("task", record["task"]), ("collection", OWN)]
    if installed is not None:
        pairs += [*_installed_pairs(installed), *(known.pairs() if known is not None else [])]
    elif entry is not None and entry.status != "needs-export":
        pairs.append(("installed", f"no; get it: paddlesrv get {entry.name}"))
    output.pairs(pairs)


def _installed_pairs(installed: InstalledModel) -> list[tuple[str, str]]:
    spec = installed.spec
    pairs = [
        ("installed", str(installed.path)),
        ("size", human_size(installed.size_bytes)),
        ("from", f"{installed.source} {installed.where}"),
        ("sha256", installed.sha256 or "-"),
        ("date", f"{installed.installed_at:%Y-%m-%d %H:%M} UTC"),
        ("format", spec.format),
    ]
    if spec.made is not None:
        pairs.append(("made by", f"recipe {spec.made.recipe}, version {spec.made.version}"))
    pairs += [("input", _tensor_line(tensor)) for tensor in spec.inputs]
    pairs += [("output", _tensor_line(tensor)) for tensor in spec.outputs]
    return [*pairs, ("max batch", str(spec.max_batch_size)), *_task_pairs(spec)]


def _task_pairs(spec: ModelSpec) -> list[tuple[str, str]]:
    pairs = [("file", f"{role}: {path}") for role, path in spec.files.items()]
    return pairs + [("parameter", f"{name}: {value}") for name, value in spec.parameters.items()]


def _tensor_line(tensor: TensorSpec) -> str:
    shape = ", ".join("?" if side < 0 else str(side) for side in tensor.shape)
    sequences = ", sequences" if tensor.lod_level else ""
    role = f" ({tensor.role})" if tensor.role else ""
    return f"{tensor.name} {tensor.dtype} [{shape}]{sequences}{role}"


def source_line(source: Source) -> str:
    """A source in one line: kind, place, size and digest where known."""
    from paddlesrv.zoo.entries import FileSource, HttpsSource, PackageSource, TarballSource

    if isinstance(source, PackageSource):
        kind = "tarball" if isinstance(source, TarballSource) else "wheel"
        return (
            f"{kind} {source.package} {source.version}, {human_size(source.size)}, "
            f"sha256 {source.sha256}"
        )
    if isinstance(source, HttpsSource):
        size = source.size or source.approximate_size
        known = f", {human_size(size)}" if size else ""
        digest = f"sha256 {source.sha256}" if source.sha256 else "digest pinned at first download"
        return f"https {source.url}{known}, {digest}"
    assert isinstance(source, FileSource)
    return f"file {source.path}"
