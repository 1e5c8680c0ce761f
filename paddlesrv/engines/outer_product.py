"""Whether a Paddle network multiplies a column by a row, which oneDNN gets wrong on some CPUs.

Where there is AVX-512, oneDNN 3.6 (in paddlepaddle 3.3) computes a matrix product whose inner
dimension is 1 from memory that nobody wrote: the answer is noise, different from run to run, and
mostly finite. BERT's attention mask is such a product. What an input shows of it is chance, so the
program is read instead. Fields and names are those of `models.program` and `models.pir`; further
OpDesc{inputs=1, type=3, attrs=4} OpDesc.Var{parameter=1, arguments=2} OpDesc.Attr{name=1, b=10}.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from paddlesrv.models import wire
from paddlesrv.models.spec import Format

_PRODUCTS = ("matmul", "matmul_v2", "mul")
_TRANSPOSED = ("trans_x", "trans_y"), ("transpose_X", "transpose_Y"), ("transpose_x", "transpose_y")

Shapes = Mapping[object, Sequence[int]]


class _Product(NamedTuple):
    """A matrix product: its operands' names, and whether each is transposed."""

    left: object
    right: object
    turned: frozenset[str]

    def inner(self, shapes: Shapes) -> set[int]:
        """What the operands say of the inner dimension."""
        left, right = shapes.get(self.left, ()), shapes.get(self.right, ())
        first, second = (
            bool(self.turned.intersection(names)) for names in zip(*_TRANSPOSED, strict=True)
        )
        found = set()
        if left:
            found.add(left[-2] if first and len(left) > 1 else left[-1])
        if right:
            found.add(right[-1] if second or len(right) == 1 else right[-2])
        return found


def has_outer_product(kind: Format, program: bytes) -> bool:
    """Whether a matrix product of the program has the inner dimension 1.

    Of what cannot be read here, it is not said: loading will say what is wrong with it.

    Args:
        kind: "paddle-program" or "paddle-pir".
        program: Its bytes.
    """
    try:
        read = _pir if kind == "paddle-pir" else _program
        return any(1 in product.inner(shapes) for shapes, product in read(program))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False


# ---- ProgramDesc -----------------------------------------------------------------------------


def _program(program: bytes) -> Iterator[tuple[Shapes, _Product]]:
    shapes: dict[object, list[int]] = {}
    for block in _messages(memoryview(program), 1):
        for variable in _messages(block, 3):
            name = next((wire.text(v, "a name") for n, v in wire.fields(variable) if n == 1), "")
            shapes[name] = _dimensions(variable)
        for operator in _messages(block, 4):
            product = _operator(operator)
            if product is not None:
                yield shapes, product


def _dimensions(variable: memoryview) -> list[int]:
    path = [variable]
    for number in (2, 3, 1):  # the type, its LoD tensor, its tensor
        path = [inner for message in path for inner in _messages(message, number)]
    return [
        size
        for tensor in path
        for number, value in wire.fields(tensor)
        if number == 2
        for size in wire.numbers(value)
    ]


def _operator(operator: memoryview) -> _Product | None:
    kind = next((wire.text(v, "a type") for n, v in wire.fields(operator) if n == 3), "")
    if kind not in _PRODUCTS:
        return None
    operands: dict[str, str] = {}
    for argument in _messages(operator, 1):
        texts = [(n, wire.text(v, "an operand")) for n, v in wire.fields(argument) if n in (1, 2)]
        operands[dict(texts)[1]] = dict(texts)[2]
    turned = set()
    for attribute in _messages(operator, 4):
        found = dict(wire.fields(attribute))
        if found.get(10):
            turned.add(wire.text(found[1], "an attribute's name"))
    return _Product(operands["X"], operands["Y"], frozenset(turned))


def _messages(message: memoryview, wanted: int) -> Iterator[memoryview]:
    for number, value in wire.fields(message):
        if number == wanted:
            yield wire.submessage(value, f"field {wanted}")


# ---- PIR -------------------------------------------------------------------------------------


def _pir(program: bytes) -> Iterator[tuple[Shapes, _Product]]:
    shapes: dict[object, list[int]] = {}
    for operator in msgspec.json.decode(program)["program"]["regions"][0]["blocks"][0]["ops"]:
        if operator["#"].rpartition(".")[2] in _PRODUCTS:
            left, right = (operand["%"] for operand in operator["I"])
            turned = {each["N"] for each in operator["A"] if each["AT"].get("D") is True}
            yield shapes, _Product(left, right, frozenset(turned))
        results: Any = operator.get("O", [])
        for result in results if isinstance(results, list) else [results]:
            data = result.get("TT", {}).get("D")
            if isinstance(data, list) and len(data) > 1:
                shapes[result["%"]] = data[1]
