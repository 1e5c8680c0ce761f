"""Paddle models on ONNX Runtime: converted once, equal in their answers, or refused."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from paddlesrv.engines import load_engine
from paddlesrv.engines.base import EngineOptions
from paddlesrv.engines.conversion import converted
from paddlesrv.errors import DeviceUnavailable
from paddlesrv.models.spec import ModelSpec
from paddlesrv.models.tensor import Tensor
from tests.standins import linear

OPTIONS = EngineOptions(engine="onnxruntime")
ROWS = np.random.default_rng(2).standard_normal((4, 13)).astype(np.float32)

needs_converter = pytest.mark.skipif(
    importlib.util.find_spec("paddle2onnx") is None, reason="paddle2onnx is not installed"
)


def model(root: Path) -> ModelSpec:
    linear.write_program(root)
    return linear.spec(root)


@needs_converter
def test_a_converted_model_answers_as_the_original_and_is_kept(tmp_path, monkeypatch):
    root, cache = tmp_path / "model", tmp_path / "cache"
    spec = model(root)
    engine = load_engine(spec, root, OPTIONS, cache_dir=cache)
    found = engine.run({"x": Tensor(ROWS)})
    assert list(found) == [spec.outputs[0].name]
    np.testing.assert_allclose(
        found[spec.outputs[0].name].data, linear.expected(ROWS), rtol=1e-5, atol=1e-5
    )
    assert [path.is_dir() for path in cache.iterdir()] == [True]
    # The second time nothing is converted: it works without the converter.
    monkeypatch.setitem(sys.modules, "paddle2onnx", None)
    onnx, place = converted(spec, root, cache)
    assert (onnx.format, onnx.outputs) == ("onnx", spec.outputs)
    assert place.parent == cache


@needs_converter
def test_a_conversion_that_takes_too_long_is_given_up_and_leaves_nothing(tmp_path):
    spec = model(tmp_path / "model")
    with pytest.raises(DeviceUnavailable, match="does not convert") as caught:
        converted(spec, tmp_path / "model", tmp_path / "cache", timeout_seconds=0.01)
    assert "--engine paddle" in caught.value.hints[0]
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_the_converter_the_way_to_get_it_is_named(tmp_path, monkeypatch):
    spec = model(tmp_path)
    monkeypatch.setitem(sys.modules, "paddle2onnx", None)
    with pytest.raises(DeviceUnavailable) as caught:
        load_engine(spec, tmp_path, OPTIONS, cache_dir=tmp_path / "cache")
    assert caught.value.hints[0].startswith('install it: pip install "paddle2onnx==')


def test_a_model_of_sequences_is_refused_at_once(tmp_path):
    spec = model(tmp_path)
    sequences = msgspec.structs.replace(spec.inputs[0], lod_level=1, batching="lod")
    spec = msgspec.structs.replace(spec, inputs=(sequences,))
    with pytest.raises(DeviceUnavailable, match="does not convert") as caught:
        converted(spec, tmp_path, tmp_path / "cache")
    assert "LoD" in caught.value.context["why"]


@needs_converter
@pytest.mark.skipif(
    importlib.util.find_spec("paddle2onnx") is None
    or importlib.metadata.version("paddle2onnx").startswith("1."),
    reason="paddle2onnx 1 does not read PIR",
)
def test_a_pir_model_converts_under_its_own_output_name(tmp_path):
    linear.write_paddle(tmp_path / "model")
    spec = linear.spec(tmp_path / "model")
    engine = load_engine(spec, tmp_path / "model", OPTIONS, cache_dir=tmp_path / "cache")
    found = engine.run({"x": Tensor(ROWS)})
    np.testing.assert_allclose(
        found["fetch_name_0"].data, linear.expected(ROWS), rtol=1e-5, atol=1e-5
    )
