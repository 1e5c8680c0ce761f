"""`help`: what there is to know that is no command's own help, topic by topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from paddlesrv.cli.command import command
from paddlesrv.cli.shell import Shell
from paddlesrv.errors import NotFound

if TYPE_CHECKING:
    from paddlesrv.cli.topics import Topic

PANEL = "This machine"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(
        app,
        "help",
        panel=PANEL,
        examples=["paddlesrv help", "paddlesrv help exit-codes", "paddlesrv help serve"],
    )(show_help)


def show_help(
    shell: Shell,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="TOPIC...", help="A topic, or a command.")
    ] = None,
) -> None:
    """Explain a topic or a command; without one, list the topics."""
    from paddlesrv.cli.topics import TOPICS

    if not words:
        shell.output.answer(
            {"topics": [{"name": topic.name, "about": topic.about} for topic in TOPICS]},
            names=[topic.name for topic in TOPICS],
            human=lambda: _list(shell),
        )
        return
    topic = _topic(words)
    usage = _usage(words)
    if topic is None and usage is None:
        raise _unknown(words)
    parts = [text for text in (topic and topic.text(), usage) if text]

    def human() -> None:
        for number, text in enumerate(parts):
            if number:
                shell.output.line()
            for line in text.rstrip("\n").splitlines():
                heading = line.startswith("# ")
                shell.output.line(line.removeprefix("# "), "bold" if heading else None)

    name = topic.name if topic is not None else " ".join(words)
    shell.output.answer({"topic": name, "text": "\n".join(parts)}, names=[name], human=human)


def _list(shell: Shell) -> None:
    from paddlesrv.cli.topics import TOPICS

    shell.output.table(("TOPIC", "ABOUT"), [(topic.name, topic.about) for topic in TOPICS])
    shell.output.line()
    shell.output.line("Read one: paddlesrv help TOPIC; a command: paddlesrv help COMMAND")


def _topic(words: list[str]) -> Topic | None:
    from paddlesrv.cli.topics import TOPICS

    asked = "-".join(words).lower()
    return next((topic for topic in TOPICS if asked in (topic.name, *topic.aliases)), None)


def _usage(words: list[str]) -> str | None:
    """The help of a command, as its --help prints it; None if there is none."""
    program, context = _program()
    for word in words:
        program = getattr(program, "commands", {}).get(word)
        if program is None:
            return None
        context = program.make_context(word, [], parent=context, resilient_parsing=True)
    text: str = context.get_help()
    return text


def _program() -> tuple[Any, Any]:
    from paddlesrv.cli.main import app

    program = typer.main.get_command(app)
    return program, program.make_context("paddlesrv", [], resilient_parsing=True)


def _unknown(words: list[str]) -> NotFound:
    import difflib

    from paddlesrv.cli.topics import TOPICS

    asked = " ".join(words)
    topics = [name for topic in TOPICS for name in (topic.name, *topic.aliases)]
    known = [*topics, *getattr(_program()[0], "commands", {})]
    close = difflib.get_close_matches(asked.lower(), known, n=1)
    hints = [f"did you mean {close[0]}? paddlesrv help {close[0]}"] if close else []
    return NotFound(
        f"there is no topic and no command {asked!r}",
        hints=[*hints, "see the topics: paddlesrv help", "see the commands: paddlesrv --help"],
    )
