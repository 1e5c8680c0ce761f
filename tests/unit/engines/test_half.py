"""Networks in fp16 for ONNX Runtime: rewritten once, with the inputs and outputs that they had."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from paddlesrv.engines import onnxruntime
from paddlesrv.engines.base import EngineOptions
from paddlesrv.engines.half import halved
from paddlesrv.errors import DeviceUnavailable
from paddlesrv.models.tensor import Tensor
from tests.standins import convolved


def test_a_network_in_fp16_answers_nearly_alike_and_is_half_as_large(tmp_path: Path):
    spec = convolved.write(tmp_path / "m")
    form, place = halved(spec, tmp_path / "m", tmp_path / "cache")
    network = onnx.load(place / "model.onnx")
    assert {t.data_type for t in network.graph.initializer} == {TensorProto.FLOAT16}
    options = EngineOptions(engine="onnxruntime")  # the CPU has kernels for it, if slow ones
    image = np.random.default_rng(1).random((2, 3, 64, 64)).astype(np.float32)
    found, right = (
        onnxruntime.load(its, root, options).run({"image": Tensor(image)})["scores"].data
        for its, root in ((form, place), (spec, tmp_path / "m"))
    )
    assert found.dtype == right.dtype == np.float32
    np.testing.assert_allclose(found, right, atol=2e-2)
    before = (place / "model.onnx").stat().st_mtime_ns
    assert halved(spec, tmp_path / "m", tmp_path / "cache") == (form, place)
    assert (place / "model.onnx").stat().st_mtime_ns == before


def test_a_time_limit_leaves_nothing_behind(tmp_path: Path):
    spec = convolved.write(tmp_path / "m")
    with pytest.raises(DeviceUnavailable, match="cannot be written in fp16"):
        halved(spec, tmp_path / "m", tmp_path / "cache", timeout_seconds=0.01)
    assert list((tmp_path / "cache" / "halved").iterdir()) == []
