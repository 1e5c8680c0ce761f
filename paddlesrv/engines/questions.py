"""What candidates of a trial are asked, and how far their answers are from the reference's."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from paddlesrv.engines.base import Engine
from paddlesrv.engines.check_input import check_input
from paddlesrv.engines.trial import Request
from paddlesrv.engines.variants import difference
from paddlesrv.errors import EngineError
from paddlesrv.models.spec import ModelSpec
from paddlesrv.models.tensor import Tensor

Answers = Mapping[str, Tensor]

_SIDES = (96, 224, 320, 640)
"""Pixels of pictures whose size a model leaves open, until one suits it."""
_TIMED_SIDE = 320
_TIMED_STEPS = 32
_ALONE = 3
_SLOW_SECONDS = 0.5
"""A reference that takes longer is asked fewer questions."""


class Questions:
    """What every candidate is asked, what the reference answers, and what they are timed with.

    `together` is all rows of `alone` in one batch; `rows` the batches that the network takes.
    """

    def __init__(
        self,
        alone: Sequence[Answers],
        together: Answers | None,
        timed: Mapping[int, Answers],
        reference: Engine,
    ) -> None:
        self._alone = alone
        self._together = together
        self.timed = timed
        self.rows = tuple(timed)
        self._truth = [reference.run(inputs) for inputs in alone]
        self._whole = reference.run(together) if together is not None else None
        self._large = reference.run(timed[1])
        # A network may mix its rows by itself; what it is made of cannot be blamed for that.
        self._divides = self._whole is not None and _apart(self._whole, self._truth) <= 1e-3

    @classmethod
    def of(cls, spec: ModelSpec, reference: Engine, request: Request) -> Questions:
        """Questions that suit the reference.

        Raises:
            EngineError: it fails on all of them, or answers numbers that are none.
        """
        side, seconds = _suitable(spec, reference)
        count = _ALONE if seconds < _SLOW_SECONDS else 2
        alone = [check_input(spec, side=side, seed=seed) for seed in range(count)]
        timed = {1: _timed(spec, reference, 1, side)}
        together: Answers | None = None
        if len(request.rows) > 1 and _takes_batches(spec):
            together = _joined(alone)
            largest = request.rows[-1]
            try:
                reference.run(together)
                timed[largest] = _timed(spec, reference, largest, side)
            except EngineError:  # its batch is fixed, whatever its shapes say
                together = None
                timed = {1: timed[1]}
        return cls(alone, together, timed, reference)

    def difference(self, engine: Engine) -> float:
        """The largest difference of an engine's answers to the reference's, row by row as well.

        Raises:
            EngineError: it fails on one of them.
        """
        alone = [engine.run(inputs) for inputs in self._alone]
        found = [_differs(mine, its) for mine, its in zip(alone, self._truth, strict=True)]
        found.append(_differs(engine.run(self.timed[1]), self._large))
        if self._together is not None and self._whole is not None:
            whole = engine.run(self._together)
            found.append(_differs(whole, self._whole))
            if self._divides:
                found.append(_apart(whole, alone))
        return max(found)


def _suitable(spec: ModelSpec, reference: Engine) -> tuple[int, float]:
    """The side of pictures that the reference takes, and the seconds of a run with it."""
    failure: EngineError | None = None
    for side in _SIDES:
        inputs = check_input(spec, side=side)
        try:
            reference.run(inputs)
            began = time.perf_counter()
            answers = reference.run(inputs)
        except EngineError as error:
            failure = error
            continue
        if all(_is_finite(tensor) for tensor in answers.values()):
            return side, time.perf_counter() - began
        failure = EngineError("the answers to it are no finite numbers")
    assert failure is not None
    raise failure


def _timed(spec: ModelSpec, reference: Engine, rows: int, side: int) -> Answers:
    """Inputs of a size as serving sees it, or the smaller ones if the network takes no others."""
    larger = check_input(spec, rows, side=max(side, _TIMED_SIDE), steps=_TIMED_STEPS)
    try:
        reference.run(larger)
    except EngineError:
        return check_input(spec, rows, side=side)
    return larger


def _takes_batches(spec: ModelSpec) -> bool:
    return spec.max_batch_size > 1 and all(t.shape and t.shape[0] < 0 for t in spec.inputs)


def _joined(parts: Sequence[Answers]) -> dict[str, Tensor]:
    return {name: Tensor(np.concatenate([part[name].data for part in parts])) for name in parts[0]}


def _apart(whole: Answers, alone: Sequence[Answers]) -> float:
    """A batch's answers against those of its rows alone; infinite if they do not divide."""
    try:
        return _differs(whole, _joined(alone))
    except ValueError:  # no first dimension, or others differ
        return float("inf")


def _differs(found: Answers, expected: Answers) -> float:
    """As `variants.difference`; texts are equal or infinitely different."""
    if found.keys() != expected.keys():
        return float("inf")
    numbers: dict[str, Tensor] = {}
    for name, tensor in expected.items():
        if tensor.data.dtype.kind in "fiub":
            numbers[name] = tensor
        elif not np.array_equal(found[name].data, tensor.data):
            return float("inf")
    return difference({name: found[name] for name in numbers}, numbers)


def _is_finite(tensor: Tensor) -> bool:
    return tensor.data.dtype.kind != "f" or bool(np.isfinite(tensor.data).all())
