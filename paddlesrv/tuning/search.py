"""The search for the best way to serve one network: trials beside what is served now.

The machine is never quiet, and a minute later it may be slower. So nothing is compared with what
was measured at another time: each candidate's figure is its ratio to that of the default, measured
right before and right after it, and the last one has to win a duel against the default, in turns,
by more than the default differs from itself.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Protocol

import msgspec

from paddlesrv.errors import PaddlesrvError
from paddlesrv.tuning.candidates import Candidate, delayed
from paddlesrv.tuning.halving import Halving, Rung
from paddlesrv.tuning.measured import Measured, Row, Wishes

NOISE = 0.05
"""Least share by which a winner must be better; more where the default itself varies more."""
TIE = 0.02
"""Candidates that differ by less are equal, and the simpler one goes on."""
LEAST_SECONDS = 0.25
"""Of one measurement."""
FIRST_SHARE, HALVING_SHARE, DELAY_SHARE = 0.1, 0.7, 0.4
"""Of the budget; of what is left; of what is left then. The duel has the rest."""
FIRST_MOST_SECONDS = 5.0
DUEL_ROUNDS = 5


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict.

    `best` is the default itself where nothing beats it, and None if all break the limit.

    `gain` is the ratio of the best to the default in the duel, `noise` the share by which the
    default differed from itself.
    """

    default: Candidate
    best: Candidate | None
    gain: float = 1.0
    noise: float = 0.0
    why: str
    table: tuple[Row, ...]
    left_out: int = 0
    seconds: float


class Bench(Protocol):
    """Where a candidate is served and measured: `trial.Stand`."""

    async def load(self, candidate: Candidate) -> None:
        """Serve it from now on."""

    async def measure(self, candidate: Candidate, seconds: float) -> Measured:
        """Serve it, and measure it for so long."""

    async def close(self) -> None:
        """End all of it."""


class Watch(Protocol):
    """Who is told how the search goes."""

    def begin(self, title: str, share: float) -> None:
        """A step begins, when this share of the budget is used."""

    def row(self, row: Row, share: float) -> None:
        """A candidate was measured."""


@dataclass
class _Standing:
    """What a candidate has shown so far."""

    measured: list[Measured] = field(default_factory=list)
    ratio: float | None = None
    refused: str | None = None


