"""Successive halving: all candidates get a little time, the better ones more, until one is left.

After Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
Optimization" (AISTATS 2016), which halves; here a third stays, so that there are fewer rungs. Pure:
who measures asks for a `rung`, measures, and gives the scores back.

    halving = Halving(candidates, budget=60, weight=...)
    while (rung := halving.rung()) is not None:
        halving.take({c: measure(c, rung.seconds) for c in rung.members})
    halving.best
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

C = TypeVar("C", bound=Hashable)

KEPT = 3
"""One of so many goes on."""


@dataclass(frozen=True)
class Rung(Generic[C]):
    """One round: who is measured, and how many seconds each may take, all costs included."""

    number: int
    of: int
    members: tuple[C, ...]
    seconds: float


class Halving(Generic[C]):
    """One search.

    Args:
        candidates: What there is, the most promising first.
        budget: Seconds in all; what is handed out never adds up to more.
        weight: What decides between equal scores: the least wins.
        tie: Scores at the end are equal when they differ by less than this share.
        least: Seconds below which a measurement says nothing; where the budget does not give every
            candidate so much, the last ones are left out.

    Raises:
        ValueError: there is no candidate, or no budget.
    """

    def __init__(
        self,
        candidates: Sequence[C],
        budget: float,
        *,
        weight: Callable[[C], Any],
        tie: float = 0.0,
        least: float = 0.0,
    ) -> None:
        if not candidates or budget <= 0:
            raise ValueError("halving needs candidates and a budget")
        self._weight = weight
        self._tie = tie
        self._left = budget
        members = tuple(dict.fromkeys(candidates))
        count = len(members)
        while count > 1 and budget / (rungs(count) * count) < least:
            count -= 1
        self.left_out = members[count:]
        self._members = members[:count]
        self._rungs = rungs(count)
        self._number = 0
        self._open: Rung[C] | None = None
        self.best: C | None = None
        """Who is left at the end; None if nobody is."""

    def rung(self) -> Rung[C] | None:
        """What is to be measured next; None when it is decided."""
        if self._open is None and self._members and self._number < self._rungs:
            self._number += 1
            share = self._left / (self._rungs - self._number + 1)
            self._open = Rung(self._number, self._rungs, self._members, share / len(self._members))
        return self._open

    def take(self, scores: Mapping[C, float | None], spent: float | None = None) -> None:
        """What came of a rung.

        Args:
            scores: More is better. None, or no entry, drops a candidate: it failed.
            spent: Seconds that it took in fact; what was not used is for the next ones.
        """
        rung = self._open
        assert rung is not None, "there is a rung that was asked for"
        self._open = None
        allotted = rung.seconds * len(rung.members)
        self._left = max(0.0, self._left - (allotted if spent is None else spent))
        valid = [
            (score, member)
            for member in rung.members
            if (score := scores.get(member)) is not None and math.isfinite(score)
        ]
        valid.sort(key=lambda pair: (-pair[0], self._weight(pair[1])))
        if rung.number < rung.of and self._left > 0 and len(valid) > 1:
            self._members = tuple(c for _, c in valid[: math.ceil(len(rung.members) / KEPT)])
            return
        self._members = ()
        if valid:
            top = valid[0][0]
            equal = [member for score, member in valid if score >= top - abs(top) * self._tie]
            self.best = min(equal, key=self._weight)


def rungs(count: int) -> int:
    """Rounds until one of so many is left; one measures even a single one."""
    number = 1
    while count > KEPT:
        count = math.ceil(count / KEPT)
        number += 1
    return number
