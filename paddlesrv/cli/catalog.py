"""`catalog show`, `catalog check`, `catalog update`: the list of known models itself."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paddlesrv.cli.command import command, noun
from paddlesrv.cli.models import PANEL
from paddlesrv.cli.output import Output, human_size
from paddlesrv.cli.shell import Shell
from paddlesrv.errors import IntegrityError, PaddlesrvError, SourceUnreachable, UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from paddlesrv.zoo.catalogue_choice import Choice
    from paddlesrv.zoo.catalogue_update import Offer
    from paddlesrv.zoo.entries import Entry
    from paddlesrv.zoo.probing import Answer


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    catalog = noun(
        app,
        "catalog",
        says="See, check and renew the list of known models.",
        examples=["paddlesrv catalog show", "paddlesrv catalog check ocr"],
        panel=PANEL,
    )
    command(
        catalog,
        "show",
        examples=[
            "paddlesrv catalog show",
            "paddlesrv catalog show ocr_det",
            "paddlesrv catalog show --json",
        ],
    )(show)
    command(
        catalog,
        "check",
        examples=["paddlesrv catalog check", "paddlesrv catalog check ocr lac2 --json"],
    )(check)
    command(
        catalog,
        "update",
        examples=[
            "paddlesrv catalog update --url https://models.example.com/manifest.yaml "
            "--public-key minisign.pub",
            "paddlesrv catalog update --url https://models.example.com/manifest.yaml "
            "--sha256 HEX --dry-run",
            "paddlesrv catalog update --reset",
        ],
    )(update)


def show(
    shell: Shell,
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="Its entry, as the catalogue has it.")
    ] = None,
) -> None:
    """Show which catalogue is in force, and what it holds."""
    from paddlesrv.zoo.catalogue_choice import builtin_published, choose

    choice, catalogue, output = choose(shell.settings), shell.catalogue, shell.output
    if model is not None:
        _show_entry(output, catalogue.resolve(model).entry)
        return
    counts: dict[str, Counter[str]] = {
        "collections": Counter(entry.collection for entry in catalogue.entries),
        "tasks": Counter(entry.task for entry in catalogue.entries),
        "statuses": Counter(entry.status for entry in catalogue.entries),
        "sources": Counter(
            str(source.__struct_config__.tag)
            for entry in catalogue.entries
            for source in entry.sources
        ),
    }
    record: dict[str, Any] = {
        "origin": choice.origin,
        "revision": catalogue.revision,
        "path": catalogue.path,
        "published": catalogue.published,
        "builtin_published": builtin_published(),
        "update": choice.update,
        "superseded": choice.superseded,
        "models": len(catalogue.entries),
        **counts,
    }

    def human() -> None:
        pairs = [
            ("origin", _origin(shell, choice)),
            ("revision", catalogue.revision),
            ("published", _date(catalogue.published)),
            ("path", str(catalogue.path)),
            ("models", str(len(catalogue.entries))),
        ]
        for what, counter in counts.items():
            pairs += [(what, f"{count:>3} {name}") for name, count in counter.items()]
        output.pairs(pairs)

    output.answer(record, names=[catalogue.revision], human=human)


def check(
    shell: Shell,
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL...", help="Names or aliases; default: all."),
    ] = None,
) -> None:
    """Ask every address of the catalogue whether it answers; nothing is downloaded.

    With PADDLESRV_MIRROR the mirror is asked instead. Exit code 0 if all answer with the size that
    the catalogue knows, 4 if one does not answer, 5 if one has another size. -q prints the places
    that are not as they should be.
    """
    from paddlesrv.zoo.probing import Prober

    output, catalogue = shell.output, shell.catalogue
    entries = list(catalogue.entries)
    if models:
        chosen = [catalogue.resolve(name).entry for name in models]
        every = [each for entry in chosen for each in catalogue.with_needs(entry)]
        entries = list({entry.name: entry for entry in every}.values())
    answers: list[Answer] = []
    with Prober(catalogue, shell.settings) as prober:
        for answer in prober.ask(entries):
            answers.append(answer)
            if output.bars:
                output.note(f"{answer.where}: {answer.said}")
    silent = [answer for answer in answers if not answer.answers]
    other = [answer for answer in answers if answer.size_agrees is False]
    output.answer(
        {"addresses": [_answer_record(answer) for answer in answers]},
        names=[answer.where for answer in (*silent, *other)],
        human=lambda: _answer_table(output, answers),
    )
    count = f"of {len(answers)} address{'es' if len(answers) != 1 else ''}"
    if silent:
        raise SourceUnreachable(
            f"{len(silent)} {count} did not answer",
            hints=["take models from a mirror: export PADDLESRV_MIRROR=URL|DIRECTORY"],
        )
    if other:
        raise IntegrityError(
            f"{len(other)} {count} {'has' if len(other) == 1 else 'have'} another size"
        )
    if not output.json:
        output.note(f"all {len(answers)} answer")


def update(
    shell: Shell,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="Where the newer catalogue is.")
    ] = None,
    sha256: Annotated[
        str | None, typer.Option("--sha256", metavar="HEX", help="What its bytes must hash to.")
    ] = None,
    public_key: Annotated[
        str | None,
        typer.Option(
            "--public-key",
            metavar="KEY|FILE",
            help="minisign key that URL.minisig must be signed with.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Take it though it is older than the one in force.")
    ] = False,
    reset: Annotated[
        bool, typer.Option("--reset", help="Go back to the catalogue that is built in.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Fetch and check it; change nothing.")
    ] = False,
) -> None:
    """Take a newer catalogue, if its digest or its signature is right, or go back.

    Without --sha256 and --public-key, it must be signed with the key of PADDLESRV_CATALOGUE_KEY.
    It stays in force until paddlesrv comes with a newer one. A wrong digest or signature, or an
    older date, is exit code 5, and leaves all as it was.
    """
    if reset:
        _reset(shell, [url, sha256, public_key], dry_run)
        return
    if url is None:
        if shell.settings.offline:
            raise SourceUnreachable(
                "no catalogue is fetched: paddlesrv is offline",
                hints=["go online: unset PADDLESRV_OFFLINE"],
            )
        raise UsageError(
            "where is the newer catalogue?",
            hints=["name its address: paddlesrv catalog update --url URL --sha256 HEX"],
        )
    from paddlesrv.zoo.catalogue_choice import choose
    from paddlesrv.zoo.catalogue_update import changes, fetch_offer, take

    offer = fetch_offer(url, shell.settings, sha256=sha256, public_key=public_key, force=force)
    try:
        before = shell.catalogue
    except PaddlesrvError as error:
        shell.output.warning(error.message)
        found = None
    else:
        found = changes(before, offer.catalogue)
    if not dry_run:
        take(offer, shell.settings)
    _tell_taken(shell, offer, found, choose(shell.settings), dry_run=dry_run)


def _reset(shell: Shell, others: list[str | None], dry_run: bool) -> None:
    from paddlesrv.zoo.catalogue_choice import update_directory
    from paddlesrv.zoo.catalogue_update import reset

    if any(value is not None for value in others):
        raise UsageError("--reset takes nothing else", hints=["paddlesrv catalog update --reset"])
    there = update_directory(shell.settings).is_dir() if dry_run else reset(shell.settings)
    record: dict[str, Any] = {"dry_run": True} if dry_run else {}

    def human() -> None:
        if not there:
            shell.output.line("the catalogue that is built in is in force already")
        elif dry_run:
            shell.output.line("would go back to the catalogue that is built in")
        else:
            shell.output.line("the catalogue that is built in is in force again")

    shell.output.answer(record | {"reset": there}, human=human)


def _tell_taken(
    shell: Shell,
    offer: Offer,
    found: dict[str, list[str]] | None,
    choice: Choice,
    *,
    dry_run: bool,
) -> None:
    output, catalogue = shell.output, offer.catalogue
    record: dict[str, Any] = {"dry_run": True} if dry_run else {}
    record |= {"revision": catalogue.revision, "models": len(catalogue.entries)}
    record |= {"update": offer.update, "changes": found}

    def human() -> None:
        what = "would take" if dry_run else "took"
        trust = f"signed with key {offer.update.key}" if offer.update.key else "its digest is right"
        output.line(
            f"{what} catalogue {catalogue.revision} of {_date(catalogue.published)}, "
            f"{len(catalogue.entries)} models; {trust}"
        )
        if offer.update.comment:
            output.note(f"trusted comment: {offer.update.comment}")
        for word, names in (found or {}).items():
            if names:
                output.note(f"{word}: {', '.join(names)}")

    output.answer(record, names=[catalogue.revision], human=human)
    if choice.origin == "PADDLESRV_CATALOGUE":
        output.warning(f"PADDLESRV_CATALOGUE goes before it: {choice.path}")


def _show_entry(output: Output, entry: Entry) -> None:
    import msgspec

    def human() -> None:
        output.line(msgspec.yaml.encode(_said(msgspec.to_builtins(entry))).decode().rstrip())

    output.answer(msgspec.to_builtins(entry), names=[entry.name], human=human)


def _said(value: Any) -> Any:
    """A value without what is left open in it."""
    if isinstance(value, dict):
        return {name: _said(each) for name, each in value.items() if each not in (None, [], (), {})}
    return [_said(each) for each in value] if isinstance(value, (list, tuple)) else value


def _origin(shell: Shell, choice: Choice) -> str:
    if choice.superseded is not None:
        return (
            f"built in; newer than the update of {_date(choice.superseded.published)} "
            f"from {choice.superseded.url}"
        )
    if choice.update is not None:
        trust = f"signed with key {choice.update.key}" if choice.update.key else "by its digest"
        return f"updated from {choice.update.url} on {_date(choice.update.taken_at)}, {trust}"
    if choice.origin == "PADDLESRV_CATALOGUE":
        return f"{shell.in_force.origins['catalogue']}"
    return choice.origin


def _date(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment is not None else "unknown date"


def _answer_record(answer: Answer) -> dict[str, Any]:
    import msgspec

    return msgspec.to_builtins(answer) | {"size_agrees": answer.size_agrees}  # type: ignore[no-any-return]


def _answer_table(output: Output, answers: list[Answer]) -> None:
    rows = []
    for answer in answers:
        size = human_size(answer.size_bytes)
        if answer.size_agrees is not None:
            expected = human_size(answer.expected_bytes)
            size += " ok" if answer.size_agrees else f", not {expected}"
        rows.append(
            (
                answer.models[0] + (" ..." if len(answer.models) > 1 else ""),
                answer.kind,
                answer.said,
                size,
                answer.where,
            )
        )
    if rows:
        output.table(("MODEL", "KIND", "ANSWER", "SIZE", "PLACE"), rows)
