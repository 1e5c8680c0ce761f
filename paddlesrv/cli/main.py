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
    bench,
    cache,
    candidates,
    catalog,
    client_config,
    completion,
    config,
    doctor,
    encrypt,
    failure,
    get,
    help,
    import_model,
    key,
    mirror,
    models,
    predict,
    rm,
    running,
    serve,
    tune,
    verify,
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
for noun in (
    # The order in which they are listed.
    models,
    get,
    import_model,
    verify,
    rm,
    mirror,
    encrypt,
    catalog,
    serve,
    running,
    key,
    predict,
    client_config,
    bench,
    tune,
    config,
    cache,
    doctor,
    about,
    completion,
    help,
):
    noun.register(app)


def main(argv: Sequence[str]) -> int:
    """Run one command line; the exit code. Never raises for what a user can cause."""
    if list(argv[:2]) == [candidates.WORD, "--"]:
        return _complete(argv[2:])
    shell = Shell(Flags.guess(argv), argv)
    try:
        program = typer.main.get_command(app)
        with program.make_context("paddlesrv", list(argv), obj=shell) as context:
            program.invoke(context)
        sys.stdout.flush()
    except typer.Exit as end:
        return _flushed(end.exit_code)
    except KeyboardInterrupt:
        return failure.show_interrupted(shell.output, shell.interrupted)
    except BrokenPipeError:
        return failure.BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - the one place where all of them end
        if isinstance(error, failure.CommandLineError):
            shell.take(Flags.guess(argv))  # the flags behind the mistake were not read
        return _told(error, shell, argv)
    return 0


def _complete(words: Sequence[str]) -> int:
    """Tell a shell what may come next; what goes wrong meanwhile is nothing to tell there."""
    shell = Shell(Flags())
    with contextlib.suppress(Exception):
        for found in candidates.candidates(typer.main.get_command(app), shell, words):
            shell.output.line(f"{found.word}\t{found.help}")
    return 0


def _told(error: Exception, shell: Shell, argv: Sequence[str]) -> int:
    """Tell what went wrong, if there is a place left to tell it; the exit code."""
    for _ in range(2):
        try:
            return failure.show(error, shell.output, argv, debug=shell.debug)
        except BrokenPipeError:
            return failure.BROKEN_PIPE
        except OSError:
            # stdout takes no JSON (a full disk): then stderr is left, in words.
            continue
    return 1


def run() -> None:
    """The console script."""
    _open_closed()
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character is no reason to fail.
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    code = main(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError:
        # What is still buffered has no reader, or no place on the disk, and that was told. The
        # interpreter would complain of it at its end, and exit with a code of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _flushed(code: int) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return failure.BROKEN_PIPE
    return code


def _open_closed() -> None:
    """Put /dev/null in the place of a stdin, stdout or stderr that whoever started us has closed.

    Otherwise the next file or socket that is opened takes its number, and gets what is written.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            mode = "r" if number == 0 else "w"
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - to the end
