"""What was tuned is found again: for the same files, machine and engines, and only for those."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddlesrv.errors import IntegrityError
from paddlesrv.tuning import record as records
from paddlesrv.tuning.record import DIRECTORY, Place, forget, keep, recall, recorded
from tests.standins import linear
from tests.unit.tuning.records import MACHINE, OTHERS, WITH_GPU, model, record


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "describe", lambda: MACHINE)


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    network = model()
    assert recall(network, tmp_path) is None
    written = record(network)
    path = keep(written, network, tmp_path)
    assert path.parent == tmp_path / DIRECTORY
    assert recall(network, tmp_path) == written
    assert recorded(network, tmp_path) == [written]
    assert [each.name for each in path.parent.iterdir()] == [path.name]  # nothing half-written
    assert written.short == "tuned 2026-11-23 for throughput"


def test_a_later_record_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    network = model()
    first = keep(record(network), network, tmp_path)
    later = record(network, gain=3.0)
    assert keep(later, network, tmp_path) == first
    assert recall(network, tmp_path) == later


@pytest.mark.parametrize("other", list(OTHERS))
def test_elsewhere_it_is_not_taken(
    other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = model()
    written = record(network)
    keep(written, network, tmp_path)
    monkeypatch.setattr(records, "describe", lambda: OTHERS[other])
    assert recall(network, tmp_path) is None
    assert recorded(network, tmp_path) == [written]


def test_another_device_has_records_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "describe", lambda: WITH_GPU)
    network = model()
    on_gpu = record(network, device="gpu:0", place=Place.here("gpu:0", WITH_GPU))
    assert on_gpu.place.gpu == "NVIDIA H200"
    keep(on_gpu, network, tmp_path)
    assert recall(network, tmp_path, "gpu:0") == on_gpu
    assert recall(network, tmp_path, "cpu") is None


def test_the_files_decide_and_not_the_name(tmp_path: Path) -> None:
    network = model()
    keep(record(network), network, tmp_path)
    assert recall(model("renamed"), tmp_path) is not None
    assert recall(model(content="2"), tmp_path) is None


def test_a_directory_that_was_never_installed_is_told_by_what_lies_in_it(tmp_path: Path) -> None:
    from paddlesrv.server.local_model import LocalModel

    place = tmp_path / "model"
    linear.write_onnx(place)
    network = LocalModel(linear.spec(place), place)
    keep(record(network), network, tmp_path)
    assert recall(network, tmp_path) is not None
    content = (place / "model.onnx").read_bytes()
    (place / "model.onnx").write_bytes(content.replace(linear.B.tobytes(), bytes(4)))
    assert recall(network, tmp_path) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-30],
        lambda content: b"",
        lambda content: b"\xff\0" + content,
        lambda content: content.replace(b'"threads": 2', b'"threads": "two"'),
        lambda content: content.replace(b'"schema": 1', b'"schema": 99'),
        lambda content: content.replace(b'"onnxruntime"', b'"tensorflow"'),
    ],
)
def test_a_damaged_record_is_an_error_that_says_what_to_do(damage, tmp_path: Path) -> None:
    network = model()
    path = keep(record(network), network, tmp_path)
    content = path.read_bytes()
    path.write_bytes(damage(content))
    assert path.read_bytes() != content
    with pytest.raises(IntegrityError, match="record of how linear was tuned is damaged") as caught:
        recall(network, tmp_path, called="my linear")
    assert caught.value.context["file"] == str(path)
    assert "paddlesrv tune 'my linear' --forget" in caught.value.hints[0]
    assert recorded(network, tmp_path) == []
    assert forget(network, tmp_path) == [path]
    assert recall(network, tmp_path) is None


def test_forgetting_takes_what_was_found_elsewhere_too_but_no_other_networks(
    tmp_path: Path,
) -> None:
    network, other = model(), model(content="2")
    mine = [
        keep(record(network, place=Place.here("cpu", each)), network, tmp_path)
        for each in (MACHINE, *OTHERS.values())
    ]
    kept = keep(record(other), other, tmp_path)
    assert len(set(mine)) == 1 + len(OTHERS)
    assert forget(network, tmp_path) == sorted(mine)
    assert list(kept.parent.iterdir()) == [kept]
    assert forget(network, tmp_path) == []


def test_a_pipeline_has_no_record_of_its_own(tmp_path: Path) -> None:
    (tmp_path / DIRECTORY).mkdir()
    pipeline = model(format="pipeline", program=None, digests={})
    assert recall(pipeline, tmp_path) is None
    assert recorded(pipeline, tmp_path) == []
    assert forget(pipeline, tmp_path) == []
