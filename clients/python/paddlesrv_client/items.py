"""What a task model can be asked about, told apart by its type."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddlesrv_client.protocol import PredictInput

Item = Any
"""bytes or Path: a picture; str: a text; numbers or a mapping: features; a list: several."""


def predict_input(item: Item, options: Mapping[str, Any]) -> PredictInput:
    """The inputs of a request.

    Raises:
        ValueError: there are none, or one is of no such type.
        OSError: a picture cannot be read.
    """
    found = PredictInput(options={k: v for k, v in options.items() if v is not None})
    items = [item]
    if isinstance(item, list | tuple) and not all(isinstance(e, int | float) for e in item):
        items = list(item)
    elif isinstance(item, list | tuple) and not item:
        raise ValueError("a request needs a picture, a text or features")
    for each in items:
        _add(found, each)
    return found


def _add(found: PredictInput, item: Item) -> None:
    if isinstance(item, Path):
        found.pictures.append(item.read_bytes())
    elif isinstance(item, bytes | bytearray | memoryview):
        found.pictures.append(bytes(item))
    elif isinstance(item, str):
        found.texts.append(item)
    elif isinstance(item, Mapping):
        found.features.append(dict(item))
    elif isinstance(item, list | tuple):
        found.features.append(list(item))
    elif hasattr(item, "tolist"):
        found.features.append(item.tolist())
    else:
        raise ValueError(f"a picture, a text or features are wanted, not {type(item).__name__}")
