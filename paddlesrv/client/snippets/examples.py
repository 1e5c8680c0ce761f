"""Something to ask a model: values that it takes, and that a reader can replace by his own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import msgspec

from paddlesrv.models.spec import DType, TensorSpec

FEW = 32
"""So many values are written out; of more, there are zeros."""

SEQUENCE_ROWS = 3
PICTURE_SIDE = 320
OTHER_SIDE = 8
"""Sides that a network leaves open."""

_ENGLISH = "The weather is fine today."
_TEXTS = {
    "sentiment-analysis": "这家餐厅很好吃",
    "translation": _ENGLISH,
    "text-embedding": _ENGLISH,
}
_TEXT = "百度是一家高科技公司"


@dataclass(frozen=True)
class ExampleTensor:
    """An input with values: a flat list, or None for zeros; and offsets, if it has sequences."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    values: tuple[bool | int | float | str, ...] | None
    lod: tuple[int, ...] | None = None

    @property
    def count(self) -> int:
        """The number of its elements."""
        return math.prod(self.shape)


def text(task: str) -> str:
    """A sentence in the language of models of that task."""
    return _TEXTS.get(task, _TEXT)


def features(parameters: dict[str, Any] | None) -> dict[str, list[int] | list[str]]:
    """A row for `click-through-rate`: numbers as they were counted, and texts, which are hashed."""
    from paddlesrv.tasks.click_through_rate import Parameters

    known = msgspec.convert(parameters or {}, Parameters)
    return {
        "dense": list(range(1, known.dense + 1)),
        "categorical": [f"c{number}" for number in range(1, known.categorical + 1)],
    }


def tensor(spec: TensorSpec) -> ExampleTensor:
    """An input of one row, or of one sequence.

    Whole numbers are 1, which is in every vocabulary and in every mask; others count by halves,
    which every type of float holds exactly.
    """
    sequence = spec.lod_level > 0
    side = PICTURE_SIDE if len(spec.shape) == 4 else OTHER_SIDE
    shape = tuple(
        length if length > 0 else side if place > 0 else SEQUENCE_ROWS if sequence else 1
        for place, length in enumerate(spec.shape)
    )
    count = math.prod(shape)
    lod = (0, shape[0]) if sequence and shape else None
    if count > FEW and spec.dtype != "bytes":
        return ExampleTensor(spec.name, spec.dtype, shape, None, lod)
    values: list[bool | int | float | str]
    if spec.role == "im_shape":
        values = [float(PICTURE_SIDE)] * count
    elif spec.dtype == "bytes":
        values = ["text"] * count
    elif spec.dtype == "bool":
        values = [True] * count
    elif "float" in spec.dtype:
        values = [(place + 1) / 2 for place in range(count)]
    else:
        values = [1] * count
    return ExampleTensor(spec.name, spec.dtype, shape, tuple(values), lod)
