"""Asking a person before something is lost; where nobody can answer, the flag is named."""

from __future__ import annotations

import sys

import typer

from paddlesrv.cli.output import is_terminal
from paddlesrv.errors import UsageError


def agreed(question: str, again: str) -> bool:
    """Whether the person at the terminal says yes.

    Args:
        question: A yes-or-no question.
        again: The command line that does it without asking.

    Raises:
        UsageError: stdin is no terminal.
    """
    if not is_terminal(sys.stdin):
        raise UsageError(
            "nobody can be asked: stdin is no terminal",
            context={"question": question},
            hints=[f"to do it without being asked: {again}"],
        )
    return typer.confirm(question, err=True)
