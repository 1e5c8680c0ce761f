"""A model is tuned network by network, each beside what was found for those before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import pytest

from paddlesrv.engines import candidates as found
from paddlesrv.engines.base import EngineOptions
from paddlesrv.engines.candidates import Evidence, Timing, Wanted
from paddlesrv.engines.choice import Choice
from paddlesrv.engines.choice import Place as ChoicePlace
from paddlesrv.server.config import ModelConfig
from paddlesrv.server.deciding import Decisions
from paddlesrv.server.local_model import LocalModel
from paddlesrv.tuning import record as records
from paddlesrv.tuning.candidates import Candidate, Way
from paddlesrv.tuning.engines import ways
from paddlesrv.tuning.measured import Wishes
from paddlesrv.tuning.record import Place, keep, recall, recorded
from paddlesrv.tuning.search import Bench, Found
from paddlesrv.tuning.trial import Load
from paddlesrv.tuning.tuner import Plan, plan, tune, write
from tests.unit.tuning.bench import Seen, World
from tests.unit.tuning.records import MACHINE, OTHERS, model, record

DETECTOR, READER = model("detector", "3"), model("reader", "4")
WHOLE = model("whole", format="pipeline", program=None, digests={})
PLANNED = [(ModelConfig(name=each.spec.name), each) for each in (DETECTOR, READER, WHOLE)]
OPTIONS = EngineOptions(engine="paddle", threads=4, variant="onednn")
DECIDED = Decisions(options={name: OPTIONS for name in ("detector", "reader", "whole")})
WISHES = Wishes(concurrency=4)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "describe", lambda: MACHINE)


def evidence(engine: str, variant: str | None = None, **more: object) -> Evidence:
    timings = (Timing(threads=1, rows=1, seconds=1.0),)
    values = {"candidate": found.Candidate(engine, variant), "timings": timings}  # type: ignore[arg-type]
    return Evidence(**(values | more))  # type: ignore[arg-type]


def test_what_answers_right_and_was_timed_may_be_tried_and_what_runs_now_comes_first() -> None:
    choice = Choice(
        model="detector",
        engine="paddle",
        variant="onednn",
        threads=4,
        why="",
        wanted=Wanted(),
        place=ChoicePlace(cpu="a CPU", cores=4),
        evidence=(
            evidence("paddle", "plain", timings=()),
            evidence("paddle", "onednn"),
            evidence("onnxruntime"),
            evidence("openvino", refused="it answers differently"),
        ),
        when=datetime.now(timezone.utc),
    )
    decided = Decisions(options=DECIDED.options, choices={"detector": choice})
    assert ways(decided, "detector") == (Way("paddle", "onednn"), Way("onnxruntime"))
    assert ways(decided, "reader") == (Way("paddle", "onednn"),)


def test_networks_are_planned_and_pipelines_are_not() -> None:
    plans = plan(PLANNED, DECIDED, WISHES, cores=4)
    assert [each.model.spec.name for each in plans] == ["detector", "reader"]
    for each in plans:
        default = each.candidates[0]
        assert (default.engine, default.variant, default.threads) == ("paddle", "onednn", 4)
        assert default.max_batch_size == each.model.spec.max_batch_size
        assert all(c.threads * c.instances <= 4 for c in each.candidates)


@dataclass
class Benches:
    """Who makes benches, and remembers what stood beside what was tried."""

    world: World
    made: list[tuple[str, dict[str, Candidate]]] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)

    def __call__(self, load: Load, network: str, fixed: Mapping[str, Candidate]) -> Bench:
        self.loads.append(load)
        self.made.append((network, dict(fixed)))
        return self.world.bench()


def test_the_second_network_is_tried_with_what_was_found_for_the_first() -> None:
    benches = Benches(World(lambda each: 300.0 if each.instances == 2 else 100.0))
    plans = plan(PLANNED, DECIDED, WISHES, cores=4)
    verdicts = tune(PLANNED, DECIDED, plans, WISHES, 60.0, lambda each: Seen(), make=benches)
    best = {each.model.spec.name: verdict.best for each, verdict in verdicts}
    assert {c.instances for c in best.values() if c is not None} == {2}
    assert [name for name, _ in benches.made] == ["detector", "detector", "reader", "reader"]
    assert benches.made[0][1] == {}
    assert benches.made[2][1] == {"detector": best["detector"]}
    assert {(load.target, load.concurrency) for load in benches.loads} == {("whole", 4)}
    assert benches.world.open == 0


def verdict(best: Candidate | None, of: Plan) -> Found:
    return Found(default=of.candidates[0], best=best, gain=2.0, why="why", table=(), seconds=1.0)


def only(of: LocalModel) -> Plan:
    (made,) = plan([(ModelConfig(name=of.spec.name), of)], DECIDED, WISHES, cores=4)
    return made


def test_a_winner_is_written_down(tmp_path: Path) -> None:
    each = only(READER)
    best = each.candidates[1]
    path = write(each, verdict(best, each), WISHES, "whole", tmp_path)
    assert path is not None
    assert path.is_file()
    written = recall(READER, tmp_path)
    assert written is not None
    assert (written.chosen, written.default, written.target) == (best, each.candidates[0], "whole")
    assert (written.wishes, written.gain) == (WISHES, 2.0)


def test_where_the_default_stays_the_earlier_record_of_this_machine_goes(tmp_path: Path) -> None:
    each = only(READER)
    keep(record(READER), READER, tmp_path)
    elsewhere = record(READER, place=Place.here("cpu", OTHERS["fewer cores"]))
    keep(elsewhere, READER, tmp_path)
    assert write(each, verdict(each.candidates[0], each), WISHES, "whole", tmp_path) is None
    assert recall(READER, tmp_path) is None
    assert recorded(READER, tmp_path) == [elsewhere]


def test_where_nothing_comes_up_to_what_is_wanted_nothing_is_changed(tmp_path: Path) -> None:
    each = only(READER)
    keep(record(READER), READER, tmp_path)
    assert write(each, verdict(None, each), WISHES, "whole", tmp_path) is None
    assert recall(READER, tmp_path) == record(READER)
