"""The API key of whoever asks a server: from a file, since a command line is seen by everybody."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from paddlesrv.errors import UsageError

ApiKeyFrom = Annotated[
    Path | None,
    typer.Option("--api-key-from", metavar="FILE", help="The file with your key for that server."),
]


def own_key(path: Path) -> str:
    """The one word in a file. Errors name no word: somebody may have given the key itself.

    Raises:
        UsageError: the file cannot be read, or holds another thing.
    """
    try:
        words = path.read_bytes()[:4096].split()
    except OSError as error:
        raise UsageError(
            f"the file with the API key cannot be read: {error.strerror or error}",
            hints=["--api-key-from takes a file; a key on a command line is seen by everybody"],
        ) from None
    if len(words) != 1 or not words[0].isascii():
        raise UsageError("the file with the API key holds another thing than one key")
    return words[0].decode("ascii")
