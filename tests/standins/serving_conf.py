"""Writes `serving_server_conf.prototxt` and its twin for clients, as Paddle Serving's tool does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

INT64, FLOAT32, INT32 = 0, 1, 2


class Variable(NamedTuple):
    """A tensor: its name in the network, the name for clients, its shape without the batch."""

    name: str
    alias: str
    shape: tuple[int, ...]
    type_code: int = FLOAT32
    lod: bool = False


def write(directory: Path, feeds: Sequence[Variable], fetches: Sequence[Variable]) -> None:
    """The file that the server reads."""
    _write(directory / "serving_server_conf.prototxt", feeds, fetches)


def write_client(directory: Path, feeds: Sequence[Variable], fetches: Sequence[Variable]) -> None:
    """The file that Paddle Serving's clients read."""
    _write(directory / "serving_client_conf.prototxt", feeds, fetches)


def _write(path: Path, feeds: Sequence[Variable], fetches: Sequence[Variable]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(_variable("feed", each) for each in feeds)
    path.write_text(text + "".join(_variable("fetch", each) for each in fetches))


def _variable(kind: str, variable: Variable) -> str:
    lines = [
        f'  name: "{variable.name}"',
        f'  alias_name: "{variable.alias}"',
        f"  is_lod_tensor: {str(variable.lod).lower()}",
        f"  {kind}_type: {variable.type_code}",
        *(f"  shape: {side}" for side in variable.shape),
    ]
    return "\n".join([f"{kind}_var {{", *lines, "}\n"])
