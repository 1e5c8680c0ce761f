"""What readers of checkpoints share: bytes of files, bounds, and numbers as they lie in bytes.

The arrays are views of a file's bytes, so that no file costs more memory than its size, and cannot
be written to.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from paddlesrv.errors import IntegrityError, SourceUnreachable
from paddlesrv.zoo.bounds import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

Arrays = dict[str, "NDArray[Any]"]

FILE_BYTES_MAX = 8 << 30
TENSORS_MAX = 100_000
DIMENSIONS_MAX = 32
BFLOAT16 = "bfloat16"
"""A type that numpy does not have."""


def file_bytes(path: Path) -> bytes:
    """All of a file.

    Raises:
        SourceUnreachable: it cannot be read.
        IntegrityError: it is larger than any checkpoint.
    """
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise damaged(path, f"it is larger than {FILE_BYTES_MAX} bytes")
        return path.read_bytes()
    except OSError as error:
        raise SourceUnreachable(f"{path.name} cannot be read: {error.strerror}") from error


def items(value: object, path: Path) -> Iterator[tuple[str, object]]:
    """What a checkpoint holds by name.

    Raises:
        IntegrityError: it is no dictionary, or too large a one.
    """
    if not isinstance(value, dict):
        raise damaged(path, "it holds no dictionary of tensors")
    if len(value) > TENSORS_MAX:
        raise damaged(path, f"more than {TENSORS_MAX} tensors")
    return ((name, tensor) for name, tensor in value.items() if isinstance(name, str))


def some(arrays: Arrays, path: Path) -> Arrays:
    """The arrays, if there are any.

    Raises:
        IntegrityError: there are none.
    """
    if not arrays:
        raise damaged(path, "it holds no tensors")
    return arrays


def view(block: memoryview, word: str, shape: tuple[int, ...] | None) -> NDArray[Any]:
    """Numbers as they lie in the bytes; bfloat16 is the upper half of a float32.

    Raises:
        ValueError: bytes and shape do not agree.
    """
    if shape is not None:
        shape = counts(shape)
        if prod(shape) * item_bytes(word) != len(block):
            raise ValueError("its bytes are not as many as its shape says")
    if word == BFLOAT16:
        flat = (np.frombuffer(block, "<u2").astype("<u4") << 16).view("<f4")
    else:
        flat = np.frombuffer(block, word)
    return flat if shape is None else flat.reshape(shape)


def item_bytes(word: str) -> int:
    """Bytes of one number of a type."""
    return 2 if word == BFLOAT16 else np.dtype(word).itemsize


def is_count(value: object) -> bool:
    """Whether it is a number of things that a file can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= FILE_BYTES_MAX


def counts(values: object) -> tuple[int, ...]:
    """A shape or strides.

    Raises:
        ValueError: they are none.
    """
    if not isinstance(values, tuple | list) or len(values) > DIMENSIONS_MAX:
        raise ValueError("a shape that is none")
    if not all(is_count(value) for value in values):
        raise ValueError("a shape with something other than counts")
    return tuple(values)


def damaged(path: Path, reason: str) -> IntegrityError:
    """The error for a file that is not what its format says."""
    return IntegrityError(
        f"{shown(path.name)} is damaged, or no checkpoint", context={"reason": shown(reason)}
    )


def ordered(arguments: tuple[object, ...]) -> dict[object, object]:
    """What `collections.OrderedDict` stands for in a pickle: a dictionary that is filled later."""
    if arguments:
        raise ValueError("an ordered dictionary with arguments")
    return {}
