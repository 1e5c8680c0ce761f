"""The program: its commands, and its one way in (`run`) and out (an exit code)."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from paddlesrv import __version__
from paddlesrv.cli import (
    about,
    config,
    doctor,
    failure,
    get,
    import_model,
    models,
    predict,
    serve,
)
from paddlesrv.cli.command import HELP_NAMES, Group, take_shared, with_shared
from paddlesrv.cli.shell import Flags, Shell

_EXAMPLES = """\
paddlesrv list
paddlesrv get ocr
paddlesrv serve ocr
paddlesrv predict ocr picture.png --url http://127.0.0.1:9393"""

app = typer.Typer(
    cls=Group,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=HELP_NAMES,
    help="From a PaddlePaddle model's name to a served endpoint.",
    epilog=_EXAMPLES,
)


def _root(ctx: typer.Context, **values: Any) -> None:
    shell: Shell = ctx.obj
    version = values.pop("version")
    shell.take(take_shared(values))
    if version:
        shell.output.line(f"paddlesrv {__version__}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        shell.output.line(ctx.get_help())
        raise typer.Exit


def _version_flag(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """The shape of the root's own options."""


def _parameters() -> list[Any]:
    import inspect

    return list(inspect.signature(_version_flag, eval_str=True).parameters.values())


with_shared(_root, _parameters())
app.callback(invoke_without_command=True)(_root)
for noun in (models, get, import_model, serve, predict, config, doctor, about):
    noun.register(app)


def main(argv: Sequence[str]) -> int:
    """Run one command line; the exit code. Never raises for what a user can cause."""
    shell = Shell(Flags.guess(argv), argv)
    try:
        program = typer.main.get_command(app)
        with program.make_context("paddlesrv", list(argv), obj=shell) as context:
            program.invoke(context)
        sys.stdout.flush()
    except typer.Exit as end:
        return _flushed(end.exit_code)
    except KeyboardInterrupt:
        shell.output.error_line()
        shell.output.error_line(shell.interrupted)
        return failure.INTERRUPTED
    except BrokenPipeError:
        return failure.BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - the one place where all of them end
        if isinstance(error, failure.CommandLineError):
            shell.take(Flags.guess(argv))  # the flags behind the mistake were not read
        try:
            return failure.show(error, shell.output, argv, debug=shell.debug)
        except BrokenPipeError:
            return failure.BROKEN_PIPE
    return 0


def run() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character is no reason to fail.
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    code = main(sys.argv[1:])
    if code == failure.BROKEN_PIPE:
        # What is still buffered has no reader; the interpreter would complain of it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _flushed(code: int) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return failure.BROKEN_PIPE
    return code
