"""What `serve` is to serve before its flags are looked at: names, a config file, or the ancestor's.

A word that ends as a YAML file's name is a config file. One of Paddle Serving's pipelines is
translated, and all that its keys come to is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from paddlesrv.cli.output import Output
from paddlesrv.cli.shell import Shell
from paddlesrv.errors import UsageError

if TYPE_CHECKING:
    from paddlesrv.server.config import ServerConfig
    from paddlesrv.server.pipeline_translation import Translation

_CONFIG_SUFFIXES = (".yml", ".yaml")
_OLD_CONFIG = Path("config.yml")
"""What Paddle Serving's examples call the config of a pipeline."""


class Configured(NamedTuple):
    """What is served before flags are looked at.

    `words` are those that say it again on a command line; `said` has for each model the fields that
    files and variables set; `translation` is there where the config file is the ancestor's.
    """

    config: ServerConfig
    words: list[str]
    said: list[frozenset[str]]
    translation: Translation | None = None


def configured(
    shell: Shell, words: Sequence[str], config: Path | None, dry_run: bool
) -> Configured:
    """What the words, or a config file, say.

    Raises:
        UsageError: they say nothing, contradict each other, or cannot be expressed.
        DeviceUnavailable: the ancestor's file asks for a device that there is none of.
    """
    from paddlesrv.server.defaults import PROJECT_FILE, defaults, find_project, untrusted
    from paddlesrv.server.pipeline_config import is_pipeline

    models, config = _apart(words, config)
    project = find_project(config, asked=not models)
    if project is None and not models:
        raise UsageError(
            f"no model named, and there is no ./{PROJECT_FILE}",
            hints=[
                *(
                    [f"what lies here: paddlesrv serve {_OLD_CONFIG}"]
                    if _OLD_CONFIG.is_file()
                    else []
                ),
                "see what there is: paddlesrv list",
                "then: paddlesrv serve MODEL",
            ],
        )
    if project is None and (doubt := untrusted(PROJECT_FILE)):
        shell.output.warning(f"./{PROJECT_FILE} {doubt}, and is not read")
    translation = None
    if project is not None and not models and is_pipeline(project.data):
        from paddlesrv.server.pipeline_translation import translate

        translation = translate(project)
        if dry_run:
            _tell_all(shell.output, translation)
        project = translation.file()
        if not dry_run:
            _tell_taken(shell.output, translation)
    found = defaults(shell.in_force.file, project)
    if models and (decided := found.decided_by_file(models)):
        # Nobody named the file: it must not decide unseen where the server listens.
        shell.output.note(f"from ./{PROJECT_FILE}: {', '.join(decided)}")
    again = ["--config", str(config)] if config is not None else list(words)
    return Configured(found.configuration(models), again, found.said(models), translation)


def record(translation: Translation) -> dict[str, Any]:
    """A translation for programs."""
    return {
        "file": str(translation.source.path),
        "config": translation.data,
        "keys": translation.notes,
        "remarks": translation.remarks,
    }


def _apart(words: Sequence[str], config: Path | None) -> tuple[list[str], Path | None]:
    """Names of models, and the config file."""
    models = [word for word in words if not word.lower().endswith(_CONFIG_SUFFIXES)]
    files = [Path(word) for word in words if word not in models]
    if config is not None:
        files.append(config)
    if len(files) > 1:
        raise UsageError(
            f"{len(files)} config files for one server",
            context={"found": ", ".join(map(str, files))},
            hints=["name one of them"],
        )
    if files and models:
        raise UsageError(
            f"names of models and {'--config' if config else 'a config file'} together",
            hints=[f"put {', '.join(models)} into {files[0]}, or leave {files[0]} out"],
        )
    return models, files[0] if files else None


def _tell_all(out: Output, translation: Translation) -> None:
    """What became of each key; JSON has it in the plan."""
    if out.json or out.quiet:
        return
    rows = [
        (note.place, "" if note.value is None else _short(note.value), note.outcome, note.text)
        for note in translation.notes
    ]
    out.table(("KEY", "VALUE", "IS", "WHAT OF IT"), rows)
    for text in translation.remarks:
        out.note(text)


def _tell_taken(out: Output, translation: Translation) -> None:
    """What counts for a start."""
    for note in translation.notes:
        if note.outcome == "taken":
            out.note(f"{note.place} {note.text}")
    rest = sum(note.outcome == "nothing" for note in translation.notes)
    if rest:
        keys = "keys mean" if rest > 1 else "key means"
        out.note(f"{rest} other {keys} nothing here; which, and why: --dry-run")
    for text in translation.remarks:
        out.note(text)


def _short(value: Any) -> str:
    import msgspec

    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 40 else text[:39] + "…"
