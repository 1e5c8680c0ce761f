"""What `paddle.save` writes of a state dict: a pickle of numpy arrays, read without running it."""

from __future__ import annotations

import io
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paddlesrv.errors import IntegrityError
from paddlesrv.recipes.arrays import Arrays, counts, file_bytes, items, ordered, some, view
from paddlesrv.recipes.opcodes import Builder, Name, Stateful, interpret
from paddlesrv.zoo.bounds import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PARAMETER_NAMES = "StructuredToParameterName@@"
_BIG_PARAMETERS = "UnpackBigParamInfor@@"
_NUMPY = frozenset(
    {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}
)  # the types of weights; no objects, records or texts


def read_pdparams(path: Path) -> Arrays:
    """The arrays of a state dict that `paddle.save` wrote (`.pdparams`), by the layers' names.

    What is no tensor (a learning rate, a counter) is left out. bfloat16 is uint16 there, as Paddle
    writes it.

    Raises:
        IntegrityError: it is damaged, is none, or names anything that is run.
        SourceUnreachable: it cannot be read.
    """
    value = interpret(io.BytesIO(file_bytes(path)), _NUMPY_NAMES)
    if isinstance(value, dict) and _BIG_PARAMETERS in value:
        raise IntegrityError(
            f"{shown(path.name)} holds parameters in slices (over 1 GiB, by an old protocol)",
            hints=["save it again with Paddle: paddle.save(state, path, protocol=4)"],
        )
    arrays: Arrays = {}
    for name, tensor in items(value, path):
        if name == _PARAMETER_NAMES:
            continue
        if isinstance(tensor, tuple) and len(tensor) == 2:  # (name, array), as in nested values
            tensor = tensor[1]
        if isinstance(tensor, _Array):
            arrays[name] = tensor.array()
    return some(arrays, path)


class _DType(Stateful):
    """A numpy type; its state says the order of bytes."""

    def __init__(self, code: str, order: str = "<") -> None:
        self.code, self.order = code, order

    def complete(self, state: object) -> _DType:
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise ValueError("a numpy type with a state of another form")
        if state[1] == ">":
            raise ValueError("numbers from a big-endian machine, which are not supported")
        return self

    @property
    def word(self) -> str:
        return f"{'|' if self.code in ('i1', 'u1', 'b1') else '<'}{self.code}"


class _Array(Stateful):
    """A numpy array; its state is all of it."""

    def __init__(
        self,
        block: bytes | None = None,
        word: str = "",
        shape: tuple[int, ...] = (),
        order: str = "C",
    ) -> None:
        self._block, self._word, self._shape, self._order = block, word, shape, order

    def complete(self, state: object) -> _Array:
        if not isinstance(state, tuple) or len(state) != 5:
            raise ValueError("an array with a state of another form")
        _, shape, dtype, fortran, block = state
        if not isinstance(dtype, _DType) or not isinstance(block, bytes | bytearray | str):
            raise ValueError("an array of something other than numbers")
        if isinstance(block, str):
            block = block.encode("latin-1")
        made = _Array(bytes(block), dtype.word, counts(shape), "F" if fortran else "C")
        made.array()
        return made

    def array(self) -> NDArray[Any]:
        if self._block is None:
            raise IntegrityError("the checkpoint holds an array without numbers")
        flat = view(memoryview(self._block), self._word, None)
        if prod(self._shape) != flat.size:
            raise ValueError("an array's shape is not the number of its numbers")
        return flat.reshape(self._shape, order="F" if self._order == "F" else "C")


def _dtype(arguments: tuple[object, ...]) -> _DType:
    if not arguments or arguments[0] not in _NUMPY:
        raise ValueError(f"a numpy type that no weights have: {shown(str(arguments[:1]))}")
    return _DType(str(arguments[0]))


def _reconstructed(arguments: tuple[object, ...]) -> _Array:
    if len(arguments) != 3 or not isinstance(arguments[0], Name) or arguments[0].name != "ndarray":
        raise ValueError("an array of another class")
    return _Array()


def _from_buffer(arguments: tuple[object, ...]) -> _Array:
    """(bytes, type, shape, order): protocol 5."""
    if len(arguments) != 4:
        raise ValueError("an array with other arguments")
    block, dtype, shape, order = arguments
    return _Array().complete((1, shape, dtype, order == "F", block))


def _scalar(arguments: tuple[object, ...]) -> _Array:
    """(type, bytes): a single number."""
    if len(arguments) != 2:
        raise ValueError("a number with other arguments")
    return _Array().complete((1, (), arguments[0], False, arguments[1]))


def _encoded(arguments: tuple[object, ...]) -> bytes:
    """(text, "latin1"): how bytes are written below protocol 3."""
    text = arguments[0] if arguments else None
    if not isinstance(text, str) or arguments[1:] not in (("latin1",), ("latin-1",)):
        raise ValueError("bytes of another form")
    return text.encode("latin-1")


def _no_bytes(arguments: tuple[object, ...]) -> bytes:
    """How no bytes at all are written below protocol 3."""
    if arguments:
        raise ValueError("bytes of another form")
    return b""


def _tuple(arguments: tuple[object, ...]) -> tuple[object, ...]:
    """((name, array),): how a tensor that lies deeper is written."""
    if len(arguments) != 1 or not isinstance(arguments[0], tuple | list):
        raise ValueError("a tuple of another form")
    return tuple(arguments[0])


_NUMPY_NAMES: dict[tuple[str, str], Builder | None] = {
    ("collections", "OrderedDict"): ordered,
    ("_codecs", "encode"): _encoded,
    ("__builtin__", "bytes"): _no_bytes,
    ("builtins", "tuple"): _tuple,
    ("__builtin__", "tuple"): _tuple,
    ("numpy", "ndarray"): None,
    ("numpy", "dtype"): _dtype,
    **{
        (f"numpy.{core}.{module}", name): builder
        for core in ("core", "_core")
        for module, name, builder in (
            ("multiarray", "_reconstruct", _reconstructed),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}
