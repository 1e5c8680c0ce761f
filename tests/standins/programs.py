"""Writes networks as Paddle 1.x did: a ProgramDesc of single operators and its `__params__`.

Operators are added one by one, since what today's paddle offers in their place makes other ones,
and knows little of sequences (LoD).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle.base.framework import Variable
from paddle.base.unique_name import generate


class Program:
    """A network while it is put together; `FLAGS_enable_pir_api` must be 0."""

    def __init__(self) -> None:
        paddle.enable_static()
        self._main, self._startup = paddle.static.Program(), paddle.static.Program()

    def feed(self, name: str, shape: tuple[int, ...], dtype: str, lod: bool = False) -> Variable:
        """An input; with `lod`, sequences laid end to end."""
        with paddle.static.program_guard(self._main, self._startup):
            return paddle.static.data(name, shape, dtype, lod_level=int(lod))

    def weight(self, values: np.ndarray, name: str | None = None) -> Variable:
        """A parameter with these values, as float32."""
        values = np.asarray(values, np.float32)
        with paddle.static.program_guard(self._main, self._startup):
            attribute = paddle.ParamAttr(
                name=name or generate("weight"),
                initializer=paddle.nn.initializer.Assign(values),
            )
            return paddle.static.create_parameter(list(values.shape), "float32", attr=attribute)

    def add(
        self,
        kind: str,
        inputs: dict[str, Any],
        output: str = "Out",
        *,
        dtype: str = "float32",
        lod: bool = False,
        others: tuple[str, ...] = (),
        name: str | None = None,
        **attributes: Any,
    ) -> Variable:
        """One operator; its output called `output`. `others` are outputs that nobody reads."""
        block = self._main.global_block()
        with paddle.static.program_guard(self._main, self._startup):
            made = {
                each: block.create_var(
                    name=name if name and each == output else generate(kind),
                    dtype=dtype,
                    lod_level=int(lod),
                )
                for each in (output, *others)
            }
            block.append_op(
                type=kind,
                inputs={
                    key: value if isinstance(value, list) else [value]
                    for key, value in inputs.items()
                },
                outputs={key: [value] for key, value in made.items()},
                attrs=attributes,
            )
        return made[output]

    def save(self, directory: Path, feeds: list[Variable], fetches: list[Variable]) -> None:
        """Write `__model__` and `__params__`."""
        directory.mkdir(parents=True, exist_ok=True)
        executor = paddle.static.Executor(paddle.CPUPlace())
        executor.run(self._startup)
        paddle.static.save_inference_model(
            str(directory / "saved"), feeds, fetches, executor, program=self._main
        )
        (directory / "saved.pdmodel").rename(directory / "__model__")
        (directory / "saved.pdiparams").rename(directory / "__params__")
