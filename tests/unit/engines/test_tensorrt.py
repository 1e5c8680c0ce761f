"""TensorRT as far as no GPU is needed: shapes, kept engines, and what engines are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.engines.base import Device, EngineOptions, ShapeRange
from paddlesrv.engines.files import checked_files
from paddlesrv.engines.tensorrt import cache_of, provider_options, shapes
from paddlesrv.errors import DeviceUnavailable, UsageError
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.server.config import ModelConfig, ServerConfig, load_config, render_config
from tests.server.harness import local_spec
from tests.standins import linear

TRT = EngineOptions(device=Device("gpu", 1), precision="fp16", tensorrt=True)


def model(*shape: int, rows: int = 8, lod: int = 0) -> ModelSpec:
    tensor = TensorSpec(name="x", dtype="float32", shape=shape, lod_level=lod)
    return ModelSpec(name="m", task="tensors", format="onnx", inputs=(tensor,), max_batch_size=rows)


def wish(**changes: object) -> EngineOptions:
    fields = {name: getattr(TRT, name) for name in TRT.__struct_fields__}
    return EngineOptions(**(fields | changes))


def test_an_open_batch_goes_from_one_row_to_the_largest_batch():
    built = shapes(model(-1, 3, 224, 224), TRT)
    assert built.least == {"x": [1, 3, 224, 224]}
    assert built.usual == built.greatest == {"x": [8, 3, 224, 224]}
    assert shapes(model(-1, 3), wish(max_batch_size=32)).greatest == {"x": [32, 3]}


def test_open_sides_must_be_said():
    with pytest.raises(DeviceUnavailable, match="must be told the sizes of input x") as caught:
        shapes(model(-1, 3, -1, -1), TRT)
    assert "tensorrt_shapes" in caught.value.hints[0]
    said = ShapeRange(input="x", min=(1, 3, 32, 32), opt=(4, 3, 320, 320), max=(8, 3, 640, 640))
    built = shapes(model(-1, 3, -1, -1), wish(tensorrt_shapes=(said,)))
    assert built.usual == {"x": [4, 3, 320, 320]}


def test_sequences_are_refused():
    with pytest.raises(DeviceUnavailable, match="LoD"):
        shapes(model(-1, 3, lod=1), TRT)


@given(st.lists(st.integers(-1, 5), min_size=2, max_size=4), st.data())
def test_shapes_that_do_not_fit_are_refused_and_others_kept(declared, data):
    sizes = st.lists(st.integers(0, 6), min_size=1, max_size=4).map(tuple)
    low, usual, high = data.draw(sizes), data.draw(sizes), data.draw(sizes)
    said = ShapeRange(input="x", min=low, opt=usual, max=high)
    fits = len(declared) == len(low) == len(usual) == len(high) and all(
        1 <= a <= b <= c and (d < 1 or a == c == d)
        for d, a, b, c in zip(declared, low, usual, high, strict=True)
    )
    asked = wish(tensorrt_shapes=(said,))
    if fits:
        assert shapes(model(*declared), asked).least == {"x": list(low)}
    else:
        with pytest.raises(UsageError, match="do not fit m"):
            shapes(model(*declared), asked)


def test_shapes_of_an_input_that_is_not_there_are_refused():
    said = ShapeRange(input="y", min=(1,), opt=(1,), max=(1,))
    with pytest.raises(UsageError, match="no such input"):
        shapes(model(-1), wish(tensorrt_shapes=(said,)))


def test_an_engine_is_kept_for_one_model_one_precision_and_one_range_of_shapes(tmp_path: Path):
    linear.write_onnx(tmp_path / "m")
    spec = local_spec(tmp_path / "m", "linear")
    files = checked_files(spec, tmp_path / "m")
    places = {
        cache_of(files, asked, shapes(spec, asked), version, tmp_path)
        for version in ("a 1", "a 2")
        for asked in (TRT, wish(precision="fp32"), wish(max_batch_size=4))
    }
    assert len(places) == 6
    assert all(place.is_dir() for place in places)
    assert cache_of(files, TRT, shapes(spec, TRT), "a 1", tmp_path) in places


def test_what_onnxruntime_is_told(tmp_path: Path):
    told = provider_options(TRT, shapes(model(-1, 3, 8, 8), TRT), tmp_path)
    assert told["device_id"] == 1
    assert told["trt_fp16_enable"] is True
    assert told["trt_engine_cache_path"] == str(tmp_path)
    assert told["trt_profile_min_shapes"] == "x:1x3x8x8"
    assert told["trt_profile_max_shapes"] == "x:8x3x8x8"


def test_shapes_in_a_config_file_are_read_back_as_they_were_written(tmp_path: Path):
    said = ShapeRange(input="x: y", min=(1, 3), opt=(2, 3), max=(8, 3))
    config = ServerConfig(
        models=(
            ModelConfig(name="m", device="gpu:0", tensorrt=True, tensorrt_shapes=(said,)),
            ModelConfig(name="n"),
        )
    )
    path = tmp_path / "paddlesrv.yaml"
    path.write_text(render_config(config))
    assert load_config(path) == config


def test_what_paddle_is_asked_is_understood_by_its_own_config(tmp_path: Path, monkeypatch):
    """The CPU's build says what it lacks at the first call that needs TensorRT, and not before."""
    from paddlesrv.engines import paddle

    monkeypatch.setenv("PADDLESRV_HOME", str(tmp_path / "home"))
    linear.write_program(tmp_path / "m")
    spec = local_spec(tmp_path / "m", "linear")
    files = checked_files(spec, tmp_path / "m")
    inference = paddle._inference()
    config = inference.Config(str(files.program), str(files.params))
    with pytest.raises(RuntimeError, match="TENSORRT"):
        paddle._use_tensorrt(inference, config, spec, files, TRT)
    assert len(list((tmp_path / "home" / "cache" / "tensorrt").iterdir())) == 1
    config.set_trt_dynamic_shape_info(*shapes(spec, TRT))
