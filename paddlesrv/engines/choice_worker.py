"""The process of a trial: loads candidates, compares their answers, times them in turns.

Reads a `trial.Request` from standard input, and writes a `trial.Report` to the file that it names,
at every step: what is written when it dies is what is known.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from paddlesrv.engines import load_engine
from paddlesrv.engines.base import Engine, EngineOptions
from paddlesrv.engines.candidates import Candidate, Evidence, Timing, Way, pick
from paddlesrv.engines.questions import Answers, Questions
from paddlesrv.engines.trial import Report, Request
from paddlesrv.errors import PaddlesrvError
from paddlesrv.isolated import die_with

_HOPELESS = 3.0
"""A candidate that takes so many times as long as the fastest is not timed again."""
_SMALL_SECONDS = 0.02
"""Only networks that run in less may gain from fewer threads than there are."""
_ROUNDS = (3, 9)
_DUEL_SHARE = 0.5
_SAMPLE_SECONDS = 0.03
_SPIN_SECONDS = 0.2
"""So long OpenMP's threads keep cores busy after a run of paddle's (KMP_BLOCKTIME's default)."""


def main() -> None:
    """Do what standard input asks."""
    die_with(int(sys.argv[1]))
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    trial = _Trial(request)
    if trial.compare():
        trial.measure()
    trial.end()


class _Runner:
    """A loaded candidate with its number of threads, and the seconds of its samples by rows."""

    def __init__(self, candidate: Candidate, threads: int, engine: Engine) -> None:
        self.way = Way(candidate, threads)
        self.engine = engine
        self.first: dict[int, float] = {}
        self.samples: dict[int, list[float]] = {}

    def look(self, rows: int, inputs: Answers) -> float:
        """The seconds of a second run, the first one being for preparations."""
        self.engine.run(inputs)
        self.first[rows] = self._run(inputs, 1)
        return self.first[rows]

    def sample(self, rows: int, inputs: Answers) -> None:
        """The mean of as many runs as a clock can tell apart, after one to get warm."""
        runs = min(200, max(1, math.ceil(_SAMPLE_SECONDS / max(self.first[rows], 1e-6))))
        self.engine.run(inputs)
        self.samples.setdefault(rows, []).append(self._run(inputs, runs))

    def timings(self) -> list[Timing]:
        """The median of each batch's samples, or the first look at it."""
        return [
            Timing(
                threads=self.way.threads,
                rows=rows,
                seconds=statistics.median(self.samples.get(rows) or [first]),
                rounds=len(self.samples.get(rows, ())) or 1,
            )
            for rows, first in self.first.items()
        ]

    def _run(self, inputs: Answers, runs: int) -> float:
        began = time.perf_counter()
        for _ in range(runs):
            self.engine.run(inputs)
        return (time.perf_counter() - began) / runs


class _Trial:
    """The steps of one trial, and what they found so far."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._spec = request.spec
        self._threads = request.wanted.thread_counts
        self._report = Report(rows=request.rows)
        self._found: dict[Candidate, Evidence] = {}
        self._runners: list[_Runner] = []
        self._questions: Questions | None = None

    def compare(self) -> bool:
        """Ask every candidate the same; whether there is one to be trusted."""
        for candidate in self._request.candidates:
            if self._is_needless(candidate):
                continue
            self._at(candidate)
            try:
                engine = self._load(candidate, self._threads[0])
                if self._questions is None:
                    self._questions = Questions.of(self._spec, engine, self._request)
                found = self._questions.difference(engine)
            except PaddlesrvError as error:
                self._note(Evidence(candidate=candidate, refused=error.message))
                if self._questions is None:
                    self._say(unsuited=error.message)
                    return False
                continue
            self._judge(candidate, found)
            if self._found[candidate].refused is None:
                self._runners.append(_Runner(candidate, self._threads[0], engine))
            else:
                engine.close()
        assert self._questions is not None
        self._say(usual=self._usual(), rows=self._questions.rows)
        return True

    def measure(self) -> None:
        """Time those that agree: all a little, the fast ones well."""
        assert self._questions is not None
        inputs = self._questions.timed
        usual = self._usual()
        self._look(self._runners, 1)
        self._drop_hopeless(usual, 1)
        if len(self._threads) > 1 and min(r.first[1] for r in self._runners) < _SMALL_SECONDS:
            self._look(self._with_fewer_threads(), 1)
            self._drop_hopeless(usual, 1)
        for rows in self._questions.rows[1:]:
            self._look(self._runners, rows)
        for rows in self._questions.rows:
            self._sample(rows, inputs[rows], self._request.seconds / len(self._questions.rows))
        self._duel(usual)

    def _duel(self, usual: Way) -> None:
        """Time the best once more, against the usual way alone.

        The best of many was lucky as well as fast; what counts is what it does when it is not
        chosen for its figures.
        """
        assert self._questions is not None
        rows = self._questions.rows
        best, _ = pick(tuple(self._found.values()), usual, rows)
        if best == usual:
            return
        self._runners = [runner for runner in self._runners if runner.way in (best, usual)]
        for runner in self._runners:
            runner.samples.clear()
        for count in rows:
            seconds = _DUEL_SHARE * self._request.seconds / len(rows)
            self._sample(count, self._questions.timed[count], seconds)

    def end(self) -> None:
        """All is said."""
        self._say(current=None, done=True)

    def _is_needless(self, candidate: Candidate) -> bool:
        """Whether it is only for the case that another of paddle's variants is wrong."""
        first = self._request.candidates[0]
        return candidate.engine == "paddle" and any(
            runner.way.candidate.engine == "paddle" and runner.way.candidate != first
            for runner in self._runners
        )

    def _usual(self) -> Way:
        """What paddle would run by itself; the only engine's only way else."""
        first = self._request.candidates[0]
        found = [runner.way for runner in self._runners]
        fast = [w for w in found if w.candidate.engine == "paddle" and w.candidate != first]
        return (fast or [Way(first, self._threads[0])])[0]

    def _load(self, candidate: Candidate, threads: int) -> Engine:
        wanted = self._request.wanted
        options = EngineOptions(
            engine=candidate.engine,
            device=wanted.device,
            precision=wanted.precision,
            threads=threads,
            variant=candidate.variant,
        )
        converted = Path(self._request.converted)
        return load_engine(self._spec, Path(self._request.root), options, cache_dir=converted)

    def _judge(self, candidate: Candidate, found: float) -> None:
        refused = None
        if not found <= self._request.tolerance:
            refused = f"it answers differently than {self._request.candidates[0]}"
        known = found if math.isfinite(found) else None
        self._note(Evidence(candidate=candidate, refused=refused, difference=known))

    def _with_fewer_threads(self) -> list[_Runner]:
        assert self._questions is not None
        more = []
        for runner in list(self._runners):
            candidate = runner.way.candidate
            self._at(candidate)
            for threads in self._threads[1:]:
                engine = self._load(candidate, threads)
                if self._questions.difference(engine) <= self._request.tolerance:
                    more.append(_Runner(candidate, threads, engine))
        self._runners += more
        return more

    def _look(self, runners: Sequence[_Runner], rows: int) -> None:
        assert self._questions is not None
        for runner in runners:
            self._at(runner.way.candidate)
            runner.look(rows, self._questions.timed[rows])
            self._settle(runner)
        self._note_timings()

    def _drop_hopeless(self, usual: Way, rows: int) -> None:
        best = min(runner.first[rows] for runner in self._runners)
        for runner in list(self._runners):
            if runner.first[rows] > _HOPELESS * best and runner.way != usual:
                self._runners.remove(runner)
                runner.engine.close()

    def _sample(self, rows: int, inputs: Answers, seconds: float) -> None:
        least, most = _ROUNDS
        until = time.perf_counter() + seconds
        for number in range(most):
            if number >= least and time.perf_counter() > until:
                break
            turn = number % len(self._runners)
            for runner in (*self._runners[turn:], *self._runners[:turn]):
                self._at(runner.way.candidate, write=number == 0)
                runner.sample(rows, inputs)
                self._settle(runner)
            self._note_timings()

    def _settle(self, runner: _Runner) -> None:
        if runner.way.candidate.engine == "paddle" and runner.way.threads > 1:
            time.sleep(_SPIN_SECONDS)

    def _note_timings(self) -> None:
        timed: dict[Candidate, dict[tuple[int, int], Timing]] = {}
        for runner in self._runners:
            known = timed.setdefault(runner.way.candidate, {})
            for old in self._found[runner.way.candidate].timings:
                known.setdefault((old.threads, old.rows), old)
            known |= {(t.threads, t.rows): t for t in runner.timings()}
        for candidate, known in timed.items():
            self._found[candidate] = msgspec.structs.replace(
                self._found[candidate], timings=tuple(known.values())
            )
        self._say()

    def _note(self, evidence: Evidence) -> None:
        self._found[evidence.candidate] = evidence
        self._say()

    def _at(self, candidate: Candidate, *, write: bool = True) -> None:
        if write:
            self._say(current=candidate)

    def _say(self, **changed: object) -> None:
        evidence = tuple(self._found.values())
        self._report = msgspec.structs.replace(self._report, evidence=evidence, **changed)
        path = Path(self._request.report)
        partial = path.with_suffix(".part")
        partial.write_bytes(msgspec.json.encode(self._report))
        partial.replace(path)


if __name__ == "__main__":
    main()
