"""Products of two matrices, `left @ right + 0`, of which oneDNN gets some wrong on some CPUs.

Each is float32 [-1, ...]; the names are those of `PRODUCTS`. They are exported by paddle in a
process of its own, as PIR or as ProgramDesc.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Product(NamedTuple):
    """Shapes of the operands without their batch, and whether they are transposed."""

    left: tuple[int, ...]
    right: tuple[int, ...]
    turn_left: bool
    turn_right: bool
    outer: bool

    def of(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """What the network answers."""
        first = left.swapaxes(-1, -2) if self.turn_left else left
        second = right.swapaxes(-1, -2) if self.turn_right else right
        return np.asarray(first @ second)


PRODUCTS = {
    "column_by_row": Product((128, 1), (1, 128), False, False, True),
    "column_by_turned_column": Product((128, 1), (128, 1), False, True, True),
    "turned_row_by_row": Product((1, 64), (1, 64), True, False, True),
    "row_by_column": Product((1, 64), (64, 1), False, False, False),
    "two_columns": Product((128, 2), (128, 2), False, True, False),
    "turned_square": Product((64, 64), (64, 64), True, True, False),
}


def write(directory: Path, *, pir: bool) -> None:
    """Write a directory of each product's name, with the network within."""
    form = "pir" if pir else "program"
    subprocess.run(
        [sys.executable, "-m", "tests.standins.products", str(directory), form],
        check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "FLAGS_enable_pir_api": str(int(pir)), "GLOG_minloglevel": "2"},
        capture_output=True,
    )


def _export(directory: Path, pir: bool) -> None:
    export = _export_pir if pir else _export_program
    for name, product in PRODUCTS.items():
        export(product, directory / name)


def _export_program(product: Product, directory: Path) -> None:
    from tests.standins.programs import Program

    program = Program()
    left = program.feed("left", (-1, *product.left), "float32")
    right = program.feed("right", (-1, *product.right), "float32")
    found = program.add(
        "matmul_v2",
        {"X": left, "Y": right},
        trans_x=product.turn_left,
        trans_y=product.turn_right,
    )
    nothing = program.weight(np.zeros(1))
    total = program.add("elementwise_add", {"X": found, "Y": nothing}, axis=-1)
    program.save(directory, [left, right], [total])


def _export_pir(product: Product, directory: Path) -> None:
    import paddle

    class Network(paddle.nn.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.nothing = self.create_parameter([1])
            self.nothing.set_value(np.zeros(1, np.float32))

        def forward(self, left: object, right: object) -> object:
            found = paddle.matmul(left, right, product.turn_left, product.turn_right)
            return found + self.nothing

    shapes = [
        paddle.static.InputSpec([-1, *shape], "float32", key)
        for key, shape in (("left", product.left), ("right", product.right))
    ]
    paddle.jit.save(Network(), str(directory / "inference"), input_spec=shapes)


if __name__ == "__main__":
    _export(Path(sys.argv[1]), pir=sys.argv[2] == "pir")
