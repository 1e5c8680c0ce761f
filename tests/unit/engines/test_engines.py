"""What every engine promises, on the linear model in every format."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import numpy as np
import pytest

from paddlesrv.engines import devices, load_engine, paddle
from paddlesrv.engines.base import Engine, EngineOptions
from paddlesrv.engines.builds import Build
from paddlesrv.engines.files import checked_files
from paddlesrv.engines.hardware import Cpu, Gpus
from paddlesrv.engines.quantised import require_quantised
from paddlesrv.engines.variants import VARIANTS
from paddlesrv.errors import DeviceUnavailable, EngineError, IntegrityError
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Tensor
from tests.standins import linear

FORMS = {
    "pir": (linear.write_paddle, "paddle"),
    "program": (linear.write_program, "paddle"),
    "onnx": (linear.write_onnx, "onnxruntime"),
}
ROWS = np.random.default_rng(1).standard_normal((5, 13)).astype(np.float32)


def model(form: str, root: Path) -> ModelSpec:
    FORMS[form][0](root)
    return linear.spec(root)


def load(form: str, root: Path) -> Engine:
    return load_engine(model(form, root), root, EngineOptions(engine=FORMS[form][1]))


def answer(engine: Engine, x: np.ndarray) -> np.ndarray:
    (tensor,) = engine.run({"x": Tensor(x)}).values()
    return tensor.data


@functools.cache
def shared(form: str) -> Engine:
    with tempfile.TemporaryDirectory() as root:
        return load(form, Path(root))


@pytest.fixture(params=sorted(FORMS))
def form(request):
    return request.param


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_the_answer_is_the_known_one(form, rows):
    found = answer(shared(form), ROWS[:rows])
    np.testing.assert_allclose(found, linear.expected(ROWS[:rows]), rtol=1e-5, atol=1e-5)


def test_outputs_have_the_declared_names(form, tmp_path):
    spec = model(form, tmp_path)
    assert list(shared(form).run({"x": Tensor(ROWS)})) == [spec.outputs[0].name]


def test_an_answer_belongs_to_the_caller(form):
    first = answer(shared(form), ROWS)
    before = first.copy()
    answer(shared(form), ROWS * 2)
    np.testing.assert_array_equal(first, before)


def test_inputs_are_only_read(form):
    x = ROWS.copy()
    x.flags.writeable = False
    np.testing.assert_allclose(answer(shared(form), x), linear.expected(x), rtol=1e-5, atol=1e-5)


def test_rows_that_do_not_lie_end_to_end_are_read_rightly(form):
    wide = np.repeat(ROWS, 2, axis=1)[:, ::2]
    np.testing.assert_allclose(
        answer(shared(form), wide), linear.expected(wide), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
    "bad",
    [
        {"x": Tensor(ROWS[:, :12])},
        {"x": Tensor(ROWS[0])},
        {"x": Tensor(ROWS.astype(np.float64))},
        {"x": Tensor(np.array([["text"] * 13], dtype=object))},
        {},
        {"x": Tensor(ROWS), "z": Tensor(ROWS)},
        {"z": Tensor(ROWS)},
    ],
    ids=["columns", "rank", "float64", "objects", "nothing", "too-many", "another-name"],
)
def test_bad_input_is_an_engine_error_and_the_engine_goes_on(form, bad):
    engine = shared(form)
    answer(engine, ROWS)
    with pytest.raises(EngineError) as caught:
        engine.run(bad)
    assert caught.value.message.startswith("linear ")
    assert "\n" not in caught.value.message
    assert "/paddle/" not in caught.value.message
    np.testing.assert_allclose(answer(engine, ROWS), linear.expected(ROWS), rtol=1e-5, atol=1e-5)


def test_an_error_of_the_network_keeps_the_whole_story_as_its_cause():
    with pytest.raises(EngineError, match="second dimension is 12") as caught:
        shared("program").run({"x": Tensor(ROWS[:, :12])})
    assert "[Hint: " in str(caught.value.__cause__)
    assert "[Hint: " not in caught.value.message


def test_a_trace_of_paddle_is_cut_to_what_it_says():
    text = (
        "In user code:\n\n  File train.py\n\n--------------\nC++ Traceback\n0 paddle::Run()\n\n"
        "----------------------\nError Message Summary:\n----------------------\n"
        "InvalidArgumentError: rank is 3, not 4.\n  [Hint: Expected 4.] (at /paddle/x.cc:1)\n"
    )
    assert paddle.summary(ValueError(text)) == "InvalidArgumentError: rank is 3, not 4"
    assert paddle.summary(RuntimeError("")) == "RuntimeError"


def test_a_closed_engine_says_so(form, tmp_path):
    engine = load(form, tmp_path)
    engine.close()
    with pytest.raises(EngineError, match="linear is closed"):
        engine.run({"x": Tensor(ROWS)})


@pytest.mark.parametrize("variant", sorted(VARIANTS))
@pytest.mark.parametrize("form", ["pir", "program"])
def test_every_variant_of_paddle_gives_the_known_answer(form, variant, tmp_path):
    spec = model(form, tmp_path)
    engine = paddle.load(spec, tmp_path, EngineOptions(threads=2, variant=variant))
    np.testing.assert_allclose(answer(engine, ROWS), linear.expected(ROWS), rtol=1e-5, atol=1e-5)


# -- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["pir", "program"])
def test_parameters_that_are_gone_are_an_error_and_not_zeros(form, tmp_path):
    spec = model(form, tmp_path)
    (tmp_path / "inference.pdiparams").unlink()
    with pytest.raises(IntegrityError, match="missing"):
        load_engine(spec, tmp_path, EngineOptions())


def test_a_file_with_another_digest_is_not_loaded(form, tmp_path):
    spec = model(form, tmp_path)
    digest = hashlib.sha256((tmp_path / spec.program).read_bytes()).hexdigest()
    options = EngineOptions(engine=FORMS[form][1])
    good = msgspec.structs.replace(spec, digests={spec.program: digest})
    assert answer(load_engine(good, tmp_path, options), ROWS).shape == (5, 1)
    bad = msgspec.structs.replace(spec, digests={spec.program: "0" * 64})
    with pytest.raises(IntegrityError, match="has changed since it was installed"):
        load_engine(bad, tmp_path, options)


@pytest.mark.parametrize("form", ["pir", "program"])
def test_parameters_of_nothing_do_not_load(form, tmp_path):
    spec = model(form, tmp_path)
    params = tmp_path / "inference.pdiparams"
    params.write_bytes(params.read_bytes()[:20])
    with pytest.raises(EngineError, match="paddle cannot load linear"):
        load_engine(spec, tmp_path, EngineOptions())


def test_an_output_that_the_network_lacks_is_found_at_load(form, tmp_path):
    spec = msgspec.structs.replace(
        model(form, tmp_path),
        outputs=(TensorSpec(name="price", dtype="float32", shape=(-1, 1)),),
    )
    with pytest.raises(EngineError, match="has no output 'price'"):
        load_engine(spec, tmp_path, EngineOptions(engine=FORMS[form][1]))


def test_a_program_without_its_parameters_in_one_file_loads_from_its_directory(tmp_path):
    spec = model("program", tmp_path / "combined")
    scattered = tmp_path / "scattered"
    scattered.mkdir()
    (scattered / "__model__").write_bytes((tmp_path / "combined" / spec.program).read_bytes())
    _scatter(tmp_path / "combined" / "inference.pdiparams", scattered)
    spec = msgspec.structs.replace(spec, program="__model__", params=None)
    engine = load_engine(spec, scattered, EngineOptions())
    np.testing.assert_allclose(answer(engine, ROWS), linear.expected(ROWS), rtol=1e-5, atol=1e-5)


def _scatter(params: Path, directory: Path) -> None:
    """Cut combined parameters into one file each; they lie in the order of their names."""
    data = params.read_bytes()
    # Each is a header and its numbers; the header of W says one dimension, 2 bytes, more.
    header = (len(data) - 4 * (linear.W.size + linear.B.size) - 2) // 2
    cut = header + 4 * linear.B.size
    (directory / "linear_0.b_0").write_bytes(data[:cut])
    (directory / "linear_0.w_0").write_bytes(data[cut:])


# -- devices ------------------------------------------------------------------------------------


def test_a_gpu_that_is_not_there_is_refused_and_never_replaced(form, tmp_path):
    from paddlesrv.engines.base import Device
    from paddlesrv.engines.devices import describe

    options = EngineOptions(engine=FORMS[form][1], device=Device("gpu", 99))
    assert len(describe().gpus.devices) < 99
    with pytest.raises(DeviceUnavailable, match="GPU 99 is not available"):
        load_engine(model(form, tmp_path), tmp_path, options)


def test_a_program_that_did_not_come_quantised_is_not_run_in_int8_by_paddle(tmp_path, monkeypatch):
    able = devices.Machine(
        (Build("paddle", "paddlepaddle", "3.3.1"),), Cpu("a CPU", 4, ("avx512_vnni",)), Gpus(None)
    )
    monkeypatch.setattr(devices, "describe", lambda: able)
    spec = model("program", tmp_path)
    with pytest.raises(DeviceUnavailable, match="did not come quantised") as caught:
        load_engine(spec, tmp_path, EngineOptions(precision="int8"))
    assert "--calibrate DIR" in caught.value.hints[0]


def test_a_program_that_came_quantised_is_known_by_its_operators(tmp_path):
    code = (
        "import sys, paddle\n"
        "from paddle.nn.quant import quant_layers\n"
        "class Net(paddle.nn.Layer):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.seen = quant_layers.FakeQuantAbsMax(name='seen')\n"
        "    def forward(self, x):\n"
        "        return self.seen(x)\n"
        "net = Net(); net.eval()\n"
        "x = paddle.static.InputSpec([None, 13], 'float32', 'x')\n"
        "paddle.jit.save(net, sys.argv[1] + '/inference', input_spec=[x])\n"
    )
    script = tmp_path / "make.py"  # a file: paddle reads the source of what it exports
    script.write_text(code)
    place = tmp_path / "net"
    done = subprocess.run(
        [sys.executable, str(script), str(place)],
        env={**os.environ, "FLAGS_enable_pir_api": "0"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    spec = linear.spec(place)
    require_quantised(spec, checked_files(spec, place))
