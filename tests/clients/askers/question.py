"""What is asked, by whom, and how text becomes arrays again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tests.clients.networks import NUMBERS

Arrays = dict[str, np.ndarray]

LOD = ".lod"
TEXT = "bytes"
NO_HALF = tuple(name for name in NUMBERS if name != "float16")
"""JSON in the Open Inference Protocol has no half floats."""


class Question(NamedTuple):
    """Inputs to a model on a server; `kinds` are the types of its outputs, for forms without."""

    url: str
    model: str
    inputs: Arrays
    kinds: dict[str, str]

    @property
    def address(self) -> str:
        """Host and port."""
        return self.url.removeprefix("http://")

    @property
    def tensors(self) -> Arrays:
        """The inputs without offsets."""
        return {name: x for name, x in self.inputs.items() if not name.endswith(LOD)}

    def offsets(self, name: str) -> list[int] | None:
        """The offsets of an input, if it has some."""
        found = self.inputs.get(name + LOD)
        return None if found is None else found.tolist()


class Asker(NamedTuple):
    """A client, and the types of elements that its protocol carries, besides texts and offsets."""

    name: str
    ask: Callable[[Question], Arrays]
    types: tuple[str, ...] = NUMBERS
    texts: bool = True
    offsets: bool = True


def array(values: Any, kind: str, shape: Any = None) -> np.ndarray:
    """An array of numbers, or of bytes from texts, of the type that is said."""
    if kind == TEXT:
        found = np.array(values, object)
        found.ravel()[:] = [v if isinstance(v, bytes) else v.encode() for v in found.ravel()]
    else:
        found = np.array(values, kind)
    return found if shape is None else found.reshape(shape)


def plain(data: np.ndarray, *, flat: bool = True) -> list[Any]:
    """Lists for JSON: texts as `str`."""
    found = data
    if data.dtype == object:
        found = np.empty(data.shape, object)
        found.ravel()[:] = [text.decode() for text in data.ravel()]
    listed: list[Any] = (found.ravel() if flat else found).tolist()
    return listed
