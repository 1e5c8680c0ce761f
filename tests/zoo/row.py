"""`Row`: what a model of the catalogue is asked, and how its answers are checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis.strategies import SearchStrategy

Input = bytes | str | dict[str, Any] | list[Any]
"""A picture file, a text, or a row of features."""


class Row(NamedTuple):
    """One model, three inputs or more (of mixed sizes), and what must be true of each answer."""

    model: str
    inputs: list[Input]
    check: Callable[[int, dict[str, Any]], None]
    """Asserts of the input's number and its result (`results[0]` of the answer)."""
    more: SearchStrategy[Input]
    """Other inputs, of all sizes; nothing is known of their answers."""
    tolerance: float = 1e-5
    """How far numbers of one answer may be from each other, whatever it was batched with.

    Relative to the larger of the number and 1; where it is more than the default, a comment says
    which kernels are the cause.
    """
