"""A server for the time of a measurement: `paddlesrv serve` as users start it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import IO, Any

import msgspec

from paddlesrv import own_python
from paddlesrv.errors import PaddlesrvError, of_code

_GRACE = 20.0
"""Seconds that it may take to stop."""


@contextlib.contextmanager
def serving(words: Sequence[str]) -> Iterator[str]:
    """Run `paddlesrv serve WORDS` on a free port until the block ends; its address.

    What it tells on stderr goes to ours.

    Raises:
        PaddlesrvError: it does not start; the very error that it told.
    """
    command = [sys.executable, "-m", "paddlesrv", "serve", *words, "--port", "0", "--json"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=own_python.environment()
    )
    assert process.stdout is not None
    try:
        document = _document(process.stdout)
        if "url" not in document:
            process.wait()
            raise _told(document)
        yield document["url"]
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _document(stream: IO[str]) -> dict[str, Any]:
    """The one document that it prints when it is ready, or has failed."""
    lines: list[str] = []
    for line in stream:
        lines.append(line)
        if line.startswith("}"):
            break
    try:
        found: dict[str, Any] = msgspec.json.decode("".join(lines))
    except msgspec.DecodeError:
        return {}
    return found


def _told(document: dict[str, Any]) -> PaddlesrvError:
    error = document.get("error")
    if not isinstance(error, dict):
        return PaddlesrvError("the server did not start", hints=["see why: paddlesrv serve MODEL"])
    kind = of_code(str(error.get("code")), PaddlesrvError)
    hint = error.get("hint")
    return kind(str(error.get("message")), hints=[str(hint)] if hint else [])
