"""Pickles and other frameworks' files: told by content and by name, never opened, with a recipe."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.errors import IntegrityError, UsageError
from paddlesrv.importing.export_config import read_config
from paddlesrv.importing.refusals import Kind, recognise
from tests.standins import linear


class Bomb:
    """An object whose pickle writes a file when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def torch_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        archive.writestr("archive/version", "3")
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def safetensors() -> bytes:
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    return len(header).to_bytes(8, "little") + header + b"\0" * 4


PICKLE = pickle.dumps({"w": [1.0]}, protocol=4)
FILES = {
    "net.pdparams": (PICKLE, "weights of a Paddle network", "paddle.jit.save(network"),
    "net.pdopt": (PICKLE, "weights of a Paddle network", "tools/export_model.py -c"),
    "old.pdparams": (b"(dp0\n.", "weights of a Paddle network", "paddle.jit.save"),
    "net.pkl": (PICKLE, "a pickle", "paddle.jit.save"),
    "net.pickle": (b"garbage", "a pickle", "torch.onnx.export"),
    "net.joblib": (b"x\x9cgarbage", "a pickle", "paddle.jit.save"),
    "net.pth": (torch_zip(), "a PyTorch checkpoint", "torch.onnx.export"),
    "net.pt": (b"garbage", "a PyTorch checkpoint", "torch.onnx.export"),
    "net.ckpt": (PICKLE, "a PyTorch checkpoint", "torch.onnx.export"),
    "renamed": (PICKLE, "a pickle", "paddle.jit.save"),
    "renamed.onnx": (PICKLE, "a pickle", "paddle.jit.save"),
    "renamed.zip": (torch_zip(), "a PyTorch checkpoint", "torch.onnx.export"),
    "objects.npy": (npy(np.array([{}], object)), "a numpy array of objects", "paddle.jit.save"),
    "weights.npy": (npy(np.ones(3)), "numpy arrays", "paddle.jit.save"),
    "net.safetensors": (safetensors(), "weights without a network", "torch.onnx.export"),
    "net.h5": (b"\x89HDF\r\n\x1a\n", "a Keras model", "tf2onnx.convert"),
    "net.tflite": (b"\x1c\0\0\0TFL3", "a TensorFlow Lite model", "--tflite"),
    "saved_model.pb": (b"\x08\x01", "a TensorFlow SavedModel", "--saved-model"),
    "net.xml": (b'<?xml version="1.0"?><net name="m" version="11">', "OpenVINO", ".onnx"),
    "net.gguf": (b"GGUF\3\0\0\0", "llama.cpp", "ollama"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("within", [True, False], ids=["its directory", "the file"])
def test_what_is_no_network_is_named_with_the_way_to_one(within, name, tmp_path, import_, store):
    body, what, step = FILES[name]
    if within and name in ("renamed.onnx", "renamed.zip"):
        pytest.skip("in a directory the name decides what may be a network")
    (tmp_path / "mine").mkdir()
    path = tmp_path / "mine" / name
    path.write_bytes(body)
    with pytest.raises(UsageError) as caught:
        import_(tmp_path / "mine" if within else path, name="mine")
    assert what in caught.value.message
    assert step in " ".join(caught.value.hints)
    assert store.installed_models() == []


def test_a_pickle_is_never_opened(tmp_path, import_):
    (tmp_path / "mine").mkdir()
    linear.write_paddle(tmp_path / "mine")
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"), protocol=4)
    names = ("net.pdparams", "inference.pdiparams", "inference.json", "inference.pdiparams.info")
    for name in names:
        (tmp_path / "mine" / name).write_bytes(bomb)
        with pytest.raises((UsageError, IntegrityError)):
            import_(tmp_path / "mine" / name, run=True)
    with pytest.raises((UsageError, IntegrityError)):
        import_(tmp_path / "mine", run=True)
    assert not (tmp_path / "exploded").exists()


def test_a_pickle_under_the_name_of_parameters_is_refused(tmp_path, import_):
    linear.write_paddle(tmp_path / "mine")
    (tmp_path / "mine" / "inference.pdiparams").write_bytes(PICKLE)
    with pytest.raises(IntegrityError, match="is a pickle"):
        import_(tmp_path / "mine")


def test_weights_beside_a_network_are_left_alone_and_named(tmp_path, import_):
    linear.write_paddle(tmp_path / "mine")
    (tmp_path / "mine" / "net.pdparams").write_bytes(PICKLE)
    (tmp_path / "mine" / "inference.pdiparams.info").write_bytes(PICKLE)  # of every Paddle 2 export
    found = import_(tmp_path / "mine")
    assert found.ignored == ("net.pdparams",)
    assert not (found.installed.directory / "net.pdparams").exists()


def test_an_archive_of_weights_is_refused_as_the_weights_are(tmp_path, import_):
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        archive.writestr("best/net.pdparams", PICKLE)
    with pytest.raises(UsageError, match=r"net\.pdparams is weights of a Paddle network"):
        import_(tmp_path / "mine.zip")


def test_a_recipe_names_the_file_as_a_shell_reads_it(tmp_path, import_):
    path = tmp_path / "my net.pdparams"
    path.write_bytes(PICKLE)
    with pytest.raises(UsageError) as caught:
        import_(path)
    assert any(f"weights='{path}'" in hint for hint in caught.value.hints)


BEGINNINGS = [b"", b"\x93NUMPY", b"PK\x03\x04", torch_zip(), safetensors(), b"\0\0\0\0TFL3", PICKLE]


@given(
    st.sampled_from(BEGINNINGS), st.binary(max_size=64), st.sampled_from(["x", "x.npy", "x.xml"])
)
def test_any_bytes_are_something_or_nothing(tmp_path_factory, beginning, rest, name):
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(beginning + rest)
    assert isinstance(recognise(path), Kind | None)


@given(
    st.one_of(
        st.binary(max_size=200),
        st.text("{}[]:,-&*! \n'\"PostProcess", max_size=200).map(str.encode),
    )
)
def test_any_export_config_is_read_or_doubted(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "inference.yml"
    path.write_bytes(b"PostProcess: {name: DBPostProcess}\n" * (len(text) % 2) + text)
    found = read_config(path)
    assert found.task in (None, "text-detection")
