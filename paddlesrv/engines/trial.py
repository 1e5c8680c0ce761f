"""The trial behind a choice, seen from outside: what is tried, in processes that may die of it.

`choice_worker` is that process. It says what it is at; a candidate that crashes or hangs it is
left out, and the others are tried anew.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from paddlesrv.engines.base import EngineName
from paddlesrv.engines.candidates import (
    Candidate,
    Evidence,
    Wanted,
    Watch,
    Way,
    engines_for,
    pick,
)
from paddlesrv.engines.conversion import converted
from paddlesrv.engines.devices import Machine
from paddlesrv.engines.files import checked_files
from paddlesrv.errors import PaddlesrvError
from paddlesrv.isolated import Ended, run_isolated
from paddlesrv.models.spec import ModelSpec

SERVING_ROWS = 8
"""No larger batch is measured: what is won with more rows is won with so many."""
MEASURING_SECONDS = 6.0
_LEAST_SECONDS = 5.0
"""An engine is not even imported in less."""


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What a trial comes to; see `choice.Choice`.

    `final` tells whether there is nothing more to find out; `needless` that this is so without any
    trial, and no record is needed to know it again.
    """

    way: Way
    why: str
    usual: Way | None = None
    rows: tuple[int, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    final: bool = True
    needless: bool = False


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker is asked to try. The first candidate is the reference of the others."""

    spec: ModelSpec
    root: str
    converted: str
    candidates: tuple[Candidate, ...]
    wanted: Wanted
    rows: tuple[int, ...]
    tolerance: float
    seconds: float
    report: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How far the worker came; written anew at each step.

    `current` is what it is at. `unsuited`: the reference itself fails on every check input.
    """

    current: Candidate | None = None
    evidence: tuple[Evidence, ...] = ()
    usual: Way | None = None
    rows: tuple[int, ...] = ()
    unsuited: str | None = None
    done: bool = False


def settle(
    spec: ModelSpec,
    root: Path,
    wanted: Wanted,
    machine: Machine,
    cache_dir: Path,
    limit_seconds: float,
    tolerance: float,
    watch: Watch,
) -> Decided:
    """Decide how a model is run, by a trial where there is something to try.

    Raises:
        IntegrityError: a file of the model is missing or damaged.
    """
    engines = engines_for(spec, wanted.device, wanted.precision, machine)
    own: EngineName = "onnxruntime" if spec.format == "onnx" else "paddle"
    usual = Way(Candidate(engines[0] if engines else own), wanted.thread_counts[0])
    if any(tensor.lod_level for tensor in (*spec.inputs, *spec.outputs)):
        return Decided(way=usual, why="only paddle knows sequences of rows (LoD)", needless=True)
    if usual.candidate.engine != own or not engines:
        return Decided(
            way=usual, why=f"{own} does not compute in {wanted.precision} there", final=False
        )
    if len(engines) == 1:
        why = f"no other engine here computes in {wanted.precision} there"
        return Decided(way=usual, why=why, needless=True)
    if limit_seconds <= 0:
        return Decided(way=usual, why="nothing was tried", final=False)
    files = checked_files(spec, root)
    if any(t.lod_level for t in (*files.signature.inputs, *files.signature.outputs)):
        return Decided(way=usual, why="only paddle knows sequences of rows (LoD)")
    found = _candidates(spec, files.program, engines, wanted)
    trial = _Trial(spec, root, wanted, cache_dir, tolerance, limit_seconds, watch)
    return trial.run(found, usual)


def _candidates(
    spec: ModelSpec, program: Path, engines: Sequence[EngineName], wanted: Wanted
) -> list[Candidate]:
    """Every candidate, the reference first."""
    from paddlesrv.engines.variants import candidates as variants

    found: list[Candidate] = []
    for engine in engines:
        if engine != "paddle" or wanted.device.kind == "gpu" or wanted.precision != "fp32":
            found.append(Candidate(engine))
        else:
            *fast, plain = variants(spec.format, program.read_bytes())
            found += [Candidate("paddle", variant.name) for variant in (plain, *fast)]
    return found


class _Trial:
    """One trial of a model within its time."""

    def __init__(
        self,
        spec: ModelSpec,
        root: Path,
        wanted: Wanted,
        cache_dir: Path,
        tolerance: float,
        limit_seconds: float,
        watch: Watch,
    ) -> None:
        self._spec = spec
        self._root = root
        self._wanted = wanted
        self._converted = cache_dir / "converted"
        self._tolerance = tolerance
        self._deadline = time.monotonic() + limit_seconds
        self._watch = watch
        self._refused: dict[Candidate, str] = {}

    def run(self, candidates: list[Candidate], usual: Way) -> Decided:
        """Try them; `usual` is taken where nothing comes of it."""
        self._convert(candidates)
        left = [each for each in candidates if each not in self._refused]
        if len({each.engine for each in left}) == 1:
            why = "; ".join(dict.fromkeys(self._refused.values()))
            return Decided(way=usual, why=why, evidence=self._evidence(candidates, Report()))
        report = self._report(left)
        evidence = self._evidence(candidates, report)
        if report.unsuited is not None:
            why = (
                f"no check input suits it, and so no other engine can be trusted: {report.unsuited}"
            )
            return Decided(way=usual, why=why, evidence=evidence)
        if report.usual is None:
            why = "there was nothing to hold other engines against"
            return Decided(way=usual, why=why, evidence=evidence)
        way, why = pick(evidence, report.usual, report.rows)
        return Decided(way=way, why=why, usual=report.usual, rows=report.rows, evidence=evidence)

    def _convert(self, candidates: list[Candidate]) -> None:
        """Have the ONNX form made that some of them read, or refuse these."""
        if self._spec.format == "onnx":
            return
        readers = [each for each in candidates if each.engine != "paddle"]
        if not readers:
            return
        self._watch("converting it to ONNX")
        try:
            converted(self._spec, self._root, self._converted, self._left())
        except PaddlesrvError as error:
            details = error.context.get("why") or error.context.get("difference")
            why = f"{error.message}: {details}" if details else error.message
        except OSError as error:
            why = f"the store takes no converted network: {error.strerror or error}"
        else:
            return
        self._refused |= dict.fromkeys(readers, why)

    def _report(self, candidates: list[Candidate]) -> Report:
        """What the worker found out about those that it outlives."""
        last = Report()
        while candidates and self._left() > _LEAST_SECONDS:
            self._watch(f"comparing {', '.join(dict.fromkeys(c.engine for c in candidates))}")
            report, ended = self._ask(candidates)
            if report.done or report.current is None:
                return report
            last, culprit = report, report.current
            self._refused[culprit] = _how(ended, report)
            if ended.status is None or culprit == candidates[0]:
                break
            candidates = [each for each in candidates if each != culprit]
        return last

    def _ask(self, candidates: Sequence[Candidate]) -> tuple[Report, Ended]:
        rows = min(self._wanted.rows, SERVING_ROWS)
        with tempfile.TemporaryDirectory(prefix="paddlesrv-choice-") as scratch:
            path = Path(scratch) / "report.json"
            request = Request(
                spec=self._spec,
                root=str(self._root.resolve()),
                converted=str(self._converted.resolve()),
                candidates=tuple(candidates),
                wanted=self._wanted,
                rows=(1, rows) if rows > 1 else (1,),
                tolerance=self._tolerance,
                seconds=min(MEASURING_SECONDS, self._left() / 3),
                report=str(path),
            )
            ended = run_isolated("paddlesrv.engines.choice_worker", request, self._left())
            try:
                return msgspec.json.decode(path.read_bytes(), type=Report), ended
            except (OSError, msgspec.MsgspecError):  # it died before it could say anything
                return Report(), ended

    def _evidence(self, candidates: Sequence[Candidate], report: Report) -> tuple[Evidence, ...]:
        found = {each.candidate: each for each in report.evidence}
        for candidate, why in self._refused.items():
            known = found.get(candidate, Evidence(candidate=candidate))
            found[candidate] = msgspec.structs.replace(known, refused=why)
        return tuple(found[each] for each in candidates if each in found)

    def _left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())


def _how(ended: Ended, report: Report) -> str:
    if ended.status is None:
        return "the trial's time was up while it ran"
    if ended.status < 0:
        return f"its process was {ended.how}"
    lines = [line.strip() for line in ended.tail.splitlines() if line.strip()]
    return f"its process {ended.how}" + (f": {lines[-1][:200]}" if lines else "")
