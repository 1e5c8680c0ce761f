"""Arrays that travel as text: what Paddle Serving's pipelines write for numbers.

Read is what their clients send: `repr` of an array (as `PipelineClient` packs arrays and lists),
nested lists, or plain numbers of one sample with `;` between samples. Written is numpy's `repr`,
unabridged, as their servers answer. Nothing of it is ever evaluated.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from paddlesrv.errors import InvalidInput
from paddlesrv.models.spec import TensorSpec
from paddlesrv.models.tensor import Array
from paddlesrv.server.protocols.datatypes import FROM_NUMPY, MAX_DIMENSIONS, from_json

ARRAY = "array("
"""What `repr` of an array begins with."""

_AFTER = re.compile(r"(,\s{0,200}shape=\([\d, ]*\))?(,\s{0,200}dtype=[\w.']+)?\)\s*")
_INNERMOST = re.compile(r"\[([^\[\]]*)\]")
_IMPLIED = (np.dtype(np.int64), np.dtype(np.float64), np.dtype(np.bool_))
_BOOLS = {"True": True, "False": False, "true": True, "false": False, "1": True, "0": False}
_READERS: dict[str, Callable[[str], Any]] = {"f": float, "b": _BOOLS.__getitem__}


def read_numbers(name: str, text: str, declared: TensorSpec) -> Array:
    """The array that a text stands for, of an input's type and with its dimensions.

    One sample may come without the batch's dimension, and flat where its shape is fixed.

    Args:
        name: What the client calls it, for errors.
        text: What was sent.
        declared: The input.

    Raises:
        InvalidInput: it is no array of numbers, or of numbers that the type cannot hold.
    """
    if declared.dtype == "bytes":
        one = np.empty(1, dtype=object)
        one[0] = text.encode(errors="replace")
        return one.reshape([1] * max(1, len(declared.shape)))
    words, shape = _parted(name, text)
    values = _values(name, words, declared.dtype)
    datatype = FROM_NUMPY.get(declared.dtype, declared.dtype)
    return fitted(from_json(name, datatype, shape, values), declared)


def fitted(array: Array, declared: TensorSpec) -> Array:
    """One sample as a batch of one, flat samples in their shape; anything else as it is."""
    inner = declared.shape[1:]
    fixed = all(side > 0 for side in inner)
    if declared.lod_level:
        return array.reshape(-1, *inner) if array.ndim == 1 and fixed else array
    if array.ndim == len(inner) and all(
        wanted in (-1, found) for wanted, found in zip(inner, array.shape, strict=True)
    ):
        return array[np.newaxis]
    if fixed and array.ndim in (1, 2) and array.ndim <= len(inner):
        rows = array if array.ndim == 2 else array[np.newaxis]
        if rows.shape[1] == math.prod(inner):
            return rows.reshape(-1, *inner)
    return array


def write_numbers(array: Array) -> str:
    """As numpy's `repr` has it, however large it is, and with every digit that tells it."""
    if not array.size:
        return repr(array)
    text = np.array2string(
        array, threshold=sys.maxsize, floatmode="unique", separator=", ", prefix=ARRAY
    )
    kind = "" if array.dtype in _IMPLIED else f", dtype={array.dtype.name}"
    return f"{ARRAY}{text}{kind})"


def _parted(name: str, text: str) -> tuple[list[str], list[int]]:
    """The numbers, each a word, and the shape that brackets and `;` give them."""
    text = text.strip()
    if text.startswith(ARRAY):
        text = _inside(name, text)
    elif ";" in text and "[" not in text:
        text = "[[" + "],[".join(text.strip(";").split(";")) + "]]"
    text = text.replace(",", " ")
    words = text.replace("[", " ").replace("]", " ").split()
    if "[" not in text and "]" not in text:
        return words, [len(words)]
    shape: list[int] = []
    while "[" in text and len(shape) <= MAX_DIMENSIONS:
        lengths = {len(part.split()) for part in _INNERMOST.findall(text)}
        if len(lengths) > 1:
            raise _no_array(name, "lists of different lengths")
        if not lengths:
            break
        shape.insert(0, lengths.pop())
        text = _INNERMOST.sub(" x ", text)
    if text.split() != ["x"]:
        raise _no_array(name, "brackets that do not match")
    return words, shape


def _inside(name: str, text: str) -> str:
    """What `array(...)` holds, without its type."""
    end = text.rfind("]") + 1
    if not end:
        end = min(place for place in (text.find(","), text.find(")"), len(text)) if place >= 0)
    if not _AFTER.fullmatch(text[end:]):
        raise _no_array(name, repr(text[end : end + 40]))
    return text[len(ARRAY) : end]


def _values(name: str, words: list[str], dtype: str) -> list[Any]:
    kind = np.dtype(dtype).kind
    read = _READERS.get(kind, int)
    try:
        return [read(word) for word in words]
    except (KeyError, ValueError):
        wrong = next(word for word in words if not _reads(read, word))
        raise InvalidInput(
            f"the value of {name!r} is no text of {dtype} numbers",
            context={"found": repr(wrong[:40]), "wanted": '"1, 2, 3", with ";" between samples'},
        ) from None


def _reads(read: Callable[[str], Any], word: str) -> bool:
    try:
        read(word)
    except (KeyError, ValueError):
        return False
    return True


def _no_array(name: str, found: str) -> InvalidInput:
    return InvalidInput(
        f"the value of {name!r} is no array",
        context={"found": found, "wanted": '"1, 2, 3", "[[1, 2], [3, 4]]" or "array([[1, 2]])"'},
    )
