"""What `serve` takes from records: all that nobody has said, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from paddlesrv.errors import IntegrityError, NotFound
from paddlesrv.server.config import ModelConfig
from paddlesrv.server.local_model import LocalModel
from paddlesrv.server.locate import Located
from paddlesrv.tuning import record as records
from paddlesrv.tuning import serving
from paddlesrv.tuning.record import Place, keep
from paddlesrv.tuning.serving import FIELDS, Tuning, apply
from tests.unit.tuning.records import CHOSEN, MACHINE, OTHERS, model, record

NETWORK = model()
DETECTOR, READER = model("detector", "3"), model("reader", "4")
WHOLE = model(
    "whole",
    format="pipeline",
    program=None,
    digests={},
    components={"detection": "detector", "recognition": "reader"},
)
MODELS = {each.spec.name: each for each in (NETWORK, DETECTOR, READER, WHOLE)}


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "describe", lambda: MACHINE)
    monkeypatch.setattr(serving, "usable_cores", lambda: MACHINE.cpu.cores)


def find(name: str) -> LocalModel:
    if name not in MODELS:
        raise NotFound(f"{name} is not installed")
    return MODELS[name]


def taken(
    store: Path, said: Sequence[str] = (), name: str = "linear", **fields: Any
) -> tuple[ModelConfig, Tuning]:
    """The configuration of one model, some of whose fields were said."""
    located = Located(ModelConfig(name=name, **fields), name)
    (found,), tuning = apply([located], [{*said, *fields}], find, store)
    again, same = apply([found], [{*said, *fields}], find, store)
    assert (again, same) == ([found], tuning)  # said twice, it changes nothing
    return found.config, tuning


def values(config: ModelConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in FIELDS}


def test_what_nobody_said_is_as_it_was_tuned(tmp_path: Path) -> None:
    keep(record(NETWORK), NETWORK, tmp_path)
    config, tuning = taken(tmp_path)
    assert values(config) == {name: getattr(CHOSEN, name) for name in FIELDS}
    (told,) = tuning.taken
    assert (told.model, set(told.fields)) == ("linear", set(FIELDS))
    assert told.text == (
        "linear: onnxruntime, 2 threads, 2 instances, batch 8, delay 1 ms "
        "(tuned 2026-11-23 for throughput)"
    )
    assert tuning.of("linear") == told
    assert tuning.of("other") is None


@pytest.mark.parametrize(
    ("field", "value"), [("engine", "paddle"), ("max_batch_size", 2), ("max_delay_ms", 0.0)]
)
def test_what_was_said_wins_even_where_it_is_the_default(
    field: str, value: Any, tmp_path: Path
) -> None:
    keep(record(NETWORK), NETWORK, tmp_path)
    config, tuning = taken(tmp_path, **{field: value})
    expected = {name: getattr(CHOSEN, name) for name in FIELDS} | {field: value}
    assert values(config) == expected
    assert field not in tuning.taken[0].fields


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"threads": 1}, (1, 2)),
        ({"instances": 1}, (2, 1)),
        # 2 processes with 4 threads, or 4 with 2, are more than 4 cores.
        ({"threads": 4}, (4, 1)),
        ({"instances": 4}, (0, 4)),
        ({"threads": 4, "instances": 4}, (4, 4)),
    ],
)
def test_threads_and_processes_are_taken_together_or_as_far_as_they_fit(
    said: dict[str, int], expected: tuple[int, int], tmp_path: Path
) -> None:
    keep(record(NETWORK), NETWORK, tmp_path)
    config, _ = taken(tmp_path, **said)
    assert (config.threads, config.instances) == expected
    assert config.engine == "onnxruntime"


def test_another_precision_or_an_engine_without_it_leaves_the_record(tmp_path: Path) -> None:
    int8 = msgspec.structs.replace(CHOSEN, precision="int8")
    keep(record(NETWORK, chosen=int8), NETWORK, tmp_path)
    assert taken(tmp_path)[0].precision == "int8"
    for said in ({"precision": "fp32"}, {"engine": "paddle"}):
        config, tuning = taken(tmp_path, **said)
        assert config == ModelConfig(name="linear", **said)
        assert tuning.taken == ()
        assert "is asked for" in tuning.remarks[0]


def test_a_record_of_another_machine_is_left_and_that_is_said(tmp_path: Path) -> None:
    keep(record(NETWORK, place=Place.here("cpu", OTHERS["fewer cores"])), NETWORK, tmp_path)
    config, tuning = taken(tmp_path)
    assert config == ModelConfig(name="linear")
    assert tuning.remarks == (
        "linear was tuned 2026-11-23 for throughput on another machine or with other versions of "
        "the engines; that is left",
    )


def test_another_device_has_no_use_for_it(tmp_path: Path) -> None:
    keep(record(NETWORK), NETWORK, tmp_path)
    config, tuning = taken(tmp_path, device="gpu:0")
    assert config == ModelConfig(name="linear", device="gpu:0")
    assert tuning == Tuning()


def test_without_a_record_nothing_changes(tmp_path: Path) -> None:
    assert taken(tmp_path) == (ModelConfig(name="linear"), Tuning())


def test_a_model_that_is_not_here_is_left_as_it_is(tmp_path: Path) -> None:
    assert taken(tmp_path, name="absent") == (ModelConfig(name="absent"), Tuning())


def test_a_damaged_record_is_an_error_that_names_what_was_typed(tmp_path: Path) -> None:
    keep(record(NETWORK), NETWORK, tmp_path).write_bytes(b"{")
    with pytest.raises(IntegrityError) as caught:
        apply([Located(ModelConfig(name="linear"), "./linear")], [()], find, tmp_path)
    assert caught.value.hints[0].endswith("paddlesrv tune ./linear --forget")


def test_each_network_of_a_pipeline_is_as_it_was_tuned(tmp_path: Path) -> None:
    plain = msgspec.structs.replace(CHOSEN, engine="paddle", variant="plain")
    keep(record(READER, chosen=plain), READER, tmp_path)
    config, tuning = taken(tmp_path, name="whole", max_queue=7)
    assert config == ModelConfig(name="whole", max_queue=7)
    assert set(tuning.parts) == {"reader"}
    part = tuning.parts["reader"]
    assert (part.engine, part.threads, part.max_queue) == ("paddle", 2, 7)
    assert tuning.variants == {"reader": "plain"}


def test_what_is_said_of_a_pipeline_is_said_of_its_networks(tmp_path: Path) -> None:
    keep(record(READER), READER, tmp_path)
    _, tuning = taken(tmp_path, name="whole", engine="paddle")
    assert tuning.parts["reader"].engine == "paddle"
    assert tuning.variants == {}


def test_a_part_that_is_configured_itself_is_tuned_as_itself(tmp_path: Path) -> None:
    keep(record(READER), READER, tmp_path)
    located = [Located(ModelConfig(name=name), name) for name in ("whole", "reader")]
    (_, reader), tuning = apply(located, [(), {"threads"}], find, tmp_path)
    assert tuning.parts == {}
    assert (reader.config.engine, reader.config.threads) == ("onnxruntime", 0)
