"""What `read_signature` promises: the right signature, or an IntegrityError, for any bytes."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paddlesrv.errors import IntegrityError, NotFound
from paddlesrv.models.signature import read_signature
from paddlesrv.models.spec import TensorSpec
from tests.standins import linear

X = TensorSpec(name="x", dtype="float32", shape=(-1, 13))
WRITERS = {
    "inference.json": linear.write_paddle,
    "inference.pdmodel": linear.write_program,
    "model.onnx": linear.write_onnx,
}


@functools.cache
def _bytes(program: str) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        WRITERS[program](Path(directory))
        return (Path(directory) / program).read_bytes()


# -- layouts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "kind", "params", "output"),
    [
        ("inference.json", "paddle-pir", "inference.pdiparams", "fetch_name_0"),
        ("inference.pdmodel", "paddle-program", "inference.pdiparams", "linear_0.tmp_1"),
        ("model.onnx", "onnx", None, "y"),
    ],
)
def test_each_format_declares_the_same_network(tmp_path, program, kind, params, output):
    WRITERS[program](tmp_path)
    signature = read_signature(tmp_path)
    assert (signature.format, signature.program, signature.params) == (kind, program, params)
    assert signature.inputs == (X,)
    assert signature.outputs == (TensorSpec(name=output, dtype="float32", shape=(-1, 1)),)
    assert signature.files == tuple(filter(None, (program, params)))


@pytest.mark.parametrize("params", ["__params__", "params"])
def test_a_paddle_1_model_with_combined_parameters_is_found(tmp_path, params):
    linear.write_program(tmp_path)
    (tmp_path / "inference.pdmodel").rename(tmp_path / "__model__")
    (tmp_path / "inference.pdiparams").rename(tmp_path / params)
    signature = read_signature(tmp_path)
    assert (signature.program, signature.params) == ("__model__", params)


def test_a_paddle_1_model_with_scattered_parameters_is_found(tmp_path):
    linear.write_program(tmp_path)
    (tmp_path / "inference.pdmodel").rename(tmp_path / "__model__")
    (tmp_path / "inference.pdiparams").unlink()
    for name in ("linear_0.w_0", "linear_0.b_0"):
        (tmp_path / name).write_bytes(b"\0" * 8)
    signature = read_signature(tmp_path)
    assert signature.params is None
    assert signature.files == ("__model__", "linear_0.b_0", "linear_0.w_0")


def test_a_model_is_found_where_an_archive_buried_it(tmp_path):
    linear.write_paddle(tmp_path / "archive" / "inference")
    (tmp_path / "config.json").write_text('{"magic": "of another kind"}')
    assert read_signature(tmp_path).program == "archive/inference/inference.json"


def test_a_program_named_by_the_caller_is_taken_among_several(tmp_path):
    linear.write_onnx(tmp_path / "a")
    linear.write_onnx(tmp_path / "b")
    with pytest.raises(IntegrityError, match="2 models lie in"):
        read_signature(tmp_path)
    assert read_signature(tmp_path, "b/model.onnx").program == "b/model.onnx"


def test_external_weights_of_an_onnx_model_belong_to_it(tmp_path):
    import onnx

    linear.write_onnx(tmp_path)
    model = onnx.load(tmp_path / "model.onnx")
    onnx.save(
        model,
        tmp_path / "model.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    assert read_signature(tmp_path).files == ("model.onnx", "weights.bin")
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(IntegrityError, match=r"parameters of model\.onnx are missing"):
        read_signature(tmp_path)


def test_external_weights_outside_the_model_are_refused(tmp_path):
    from onnx import TensorProto, helper

    weight = TensorProto(name="W", data_type=TensorProto.FLOAT, dims=[1])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../secret")
    value = functools.partial(helper.make_tensor_value_info, elem_type=1, shape=["n"])
    graph = helper.make_graph([], "g", [value("x")], [value("y")], [weight])
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "m.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(IntegrityError) as caught:
        read_signature(tmp_path / "model")
    assert caught.value.context["missing"] == "../secret"


# -- what is missing or must not be used --------------------------------------------------------


@pytest.mark.parametrize("program", ["inference.json", "inference.pdmodel"])
def test_missing_parameters_are_an_error_and_not_zeros(tmp_path, program):
    (tmp_path / program).write_bytes(_bytes(program))
    with pytest.raises(IntegrityError, match=f"parameters of {program} are missing"):
        read_signature(tmp_path)


def test_empty_parameters_are_an_error(tmp_path):
    linear.write_paddle(tmp_path)
    (tmp_path / "inference.pdiparams").write_bytes(b"")
    with pytest.raises(IntegrityError, match="has lost its parameters"):
        read_signature(tmp_path)


def test_pickled_weights_are_refused_with_the_way_to_export(tmp_path):
    (tmp_path / "model.pdparams").write_bytes(b"\x80\x04.")
    with pytest.raises(IntegrityError, match="is a pickle") as caught:
        read_signature(tmp_path)
    assert "paddle.jit.save" in caught.value.hints[0]


def test_a_pickle_under_the_name_of_parameters_is_refused(tmp_path):
    linear.write_paddle(tmp_path)
    (tmp_path / "inference.pdiparams").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(IntegrityError, match="is a pickle"):
        read_signature(tmp_path)


def test_a_directory_without_a_model_says_what_was_looked_for(tmp_path):
    with pytest.raises(IntegrityError) as caught:
        read_signature(tmp_path)
    assert "*.pdmodel" in caught.value.context["looked for"]


def test_a_directory_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(NotFound):
        read_signature(tmp_path / "nothing")


# -- batching and aliases -----------------------------------------------------------------------


def test_a_fixed_first_dimension_means_that_nothing_is_batched(tmp_path):
    from onnx import helper

    value = functools.partial(helper.make_tensor_value_info, elem_type=1)
    graph = helper.make_graph([], "g", [value("x", shape=[1, 3])], [value("y", shape=[])])
    (tmp_path / "m.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    signature = read_signature(tmp_path)
    assert [t.batching for t in (*signature.inputs, *signature.outputs)] == ["whole", "whole"]


def test_names_of_serving_clients_are_known(tmp_path):
    linear.write_program(tmp_path)
    (tmp_path / "serving_server_conf.prototxt").write_text(
        """
        feed_var { name: "x" alias_name: "features"  # what clients send
          is_lod_tensor: false feed_type: 1 shape: 13 }
        fetch_var: < name: 'linear_0.tmp_1', alias_name: "price"; fetch_type: 1 shape: [1] >
        fetch_var { name: "of another export" alias_name: "stray" }
        """
    )
    assert read_signature(tmp_path).aliases == {"features": "x", "price": "linear_0.tmp_1"}


@pytest.mark.parametrize(
    "text", ["feed_var {", "feed_var { name: }", "feed_var { alias_name: 'x' }", "feed_var: [", "}"]
)
def test_a_damaged_serving_config_is_an_integrity_error(tmp_path, text):
    linear.write_program(tmp_path)
    (tmp_path / "serving_server_conf.prototxt").write_text(text)
    with pytest.raises(IntegrityError, match="prototxt is damaged"):
        read_signature(tmp_path)


# -- any bytes ----------------------------------------------------------------------------------

_any_bytes = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _signature_or_integrity_error(program: str, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / program).write_bytes(data)
        (Path(directory) / "inference.pdiparams").write_bytes(b"\0" * 64)
        try:
            signature = read_signature(Path(directory), program)
        except IntegrityError:
            return
        assert signature.inputs
        assert signature.outputs


@_any_bytes
@given(program=st.sampled_from(sorted(WRITERS)), data=st.binary(max_size=400))
def test_random_bytes_are_no_model_and_no_crash(program, data):
    head = b'{"base_code":{"magic":"pir"' if program.endswith("json") else b""
    _signature_or_integrity_error(program, head + data)


@_any_bytes
@given(program=st.sampled_from(sorted(WRITERS)), cut=st.floats(0, 1))
def test_a_model_cut_anywhere_is_no_crash(program, cut):
    whole = _bytes(program)
    _signature_or_integrity_error(program, whole[: int(len(whole) * cut)])


@_any_bytes
@given(
    program=st.sampled_from(sorted(WRITERS)),
    where=st.floats(0, 0.999),
    patch=st.binary(min_size=1, max_size=12),
)
def test_a_model_damaged_anywhere_is_no_crash(program, where, patch):
    data = bytearray(_bytes(program))
    position = int(len(data) * where)
    data[position : position + len(patch)] = patch
    _signature_or_integrity_error(program, bytes(data))


@_any_bytes
@given(text=st.text(alphabet="feed_var name{}<>[]:;,'\"\\1 \n#", max_size=80))
def test_any_text_is_a_serving_config_or_an_integrity_error(text):
    with tempfile.TemporaryDirectory() as directory:
        linear.write_onnx(Path(directory))
        (Path(directory) / "serving_server_conf.prototxt").write_text(text)
        try:
            signature = read_signature(Path(directory))
        except IntegrityError:
            return
        assert set(signature.aliases.values()) <= {"x", "y"}


@pytest.mark.parametrize("brackets", [b"[", b'{"a":'])
def test_json_nested_without_end_is_an_integrity_error(tmp_path, brackets):
    deep = b'{"base_code":{"magic":"pir"},"program":' + brackets * 200_000
    (tmp_path / "deep.json").write_bytes(deep)
    with pytest.raises(IntegrityError, match=r"deep\.json is damaged"):
        read_signature(tmp_path)


def test_neither_engine_is_imported_to_read_a_signature(tmp_path):
    for write in (linear.write_paddle, linear.write_onnx):
        write(tmp_path)
    shutil.move(tmp_path / "model.onnx", tmp_path / "inference.onnx")
    code = (
        "import sys, pathlib\n"
        "from paddlesrv.models.signature import read_signature\n"
        f"read_signature(pathlib.Path({str(tmp_path)!r}))\n"
        "sys.exit(bool({'paddle', 'onnxruntime', 'onnx', 'numpy'} & set(sys.modules)))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
