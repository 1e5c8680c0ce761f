"""How a failed command ends: the one place that turns exceptions into words and exit codes."""

from __future__ import annotations

import shlex
import sys
import traceback
from collections.abc import Mapping, Sequence

import typer

from paddlesrv.cli.output import Output
from paddlesrv.errors import PaddlesrvError, UsageError

INTERRUPTED = 130
BROKEN_PIPE = 141
"""What a shell reports of a program that a closed pipe has ended (128 + SIGPIPE)."""

EXIT_CODES: Mapping[int, str] = {
    0: "done",
    1: "it failed, or something that was looked at is not as it should be",
    2: "the command line, a variable or a config file cannot be meant so",
    3: "there is no model, server, command or topic of that name",
    4: "no source could be reached, or reaching one is forbidden (offline)",
    5: "a digest, an archive or a key is not what it must be",
    6: "the device, precision or engine is not there",
    7: "a port or a lock is held by somebody else",
    INTERRUPTED: "interrupted (Ctrl-C)",
    BROKEN_PIPE: "whoever read the output has gone, as in `paddlesrv list | head -1`",
}
"""What each exit code of the program means."""

_ALIGNED = 24
"""Longer names (addresses) stand out of line, so that the others stay together."""

# The base of all errors in the command line itself. Its class lies in click or inside typer,
# depending on typer's version; typer's own name for one of its children is what both have.
CommandLineError = typer.BadParameter.__mro__[2]


def show(error: BaseException, output: Output, argv: Sequence[str], *, debug: bool) -> int:
    """Tell a person (or a program, with `--json`) what went wrong; the exit code."""
    known = _known(error, argv)
    if debug and not isinstance(error, CommandLineError):
        traceback.print_exception(error, file=sys.stderr)
    if output.json and not output.answered:
        output.document({"error": as_record(known)})
        return known.exit_code
    output.error_line(known.message, "error:", "red")
    width = max((len(name) for name in known.context if len(name) <= _ALIGNED), default=0)
    for name, text in known.context.items():
        output.error_line(f"  {name:<{width}}   {text}")
    if known.hints:
        output.error_line()
    for hint in known.hints:
        output.error_line(hint, "hint:", "cyan")
    return known.exit_code


def show_interrupted(output: Output, how_to_go_on: str) -> int:
    """Tell that Ctrl-C has ended it, and how to go on; the exit code."""
    if output.json and not output.answered:
        word, _, hint = how_to_go_on.partition("; ")
        record = {"code": "interrupted", "message": word, "hint": hint or None}
        output.document({"error": record})
    else:
        output.error_line()
        output.error_line(how_to_go_on)
    return INTERRUPTED


def _known(error: BaseException, argv: Sequence[str]) -> PaddlesrvError:
    """The error as one of ours."""
    if isinstance(error, PaddlesrvError):
        return error
    if isinstance(error, CommandLineError):
        return _usage(error)
    again = shlex.join(["paddlesrv", *argv, "-vv"])
    if isinstance(error, OSError) and error.strerror:
        place = f": {error.filename}" if error.filename else ""
        return PaddlesrvError(f"{error.strerror}{place}", hints=[f"see where: {again}"])
    text = " ".join(str(error).split())
    return PaddlesrvError(
        f"unexpected {type(error).__name__}{': ' if text else ''}{text}",
        hints=[f"see where: {again}"],
    )


def _usage(error: BaseException) -> UsageError:
    """What the parser says of a command line, in our form."""
    message: str = error.format_message()  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "paddlesrv"
    message = message.rstrip(".")
    return UsageError(message[:1].lower() + message[1:], hints=[f"see: {command} --help"])


def as_record(error: PaddlesrvError) -> dict[str, object]:
    """An error as `--json` tells it; `hint` is the first of `hints`."""
    return {
        "code": error.code,
        "message": error.message,
        "hint": error.hints[0] if error.hints else None,
        "hints": list(error.hints),
        "context": error.context,
    }
