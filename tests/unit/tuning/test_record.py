"""What was found is kept for these files and this machine, and believed nowhere else."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import msgspec
import pytest

from paddlesrv.errors import IntegrityError
from paddlesrv.models.spec import ModelSpec
from paddlesrv.server.config import ModelConfig, usable_cores
from paddlesrv.server.local_model import LocalModel
from paddlesrv.server.locate import Located
from paddlesrv.tuning.candidates import Candidate
from paddlesrv.tuning.measured import Row, Wishes
from paddlesrv.tuning.record import DIRECTORY, Place, Tuned, forget, keep, recall, recorded
from paddlesrv.tuning.serving import apply
from tests.standins import linear

BEST = Candidate(engine="onnxruntime", threads=1, instances=1, max_batch_size=4, max_delay_ms=2.0)
USUAL = Candidate(engine="paddle", variant="onednn", threads=1, max_batch_size=8)


@pytest.fixture
def model(tmp_path: Path) -> LocalModel:
    linear.write_onnx(tmp_path / "model")
    spec = linear.spec(tmp_path / "model", "price")
    return LocalModel(spec, tmp_path / "model")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def tuned(**changes: object) -> Tuned:
    fields: dict[str, object] = {
        "model": "price", "target": "price", "place": Place.here(), "wishes": Wishes(concurrency=8),
        "chosen": BEST, "default": USUAL, "gain": 1.7, "noise": 0.05, "why": "it is faster",
        "table": (Row(candidate=BEST, rounds=3, rate=10.0),),
        "when": datetime(2026, 11, 23, 12, tzinfo=timezone.utc),
    }  # fmt: skip
    return Tuned(**(fields | changes))  # type: ignore[arg-type]


def applied(model: LocalModel, cache: Path, config: ModelConfig, *said: str):
    """The configuration as it would be served, and what was taken."""
    located = [Located(config, config.name, directory=model.root)]
    (found,), tuning = apply(located, [said], lambda name: model, cache)
    return found.config, tuning


def test_a_record_is_read_back_as_it_was_written(model, cache):
    assert recall(model, cache) is None
    keep(tuned(), model, cache)
    assert recall(model, cache) == tuned()
    assert recorded(model, cache) == [tuned()]
    keep(tuned(gain=2.0), model, cache)  # in the place of the earlier one
    assert recorded(model, cache) == [tuned(gain=2.0)]


def test_it_is_not_believed_on_another_machine_nor_of_other_files(model, cache, tmp_path):
    elsewhere = msgspec.structs.replace(Place.here(), cpu="another CPU")
    keep(tuned(place=elsewhere), model, cache)
    assert recall(model, cache) is None
    config, tuning = applied(model, cache, ModelConfig(name="price"))
    assert config == ModelConfig(name="price")
    assert "on another machine" in tuning.remarks[0]

    keep(tuned(), model, cache)
    (model.root / "model.onnx").write_bytes(b"another network")
    other = LocalModel(ModelSpec(name="price", task="tensors", format="onnx",
                                 digests={"model.onnx": "0" * 64}), tmp_path)  # fmt: skip
    assert recall(other, cache) is None


def test_a_damaged_record_is_an_error_that_says_how_to_go_on(model, cache):
    keep(tuned(), model, cache)
    (path,) = (cache / DIRECTORY).iterdir()
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(IntegrityError) as caught:
        recall(model, cache, called="my price")
    assert caught.value.hints[0].endswith("paddlesrv tune 'my price' --forget")
    assert forget(model, cache) == [path]
    assert recall(model, cache) is None


def test_what_nobody_says_is_taken_from_it(model, cache):
    keep(tuned(), model, cache)
    config, tuning = applied(model, cache, ModelConfig(name="price"))
    assert (config.engine, config.threads, config.max_batch_size) == ("onnxruntime", 1, 4)
    assert config.max_delay_ms == 2.0
    (taken,) = tuning.taken
    assert taken.text == f"price: {BEST} (tuned 2026-11-23 for throughput)"
    # Said twice, it changes nothing more.
    again, _ = applied(model, cache, config)
    assert again == config


def test_what_is_said_goes_before_it(model, cache):
    keep(tuned(), model, cache)
    asked = ModelConfig(name="price", max_batch_size=16, engine="paddle")
    config, _ = applied(model, cache, asked, "max_batch_size", "engine")
    assert (config.max_batch_size, config.engine, config.max_delay_ms) == (16, "paddle", 2.0)


def test_threads_and_instances_go_together_unless_they_fit(model, cache):
    many = usable_cores()
    best = msgspec.structs.replace(BEST, threads=many, instances=1)
    keep(tuned(chosen=best), model, cache)
    config, _ = applied(model, cache, ModelConfig(name="price", instances=many + 1), "instances")
    assert config.threads == 0  # as many as there are for each


def test_an_int8_record_is_left_where_fp32_is_asked_for(model, cache):
    best = msgspec.structs.replace(BEST, precision="int8")
    keep(tuned(chosen=best), model, cache)
    config, tuning = applied(model, cache, ModelConfig(name="price"), "precision")
    assert config == ModelConfig(name="price")
    assert tuning.remarks == (
        "how price was tuned is left: it was for int8, and fp32 is asked for",
    )


def test_paddles_way_comes_with_its_engine(model, cache):
    keep(tuned(chosen=USUAL, default=BEST), model, cache)
    _, tuning = applied(model, cache, ModelConfig(name="price"))
    assert tuning.variants == {"price": "onednn"}
