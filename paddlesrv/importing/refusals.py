"""Files that are no network which can be served: what each is, and the way from it to one that is.

A pickle is refused without being opened: opening one runs whatever its author wanted. It is told by
its first bytes as well as by its name, since names lie.
"""

from __future__ import annotations

import shlex
import zipfile
from collections.abc import Iterable
from pathlib import Path

import msgspec

from paddlesrv.errors import UsageError

_HEAD_BYTES = 4096
_PICKLE_PROTOCOLS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_PROGRAM_NAMES = ("__model__", ".pdmodel", ".onnx", ".json")

_JIT_SAVE = (
    "export the network, in Python: paddle.jit.save(network, 'inference', "
    "input_spec=[paddle.static.InputSpec([None, 3, 224, 224], 'float32', 'x')])"
)
_EXPORT_TOOLS = (
    "or in PaddleDetection: python tools/export_model.py -c CONFIG.yml -o weights={path}",
    "or in PaddleOCR and PaddleClas: "
    "python tools/export_model.py -c CONFIG.yml -o Global.pretrained_model={stem}",
    "or in PaddleSeg: python tools/export.py --config CONFIG.yml --model_path {path}",
    "or in PaddleNLP: python export_model.py --params_path {path} --output_path ./inference",
)
_TORCH = (
    "export the network, in Python: torch.onnx.export(network.eval(), (example_input,), "
    "'model.onnx', dynamo=False)"
)
_THEN_ONNX = "then: paddlesrv import model.onnx"
_THEN_PADDLE = "then: paddlesrv import DIRECTORY, the one with inference.pdiparams"
_TF2ONNX = "convert it: pip install tf2onnx && python -m tf2onnx.convert --output model.onnx"
_WAY_BACK = (
    "nothing leads back from it: import what it was made of, an .onnx file or a Paddle network"
)


class Kind(msgspec.Struct, frozen=True):
    """What a file is: the words for it, the way to a network, and whether opening it runs code."""

    what: str
    steps: tuple[str, ...]
    runs_code: bool = False

    def recipe(self, path: Path) -> list[str]:
        """What to do, in exact commands."""
        places = {
            "{path}": str(path),
            "{stem}": str(path.with_suffix("")),
            "{directory}": str(path.parent),
        }
        steps = list(self.steps)
        for word, place in places.items():
            steps = [step.replace(word, shlex.quote(place)) for step in steps]
        return steps


PADDLE_WEIGHTS = Kind(
    "weights of a Paddle network, as a pickle",
    (_JIT_SAVE, *_EXPORT_TOOLS, _THEN_PADDLE),
    runs_code=True,
)
TORCH = Kind("a PyTorch checkpoint, which is a pickle", (_TORCH, _THEN_ONNX), runs_code=True)
PICKLE = Kind("a pickle", (_JIT_SAVE, f"or of PyTorch: {_TORCH}", _THEN_PADDLE), runs_code=True)
NUMPY_PICKLE = Kind(
    "a numpy array of objects, which is a pickle", (_JIT_SAVE, _THEN_PADDLE), runs_code=True
)
NUMPY = Kind("numpy arrays: weights without a network", (_JIT_SAVE, _THEN_PADDLE))
SAFETENSORS = Kind(
    "weights without a network (safetensors)",
    (_JIT_SAVE, f"or of PyTorch: {_TORCH}", _THEN_ONNX),
)
SAVED_MODEL = Kind("a TensorFlow SavedModel", (_TF2ONNX + " --saved-model {directory}", _THEN_ONNX))
FROZEN_GRAPH = Kind(
    "a TensorFlow graph",
    (_TF2ONNX + " --graphdef {path} --inputs NAME:0 --outputs NAME:0", _THEN_ONNX),
)
KERAS = Kind("a Keras model", (_TF2ONNX + " --keras {path}", _THEN_ONNX))
TFLITE = Kind("a TensorFlow Lite model", (_TF2ONNX + " --tflite {path}", _THEN_ONNX))
OPENVINO = Kind("an OpenVINO network", (_WAY_BACK,))
COMPILED = Kind("a network compiled for one kind of machine", (_WAY_BACK,))
GGUF = Kind(
    "a language model of llama.cpp (GGUF)", ("serve it with a server for them, such as ollama",)
)

_ORDER = (
    PADDLE_WEIGHTS, TORCH, SAVED_MODEL, KERAS, TFLITE, OPENVINO, COMPILED, GGUF, FROZEN_GRAPH,
    SAFETENSORS, PICKLE, NUMPY_PICKLE, NUMPY,
)  # fmt: skip
"""Where a directory holds several, the most telling one first."""

_BY_SUFFIX = {
    ".pdparams": PADDLE_WEIGHTS,
    ".pdopt": PADDLE_WEIGHTS,
    ".pdema": PADDLE_WEIGHTS,
    ".pdstates": PADDLE_WEIGHTS,
    ".pkl": PICKLE,
    ".pickle": PICKLE,
    ".joblib": PICKLE,
    ".pt": TORCH,
    ".pth": TORCH,
    ".ckpt": TORCH,
    ".npy": NUMPY,
    ".npz": NUMPY,
    ".safetensors": SAFETENSORS,
    ".pb": FROZEN_GRAPH,
    ".h5": KERAS,
    ".hdf5": KERAS,
    ".keras": KERAS,
    ".tflite": TFLITE,
    ".nb": COMPILED,
    ".engine": COMPILED,
    ".plan": COMPILED,
    ".trt": COMPILED,
    ".gguf": GGUF,
}


def recognise(path: Path) -> Kind | None:
    """What a regular file is, if it is one of these; the content goes before the name.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    by_name = _BY_SUFFIX.get(path.suffix.lower())
    if head.startswith(_PICKLE_PROTOCOLS):
        return by_name if by_name and by_name.runs_code else PICKLE
    if head.startswith(b"\x93NUMPY"):
        return NUMPY_PICKLE if b"'O'" in head[:256] or b"|O" in head[:256] else NUMPY
    if head.startswith(b"PK\x03\x04"):
        return by_name or (TORCH if _is_torch(path) else None)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return KERAS
    if head.startswith(b"GGUF"):
        return GGUF
    if head[4:8] == b"TFL3":
        return TFLITE
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return SAFETENSORS
    if path.name == "saved_model.pb":
        return SAVED_MODEL
    if path.suffix.lower() == ".xml":
        return OPENVINO if b"<net " in head else None
    return by_name


def refusal(path: Path, kind: Kind) -> UsageError:
    """The refusal of a file, with the way to one that can be served.

    It is a mistake in what was named, not damage, hence a `UsageError`.
    """
    context = {"file": str(path)}
    if kind.runs_code:
        context["why"] = "a pickle holds no network, and can run code when it is opened"
    context["wanted"] = "a Paddle inference model (program and parameters), or an .onnx file"
    return UsageError(
        f"{path.name} is {kind.what}, not a network that can be served",
        context=context,
        hints=kind.recipe(path),
    )


def refused_among(paths: Iterable[Path]) -> list[tuple[Path, Kind]]:
    """The files that must be refused, the most telling one first."""
    found = [(path, kind) for path in paths if (kind := recognise(path)) is not None]
    return sorted(found, key=lambda pair: _ORDER.index(pair[1]))


def _is_torch(path: Path) -> bool:
    """Whether a zip archive is what torch.save writes, and not an archive with a model in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False
    return any(name.endswith("data.pkl") for name in names) and not any(
        name.endswith(_PROGRAM_NAMES) for name in names
    )