class Search:
    """One search.

    Args:
        candidates: What there is, the default first.
        wishes: What is wanted.
        budget: Seconds for all of it, once the default is loaded.
        make: Makes a bench; two are used at a time.
        watch: Who is told.
        clock: Seconds that pass.
        networks: How many are tuned, each with as much time, for hints.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        wishes: Wishes,
        budget: float,
        make: Callable[[], Bench],
        watch: Watch,
        clock: Callable[[], float] = time.monotonic,
        networks: int = 1,
    ) -> None:
        self._candidates = candidates
        self._default = candidates[0]
        self._wishes = wishes
        self._budget = budget
        self._make = make
        self._watch = watch
        self._clock = clock
        self._networks = networks
        self._began = clock()
        self._standings: dict[Candidate, _Standing] = {}
        self._least = LEAST_SECONDS
        self._load_seconds = 0.0
        self._left_out = 0

    async def run(self) -> Found:
        """Search, and end everything that was started for it.

        Raises:
            PaddlesrvError: the default itself does not load or answer, or the budget is too small
                to measure anything.
        """
        incumbent = self._make()
        challenger: Bench | None = None
        try:
            await self._first(incumbent)
            challenger = self._make()
            return await self._search(incumbent, challenger)
        finally:
            await incumbent.close()
            if challenger is not None:
                await challenger.close()

    async def _first(self, incumbent: Bench) -> None:
        """Learn from the default how long anything takes here."""
        self._watch.begin("what is served now", self._share)
        await incumbent.load(self._default)
        self._load_seconds = self._spent
        self._began = self._clock()  # a machine that loads slowly has as much time to search
        seconds = min(FIRST_MOST_SECONDS, self._budget * FIRST_SHARE)
        measured = await incumbent.measure(self._default, seconds)
        self._note(self._default, measured)
        self._standing(self._default).ratio = 1.0
        self._tell(self._default)
        # A few answers at least, and more time than one caller waits.
        self._least = max(LEAST_SECONDS, 1.5e-3 * measured.p50_ms, 3 / measured.rate)
        if self._left < 4 * self._least:
            enough = (self._spent + 20 * self._least) * self._networks
            each = " for each of its networks" if self._networks > 1 else ""
            raise PaddlesrvError(
                f"{self._budget:.3g} s{each} are too few: "
                f"one answer takes {measured.p50_ms / 1e3:.2g} s",
                hints=[f"give it more: --budget {math.ceil(enough)}"],
            )

    async def _search(self, incumbent: Bench, challenger: Bench) -> Found:
        best = await self._halve(
            self._candidates, self._left * HALVING_SHARE, incumbent, challenger
        )
        if best is not None and self._grows(best) and self._wishes.objective == "throughput":
            later = (best, *delayed(best, self._wishes.concurrency))
            if len(later) > 1 and self._left > 8 * self._least:
                chosen = await self._halve(later, self._left * DELAY_SHARE, incumbent, challenger)
                best = chosen or best
        if best is None and self._standing(self._default).refused is None:
            best = self._default  # who had beaten it failed later on
        if best is None:
            limit = self._wishes.limit_ms
            return self._found(None, f"nothing answers within {limit:g} ms at the 99th percentile")
        if best == self._default:
            return self._found(best, "nothing is better than what is served now")
        return await self._duel(best, incumbent, challenger)

    # -- halving -----------------------------------------------------------------------------

    async def _halve(
        self, candidates: Sequence[Candidate], budget: float, incumbent: Bench, challenger: Bench
    ) -> Candidate | None:
        groups = len({each.deployment for each in candidates})
        share = (self._load_seconds + self._least) * groups / len(candidates)
        halving = Halving(
            candidates,
            budget,
            weight=lambda each: (each != self._default, each.weight),
            tie=TIE,
            least=self._least + share,
        )
        self._left_out += len(halving.left_out)
        end = self._clock() + budget
        while (rung := halving.rung()) is not None:
            title = f"round {rung.number} of {rung.of}: {len(rung.members)} candidates"
            self._watch.begin(title, self._share)
            began = self._clock()
            await self._rung(rung, end, incumbent, challenger)
            scores = {
                each: standing.ratio
                for each in rung.members
                if (standing := self._standing(each)).refused is None
            }
            halving.take(scores, spent=self._clock() - began)
        return halving.best

    async def _rung(
        self, rung: Rung[Candidate], end: float, incumbent: Bench, challenger: Bench
    ) -> None:
        """Measure every member between two measurements of the default."""
        groups: dict[Candidate, list[Candidate]] = {}
        for each in rung.members:
            if each != self._default:
                groups.setdefault(each.deployment, []).append(each)
        before: Measured | None = None
        for members in groups.values():
            if self._clock() >= end:
                break  # who was not measured now keeps what it has shown before, if anything
            began = self._clock()
            try:
                await challenger.load(members[0])
            except PaddlesrvError as error:
                for each in members:
                    self._refuse(each, error.message)
                continue
            took = self._clock() - began
            self._load_seconds = min(self._load_seconds, took) if took > 0 else self._load_seconds
            whole = rung.seconds * len(members) - took
            each_seconds = max(self._least, whole / (len(members) + 1))
            if before is None:
                before = await incumbent.measure(self._default, each_seconds)
                self._note(self._default, before)
            found = [
                (each, measured)
                for each in members
                if (measured := await self._try(each, each_seconds, challenger)) is not None
            ]
            after = await incumbent.measure(self._default, each_seconds)
            self._note(self._default, after)
            base = (self._wishes.value(before) + self._wishes.value(after)) / 2
            for each, measured in found:
                self._standing(each).ratio = self._wishes.value(measured) / base
                self._tell(each)
            before = after
        if self._default in rung.members and not self._wishes.within(self._summary(self._default)):
            self._refuse(self._default, self._too_slow(self._summary(self._default)))

    async def _try(self, each: Candidate, seconds: float, bench: Bench) -> Measured | None:
        try:
            measured = await bench.measure(each, seconds)
        except PaddlesrvError as error:
            self._refuse(each, error.message)
            return None
        self._note(each, measured)
        if not self._wishes.within(measured):
            self._refuse(each, self._too_slow(measured))
            return None
        return measured

    # -- the duel ----------------------------------------------------------------------------

    async def _duel(self, best: Candidate, incumbent: Bench, challenger: Bench) -> Found:
        """The winner against the default, in turns."""
        self._watch.begin(f"{best} against what is served now", self._share)
        valid = self._standing(self._default).refused is None
        defaults: list[Measured] = []
        ratios: list[float] = []
        p99: list[float] = []
        try:
            await challenger.load(best)
            seconds = max(self._least, self._left / (2 * DUEL_ROUNDS))
            for number in range(DUEL_ROUNDS):
                if number > 1 and self._left <= 0:
                    break
                mine = await incumbent.measure(self._default, seconds)
                its = await challenger.measure(best, seconds)
                self._note(self._default, mine)
                self._note(best, its)
                defaults.append(mine)
                ratios.append(self._wishes.value(its) / self._wishes.value(mine))
                p99.append(its.p99_ms)
        except PaddlesrvError as error:
            self._refuse(best, error.message)
            return self._found(self._default if valid else None, f"it failed: {error.message}")
        gain, noise = median(ratios), self._noise(defaults)
        self._standing(best).ratio = gain
        self._tell(best)
        if self._wishes.limit_ms is not None and median(p99) > self._wishes.limit_ms:
            self._refuse(best, f"p99 {median(p99):.1f} ms once it was measured longer")
            why = "what was faster did not keep within the limit once it was measured longer"
            return self._found(self._default if valid else None, why, noise=noise)
        if valid and gain <= 1 + noise:
            why = (
                f"the best of the others is {gain:.2f} times what is served now, "
                f"which is no more than noise ({noise:.0%})"
            )
            return self._found(self._default, why, noise=noise)
        why = f"{gain:.2f} times what is served now, noise {noise:.0%}"
        if not valid:
            why = f"it keeps within the limit, which what is served now does not; {why}"
        return self._found(best, why, gain, noise)

    def _noise(self, defaults: Sequence[Measured]) -> float:
        """What counts as equal: twice what the default differs by between neighbouring rounds."""
        values = [self._wishes.value(each) for each in defaults]
        steps = [abs(after / before - 1) for before, after in pairwise(values)]
        return max(NOISE, 2 * median(steps)) if steps else NOISE

    # -- the books ---------------------------------------------------------------------------

    @property
    def _spent(self) -> float:
        return self._clock() - self._began

    @property
    def _left(self) -> float:
        return self._budget - self._spent

    @property
    def _share(self) -> float:
        return min(1.0, self._spent / self._budget)

    def _standing(self, each: Candidate) -> _Standing:
        return self._standings.setdefault(each, _Standing())

    def _note(self, each: Candidate, measured: Measured) -> None:
        self._standing(each).measured.append(measured)

    def _refuse(self, each: Candidate, why: str) -> None:
        self._standing(each).refused = why
        self._tell(each)

    def _too_slow(self, measured: Measured) -> str:
        return f"p99 {measured.p99_ms:.1f} ms, above {self._wishes.limit_ms:g}"

    def _tell(self, each: Candidate) -> None:
        self._watch.row(self._row(each), self._share)

    def _grows(self, each: Candidate) -> bool:
        """Whether its batches were not full."""
        standing = self._standing(each)
        return bool(standing.measured) and (
            self._summary(each).average_batch < 0.9 * each.max_batch_size
        )

    def _summary(self, each: Candidate) -> Measured:
        found = self._standing(each).measured
        seconds = sum(one.seconds for one in found)
        requests = sum(one.requests for one in found)
        return Measured(
            requests=requests,
            seconds=seconds,
            rate=requests / seconds,
            p50_ms=median(one.p50_ms for one in found),
            p99_ms=median(one.p99_ms for one in found),
            average_batch=sum(one.average_batch * one.requests for one in found) / requests,
        )

    def _row(self, each: Candidate) -> Row:
        standing = self._standing(each)
        if not standing.measured:
            return Row(candidate=each, refused=standing.refused)
        summary = self._summary(each)
        return Row(
            candidate=each,
            rounds=len(standing.measured),
            rate=summary.rate,
            p50_ms=summary.p50_ms,
            p99_ms=summary.p99_ms,
            average_batch=summary.average_batch,
            ratio=standing.ratio,
            refused=standing.refused,
        )

    def _found(
        self, best: Candidate | None, why: str, gain: float = 1.0, noise: float = 0.0
    ) -> Found:
        rows = [self._row(each) for each in self._standings]
        rows.sort(key=lambda row: (row.refused is not None, -(row.ratio or 0.0)))
        if best is not None:  # it is the first, whatever was measured of others for a moment
            rows.sort(key=lambda row: row.candidate != best)
        return Found(
            default=self._default,
            best=best,
            gain=gain,
            noise=noise,
            why=why,
            table=tuple(rows),
            left_out=self._left_out,
            seconds=self._spent,
        )
