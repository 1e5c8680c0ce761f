"""How a command is made: the shared flags, examples in its help, and what its function is given.

A command's function takes the `Shell` first, then its own arguments, and returns its exit code or
None. It neither catches errors of the library nor ends the process.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from paddlesrv.cli.shell import FLAG_NAMES, Flags, Shell

Function = Callable[..., int | None]

SHARED = "Options of every command"
_SUMMARY_MAX = 120
"""Longer first sentences are cut where commands are listed."""
HELP_NAMES = {"help_option_names": ["-h", "--help"]}


class ColorWord(str, Enum):
    """When to colour."""

    auto = "auto"
    always = "always"
    never = "never"


_SHARED_OPTIONS: dict[str, tuple[Any, Any]] = {
    "json": (
        Annotated[
            bool, typer.Option("--json", help="Print JSON for programs.", rich_help_panel=SHARED)
        ],
        False,
    ),
    "quiet": (
        Annotated[
            bool,
            typer.Option("-q", "--quiet", help="Print names only.", rich_help_panel=SHARED),
        ],
        False,
    ),
    "verbose": (
        Annotated[
            int,
            typer.Option(
                "-v",
                "--verbose",
                count=True,
                show_default=False,
                help="Say more; -vv shows tracebacks.",
                metavar="",
                rich_help_panel=SHARED,
            ),
        ],
        0,
    ),
    "color": (
        Annotated[
            ColorWord | None,
            typer.Option(
                "--color",
                metavar="auto|always|never",
                help="When to colour; auto follows NO_COLOR and FORCE_COLOR.",
                rich_help_panel=SHARED,
            ),
        ],
        None,
    ),
    "offline": (
        Annotated[
            bool,
            typer.Option(
                "--offline", help="Open no connection to the outside.", rich_help_panel=SHARED
            ),
        ],
        False,
    ),
    "no_progress": (
        Annotated[
            bool,
            typer.Option("--no-progress", help="Draw no bars.", rich_help_panel=SHARED),
        ],
        False,
    ),
}


def take_shared(values: dict[str, Any]) -> Flags:
    """Take the shared flags out of a command's values."""
    taken = {name: values.pop(name) for name in FLAG_NAMES}
    color = taken.pop("color")
    return Flags(color=color.value if color else None, **taken)


def with_shared(function: Callable[..., Any], parameters: Sequence[inspect.Parameter]) -> None:
    """Give a callback these parameters and the shared flags, as typer reads them."""
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in _SHARED_OPTIONS.items()
    ]
    own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    context = inspect.Parameter(
        "ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    every = [context, *own, *shared]
    function.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in every}


def command(
    app: typer.Typer,
    name: str,
    *,
    examples: Sequence[str],
    panel: str | None = None,
    hidden: str | None = None,
) -> Callable[[Function], Function]:
    """Make a function a command of `app`; its docstring is the help.

    Args:
        app: The program, or a noun of it.
        name: What is typed.
        examples: Command lines that work as typed; the last thing in the help.
        panel: The group of commands under which it is listed.
        hidden: A second name that is not listed.
    """

    def register(function: Function) -> Function:
        def run(ctx: typer.Context, **values: Any) -> None:
            shell: Shell = ctx.obj
            shell.take(shell.flags.merged(take_shared(values)))
            raise typer.Exit(function(shell, **values) or 0)

        parameters = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        with_shared(run, parameters)
        for word in (name, hidden):
            if word is not None:
                app.command(
                    word,
                    cls=Command,
                    help=inspect.getdoc(function),
                    epilog="\n".join(examples),
                    rich_help_panel=panel,
                    hidden=word == hidden,
                    context_settings=HELP_NAMES,
                )(run)
        return function

    return register


def noun(
    app: typer.Typer, name: str, *, says: str, examples: Sequence[str], panel: str | None = None
) -> typer.Typer:
    """Make a noun of the program: commands that have it in common; alone, it shows its help.

    Args:
        app: The program.
        name: What is typed.
        says: Its help, one line.
        examples: Command lines that work as typed.
        panel: The group under which it is listed.
    """
    made = typer.Typer(
        cls=Group,
        rich_markup_mode=None,
        help=says,
        context_settings=HELP_NAMES,
        epilog="\n".join(examples),
        no_args_is_help=False,
    )
    made.callback(invoke_without_command=True)(_show_help)
    app.add_typer(made, name=name, rich_help_panel=panel)
    return made


def _show_help(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        shell: Shell = ctx.obj
        shell.output.line(ctx.get_help())


class Command(TyperCommand):
    """A command whose help groups the shared options and ends with examples."""

    def format_options(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Arguments, own options, shared options."""
        _write_options(self, ctx, formatter)

    def format_epilog(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """The examples, as they are typed."""
        _write_examples(self, formatter)


class Group(TyperGroup):
    """A group whose help lists its commands by what they are for, and ends with examples."""

    def format_options(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """The commands, then the options."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            entry = self.get_command(ctx, name)
            if entry is not None and not entry.hidden:
                panel = getattr(entry, "rich_help_panel", None)
                title = panel if isinstance(panel, str) else "Commands"
                panels.setdefault(title, []).append((name, entry.get_short_help_str(_SUMMARY_MAX)))
        for title, rows in panels.items():
            with formatter.section(title):
                formatter.write_dl(rows)
        _write_options(self, ctx, formatter)

    def format_epilog(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """The examples, as they are typed."""
        _write_examples(self, formatter)


def _write_options(command: Any, ctx: typer.Context, formatter: Any) -> None:
    sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], SHARED: []}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None:
            continue
        if parameter.param_type_name == "argument":
            sections["Arguments"].append(record)
        elif getattr(parameter, "rich_help_panel", None) == SHARED:
            sections[SHARED].append(record)
        else:
            sections["Options"].append(record)
    for title, rows in sections.items():
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)


def _write_examples(command: Any, formatter: Any) -> None:
    if not command.epilog:
        return
    formatter.write("\nExamples:\n")
    for line in command.epilog.splitlines():
        formatter.write(f"  {line}\n")
