"""Running the command line in this process, as `paddlesrv ARGUMENTS` would."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from paddlesrv.cli.main import main


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """stdout as JSON; it must be one whole document."""
        return json.loads(self.out)


class Program:
    """`paddlesrv`, whose words are caught."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Ended:
        """Run one command line."""
        self._capsys.readouterr()
        code = main(arguments)
        out, err = self._capsys.readouterr()
        return Ended(code, out, err)
