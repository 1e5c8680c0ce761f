"""What a program shall ask, whatever language it is written in."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Literal, Protocol

from paddlesrv.client.snippets.examples import ExampleTensor
from paddlesrv.models.spec import TensorSpec

Kind = Literal["picture", "text", "features", "tensors"]
Spoken = Literal["http", "grpc", "brpc"]

_PLAIN = re.compile(r"[A-Za-z0-9._+&/~-]+")


@dataclass(frozen=True)
class Question:
    """A question to one model at one address.

    Of `text`, `features` and `inputs` it holds what its kind is asked with. `task` is what it is
    asked as; None for tensors.
    """

    model: str
    asked: str
    """The model as the user calls it."""
    url: str
    protocol: Spoken
    kind: Kind
    task: str | None = None
    text: str = ""
    features: dict[str, list[int] | list[str]] | None = None
    inputs: tuple[ExampleTensor, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()

    @property
    def said(self) -> str:
        """The model in a comment and in a command within one: nothing in it ends the line."""
        return shlex.quote(self.asked) if _PLAIN.fullmatch(self.asked) else "MODEL"


class Language(Protocol):
    """How a question is written in one language.

    `protocols` are those of its client, the usual one first; `file` is what the program is saved
    as; the places of its templates are filled with `places`.
    """

    name: str
    file: str
    protocols: tuple[Spoken, ...]

    def places(self, question: Question) -> dict[str, str]:
        """What stands in the templates' places."""
        ...

    def run(self, question: Question) -> list[str]:
        """The commands that run the saved program."""
        ...
