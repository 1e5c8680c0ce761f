"""`--engine auto`: measured once, and kept; never an engine that answers otherwise."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from paddlesrv.engines import choice as choices
from paddlesrv.engines.base import Device
from paddlesrv.engines.builds import Build
from paddlesrv.engines.candidates import NOISE, Candidate, Evidence, Timing, Wanted, Way, pick
from paddlesrv.engines.choice import (
    Choice,
    choose,
    forget,
    in_force,
    recall,
    recorded,
    undecided,
)
from paddlesrv.engines.conversion import converted
from paddlesrv.engines.devices import Machine, describe
from paddlesrv.engines.hardware import Cpu, Gpus
from paddlesrv.models.spec import ModelSpec
from tests.standins import linear

needs_converter = pytest.mark.skipif(
    importlib.util.find_spec("paddle2onnx") is None, reason="paddle2onnx is for Python before 3.13"
)

PADDLE = Candidate("paddle", "default")
ORT = Candidate("onnxruntime")
WANTED = Wanted(threads=1, rows=4)
CPU_BUILDS = Machine(
    (Build("paddle", "paddlepaddle", "3.3.1"), Build("onnxruntime", "onnxruntime", "1.20.0")),
    Cpu("a CPU", 2, ()),
    Gpus(None),
)


def model(root: Path) -> ModelSpec:
    linear.write_program(root)
    return linear.spec(root)


def evidence(candidate: Candidate, refused: str | None = None, **seconds: float) -> Evidence:
    """Times by `b1`, `b8`, with one thread."""
    return Evidence(
        candidate=candidate,
        refused=refused,
        timings=tuple(
            Timing(threads=1, rows=int(rows[1:]), seconds=value) for rows, value in seconds.items()
        ),
    )


# -- what is picked ------------------------------------------------------------------------------


def test_the_fastest_is_picked_and_its_gain_told() -> None:
    found = [evidence(PADDLE, b1=4.0, b8=8.0), evidence(ORT, b1=1.0, b8=4.0)]
    way, why = pick(found, Way(PADDLE, 1), (1, 8))
    assert way == Way(ORT, 1)
    assert why == "against paddle default, 1 thread: 4.0x at batch 1, 2.0x at batch 8"


@pytest.mark.parametrize(
    "other",
    [
        evidence(ORT, b1=0.1, b8=9.0),  # slower in full batches
        evidence(ORT, b1=4.0, b8=7.9),  # noise
        evidence(ORT, "it answers differently than paddle plain", b1=0.1, b8=0.1),
        evidence(ORT, b1=0.1),  # not measured to the end
    ],
)
def test_what_is_no_better_everywhere_or_wrong_is_not_picked(other: Evidence) -> None:
    way, why = pick([evidence(PADDLE, b1=4.0, b8=8.0), other], Way(PADDLE, 1), (1, 8))
    assert way == Way(PADDLE, 1)
    assert "nothing that agrees is faster" in why


def test_where_the_usual_way_was_not_measured_it_stays() -> None:
    way, _ = pick([evidence(PADDLE, b1=4.0), evidence(ORT, b1=1.0, b8=1.0)], Way(PADDLE, 1), (1, 8))
    assert way == Way(PADDLE, 1)


TIMES = st.floats(1e-6, 10)


@given(
    st.dictionaries(st.sampled_from(["onnxruntime", "openvino"]), st.tuples(TIMES, TIMES)),
    st.tuples(TIMES, TIMES),
    st.sets(st.sampled_from(["onnxruntime", "openvino"])),
)
def test_nothing_is_picked_that_is_wrong_or_slower_anywhere(others, base, refused) -> None:
    found = [evidence(PADDLE, b1=base[0], b8=base[1])]
    for name, (one, eight) in others.items():
        why = "wrong" if name in refused else None
        found.append(evidence(Candidate(name), why, b1=one, b8=eight))
    way, _ = pick(found, Way(PADDLE, 1), (1, 8))
    if way.candidate != PADDLE:
        assert way.candidate.engine not in refused
        one, eight = others[way.candidate.engine]
        assert one <= base[0] * NOISE
        assert eight <= base[1] * NOISE
        assert one * eight < base[0] * base[1]


# -- what is chosen ------------------------------------------------------------------------------


@needs_converter
def test_a_choice_is_measured_once_kept_and_can_be_taken_back(tmp_path: Path) -> None:
    root, cache = tmp_path / "model", tmp_path / "cache"
    spec, said = model(root), []
    chosen = choose(spec, root, WANTED, cache, watch=said.append)
    assert said[0] == "converting it to ONNX"
    assert said[1].startswith("comparing paddle, onnxruntime")
    assert chosen.kept
    assert chosen.usual is not None
    assert chosen.usual.candidate.engine == "paddle"
    tried = {found.candidate.engine: found for found in chosen.evidence}
    assert tried["onnxruntime"].refused is None
    assert tried["onnxruntime"].difference < 1e-5
    assert {timing.rows for timing in tried["onnxruntime"].timings} == {1, 4}
    assert chosen.rows == (1, 4)
    # A network of 13 numbers runs several times as fast without paddle's own cost of a run.
    assert chosen.engine != "paddle"
    assert chosen.gain() > 1
    assert "paddle at batch 1" in chosen.short

    again = choose(spec, root, WANTED, cache, watch=lambda text: pytest.fail(text))
    assert again == chosen == recall(spec, root, WANTED, cache)
    assert recorded(spec, root, cache) == [chosen]
    assert in_force(chosen)
    # Another way to serve it is another question.
    assert recall(spec, root, msgspec.structs.replace(WANTED, threads=2), cache) is None

    assert forget(spec, root, cache) == 1
    assert recall(spec, root, WANTED, cache) is None


@needs_converter
def test_a_network_that_answers_otherwise_is_not_served_however_fast(tmp_path: Path) -> None:
    root, cache = tmp_path / "model", tmp_path / "cache"
    spec = model(root)
    _, place = converted(spec, root, cache / "converted")
    tampered = onnx.load(place / "model.onnx")
    constants = [n.attribute[0].t for n in tampered.graph.node if n.op_type == "Constant"]
    for weight in (*tampered.graph.initializer, *constants):
        values = numpy_helper.to_array(weight)
        if values.dtype.kind == "f":
            weight.CopyFrom(numpy_helper.from_array(values * np.float32(1.01), weight.name))
    onnx.save(tampered, place / "model.onnx")
    chosen = choose(spec, root, WANTED, cache)
    assert chosen.engine == "paddle"
    for found in chosen.evidence:
        if found.candidate.engine != "paddle":
            assert found.refused.startswith("it answers differently than paddle")
            assert found.difference > chosen.tolerance


@needs_converter
def test_what_does_not_load_is_left_out_and_the_reason_kept(tmp_path: Path) -> None:
    root, cache = tmp_path / "model", tmp_path / "cache"
    spec = model(root)
    _, place = converted(spec, root, cache / "converted")
    (place / "model.onnx").write_bytes(b"no network at all")
    chosen = choose(spec, root, WANTED, cache)
    assert (chosen.engine, chosen.kept) == ("paddle", True)
    assert all(e.refused for e in chosen.evidence if e.candidate.engine != "paddle")


def test_without_time_the_engine_of_its_files_serves_it_and_nothing_is_kept(tmp_path: Path) -> None:
    root, cache = tmp_path / "model", tmp_path / "cache"
    spec = model(root)
    chosen = choose(spec, root, WANTED, cache, limit_seconds=0)
    assert (chosen.engine, chosen.kept, chosen.evidence) == ("paddle", False, ())
    assert not chosen.settled
    assert recorded(spec, root, cache) == []


def test_sequences_are_paddles_alone(tmp_path: Path) -> None:
    root = tmp_path / "model"
    spec = model(root)
    rows = msgspec.structs.replace(spec.inputs[0], lod_level=1)
    spec = msgspec.structs.replace(spec, inputs=(rows,))
    chosen = choose(spec, root, WANTED, tmp_path, watch=lambda text: pytest.fail(text))
    assert (chosen.engine, chosen.why) == ("paddle", "only paddle knows sequences of rows (LoD)")
    assert (chosen.settled, chosen.kept) == (True, False)  # which is known without a record
    assert list(tmp_path.iterdir()) == [root]


@pytest.mark.parametrize(
    ("form", "changes", "engine"),
    [
        ("paddle-program", {}, "paddle"),
        ("onnx", {}, "onnxruntime"),
        ("paddle-program", {"precision": "int8"}, "onnxruntime"),
        ("paddle-program", {"device": Device("gpu")}, "paddle"),  # refused later, in its words
    ],
)
def test_undecided_a_network_runs_on_what_its_files_are_for(form, changes, engine) -> None:
    spec = ModelSpec(name="m", task="tensors", format=form)
    options = undecided(spec, msgspec.structs.replace(WANTED, **changes), CPU_BUILDS)
    assert options.engine == engine


@needs_converter
def test_on_another_machine_it_is_measured_anew(tmp_path: Path, monkeypatch) -> None:
    root, cache = tmp_path / "model", tmp_path / "cache"
    spec = model(root)
    chosen = choose(spec, root, WANTED, cache)
    here = describe()
    other = Machine(here.engines, Cpu("another CPU", 64, ()), here.gpus)
    monkeypatch.setattr(choices, "describe", lambda: other)
    assert recall(spec, root, WANTED, cache) is None
    assert not in_force(chosen)
    assert recorded(spec, root, cache) == [chosen]  # and still to be seen


@needs_converter
def test_a_damaged_record_is_not_heeded_and_told(tmp_path: Path, caplog) -> None:
    root, cache = tmp_path / "model", tmp_path / "cache"
    spec = model(root)
    choose(spec, root, WANTED, cache)
    (path,) = (cache / choices.DIRECTORY).iterdir()
    path.write_bytes(b'{"engine": 7}')
    with caplog.at_level(logging.WARNING):
        assert recall(spec, root, WANTED, cache) is None
    assert str(path) in caplog.text
    assert isinstance(choose(spec, root, WANTED, cache), Choice)
    assert recall(spec, root, WANTED, cache) is not None
