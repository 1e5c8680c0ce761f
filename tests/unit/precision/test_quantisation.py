"""Int8 for ONNX Runtime: what is made of a model and pictures, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from paddlesrv.engines import load_engine
from paddlesrv.engines.base import EngineOptions
from paddlesrv.engines.quantised import quantised
from paddlesrv.errors import DeviceUnavailable, EngineError, InvalidInput, UsageError
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.precision import Report, accepted_report, quantise
from paddlesrv.precision.serving import ensure_quantised
from paddlesrv.server.config import ModelConfig
from paddlesrv.server.local_model import LocalModel
from tests.server.harness import local_spec
from tests.standins import convolved, linear

INT8 = EngineOptions(engine="onnxruntime", precision="int8")
FP32 = EngineOptions(engine="onnxruntime")


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """The stand-in classifier."""
    root = tmp_path_factory.mktemp("colours")
    return LocalModel(convolved.write(root), root)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures such as it gets."""
    directory = tmp_path_factory.mktemp("calibration") / "pictures"
    convolved.write_pictures(directory)
    return directory


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, colours: LocalModel, pictures: Path
) -> tuple[Report, Path]:
    """The classifier's int8 form: the report, and the `PADDLESRV_HOME` that it lies in."""
    home = tmp_path_factory.mktemp("home")
    return quantise(colours, [], pictures, cache_dir=home / "cache"), home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store, which `load_engine` looks into."""
    monkeypatch.setenv("PADDLESRV_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def left(home: Path) -> list[str]:
    """What lies in the store among quantised networks."""
    return sorted(path.name for path in (home / "cache" / "quantised").glob("*"))


def test_a_classifier_becomes_int8_and_the_report_says_how_far_it_agrees(made):
    report, _ = made
    assert report.accepted
    assert not report.forced
    assert (report.agreement.measure, report.agreement.value) == ("same top class", 1.0)
    (network,) = report.networks
    assert network.recorded == report.calibration.count == 24
    assert network.cosine > 0.99
    assert [speed.rows for speed in network.speed] == [1, 8]
    assert all(speed.ratio > 0 for speed in network.speed)
    assert any("same top class 1.000" in line for line in report.lines)


def test_what_is_served_in_int8_computes_in_8_bits_and_answers_nearly_alike(
    made, colours, monkeypatch
):
    _, home = made
    monkeypatch.setenv("PADDLESRV_HOME", str(home))
    spec, place = quantised(colours.spec, colours.root)
    operators = {node.op_type for node in onnx.load(place / spec.program).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators
    image = np.random.default_rng(1).random((3, 3, 64, 64)).astype(np.float32)
    answers = [
        load_engine(colours.spec, colours.root, options).run({"image": Tensor(image)})
        for options in (INT8, FP32)
    ]
    found, right = (answer["scores"].data for answer in answers)
    assert not np.array_equal(found, right)
    np.testing.assert_allclose(found, right, atol=0.05)


def test_the_report_is_kept_beside_the_network(made, colours):
    report, home = made
    assert accepted_report(colours, home / "cache") == report
    (key,) = left(home)
    kept = json.loads((home / "cache" / "quantised" / key / "report.json").read_text())
    assert kept["calibration"]["count"] == 24


def test_a_model_that_was_not_quantised_is_refused_with_the_command_that_does_it(colours, home):
    with pytest.raises(DeviceUnavailable) as caught:
        load_engine(colours.spec, colours.root, INT8)
    assert caught.value.exit_code == 6
    assert (
        "make it once: paddlesrv serve colours --precision int8 --calibrate DIR"
        in caught.value.hints
    )


def test_another_model_of_the_same_name_is_not_served_by_that_form(made, tmp_path, monkeypatch):
    _, home = made
    monkeypatch.setenv("PADDLESRV_HOME", str(home))
    spec = convolved.write(tmp_path)
    network = onnx.load(tmp_path / "model.onnx")
    network.graph.doc_string = "another"
    onnx.save(network, tmp_path / "model.onnx")
    with pytest.raises(DeviceUnavailable):
        load_engine(spec, tmp_path, INT8)


def test_an_onnx_model_that_is_quantised_as_it_came_runs_as_it_is(made, colours, tmp_path, home):
    _, earlier = made
    (key,) = left(earlier)
    program = earlier / "cache" / "quantised" / key / "model.onnx"
    (tmp_path / "model.onnx").write_bytes(program.read_bytes())
    engine = load_engine(colours.spec, tmp_path, INT8)
    image = np.zeros((1, 3, 64, 64), np.float32)
    assert engine.run({"image": Tensor(image)})["scores"].data.shape == (1, 8)
    with pytest.raises(DeviceUnavailable, match="quantised as it is"):
        quantise(LocalModel(colours.spec, tmp_path), [], tmp_path)


# -- models that lose too much -------------------------------------------------------------------


@pytest.fixture
def fragile(tmp_path: Path) -> LocalModel:
    """Tensors in, tensors out: y = x W for rows whose sizes differ beyond what 8 bits can hold."""
    weight = np.random.default_rng(5).standard_normal((16, 16)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "fragile",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 16])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    root = tmp_path / "fragile"
    root.mkdir()
    onnx.save(model, root / "model.onnx")
    shape = (-1, 16)
    spec = ModelSpec(
        name="fragile",
        task="tensors",
        format="onnx",
        program="model.onnx",
        inputs=(TensorSpec(name="x", dtype="float32", shape=shape),),
        outputs=(TensorSpec(name="y", dtype="float32", shape=shape),),
    )
    return LocalModel(spec, root)


@pytest.fixture
def far_apart(tmp_path: Path) -> Path:
    """Its inputs: most are small, one is huge."""
    directory = tmp_path / "tensors"
    directory.mkdir()
    random = np.random.default_rng(6)
    for number in range(6):
        size = 1e4 if number == 0 else 1e-2
        row = (random.standard_normal((1, 16)) * size).astype(np.float32)
        np.savez(directory / f"{number}.npz", x=row)
    return directory


def test_a_form_that_agrees_too_little_is_reported_and_not_kept(fragile, far_apart, home):
    report = quantise(fragile, [], far_apart)
    assert not report.accepted
    assert report.agreement.measure == "cosine of raw outputs"
    assert report.agreement.value < 0.9
    assert len(report.attempts) == 2  # fewer operators were tried as well
    assert left(home) == []
    with pytest.raises(DeviceUnavailable):
        load_engine(fragile.spec, fragile.root, INT8)


def test_it_is_kept_for_who_takes_it_all_the_same(fragile, far_apart, home):
    report = quantise(fragile, [], far_apart, accept=True)
    assert (report.accepted, report.forced) == (True, True)
    assert "although it agrees too little" in report.lines[0]
    x = np.full((2, 16), 1e4, np.float32)
    answer = load_engine(fragile.spec, fragile.root, INT8).run({"x": Tensor(x)})
    assert answer["y"].data.shape == (2, 16)


def test_a_new_form_takes_the_place_of_an_earlier_one(fragile, far_apart, home):
    quantise(fragile, [], far_apart, accept=True)
    (far_apart / "0.npz").unlink()
    report = quantise(fragile, [], far_apart)
    assert report.accepted
    assert report.calibration.count == 5
    assert accepted_report(fragile) == report
    assert len(left(home)) == 1


def test_a_server_starts_with_no_form_that_agrees_too_little(fragile, far_apart, home):
    config = ModelConfig(name="fragile", engine="onnxruntime", precision="int8")
    with pytest.raises(DeviceUnavailable) as caught:
        ensure_quantised([config], lambda name: fragile, far_apart)
    assert caught.value.exit_code == 6
    assert "cosine of raw outputs" in caught.value.context
    assert any(hint.endswith("--accept") for hint in caught.value.hints)
    assert left(home) == []


def test_it_starts_with_it_for_who_accepts_it(fragile, far_apart, home):
    config = ModelConfig(name="fragile", engine="onnxruntime", precision="int8")
    with pytest.raises(UsageError, match="--accept"):
        ensure_quantised([config], lambda name: fragile, None, accept=True)
    (report,) = ensure_quantised([config], lambda name: fragile, far_apart, accept=True)
    assert report.forced
    assert ensure_quantised([config], lambda name: fragile, None) == []


def test_calibration_without_a_model_in_int8_is_refused(fragile, far_apart):
    with pytest.raises(UsageError, match="--calibrate"):
        ensure_quantised([ModelConfig(name="fragile")], lambda name: fragile, far_apart)


# -- damage --------------------------------------------------------------------------------------


def test_a_directory_that_is_not_there_is_refused(colours, tmp_path, home):
    with pytest.raises(UsageError, match="nowhere is not a directory"):
        quantise(colours, [], tmp_path / "nowhere")


def test_a_directory_without_pictures_is_refused_with_what_was_looked_for(colours, tmp_path, home):
    (tmp_path / "notes.md").write_text("no picture")
    with pytest.raises(UsageError, match="holds nothing") as caught:
        quantise(colours, [], tmp_path)
    assert ".png" in caught.value.context["wanted"]
    assert left(home) == []


def test_a_broken_picture_is_named(colours, tmp_path, home):
    directory = tmp_path / "pictures"
    convolved.write_pictures(directory, 3)
    (directory / "torn.png").write_bytes(convolved.picture(0)[:200])
    with pytest.raises(InvalidInput, match=r"torn\.png") as caught:
        quantise(colours, [], directory)
    assert "take it out" in caught.value.hints[-1]
    assert left(home) == []


def test_when_time_is_up_nothing_is_left(colours, pictures, home):
    with pytest.raises(EngineError, match="its time was up"):
        quantise(colours, [], pictures, timeout_seconds=0.01)
    assert left(home) == []


def test_a_network_without_anything_to_quantise_still_gets_a_report(tmp_path, home):
    linear.write_onnx(tmp_path / "linear")
    directory = tmp_path / "rows"
    directory.mkdir()
    rows = np.random.default_rng(2).standard_normal((4, 1, linear.FEATURES)).astype(np.float32)
    for number, row in enumerate(rows):
        np.save(directory / f"{number}.npy", row)
    root = tmp_path / "linear"
    report = quantise(LocalModel(local_spec(root, "linear"), root), [], directory)
    assert report.calibration.count == 4
    assert report.agreement.value > 0.9
