"""Networks in int8 for ONNX Runtime: where they lie, and which of them are there.

They are made by `paddlesrv.precision`, from a model and its user's own pictures or texts, and are
kept in the store by the digests of the model's files. One that lies here has been accepted.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from paddlesrv.engines.files import ModelFiles, checked_files, sha256
from paddlesrv.errors import DeviceUnavailable
from paddlesrv.models.spec import ModelSpec
from paddlesrv.settings import from_environment

DIRECTORY = "quantised"
"""In the store."""
MODEL = "model.onnx"
REPORT = "report.json"

_FORM = "onnx int8 1\n"
_SIGNS = (b"QuantizeLinear", b"QLinearConv", b"QLinearMatMul")
"""Operators of an ONNX network that is quantised already."""
_SLIM = (
    "quantize_linear", "fake_quantize_abs_max", "fake_quantize_range_abs_max",
    "fake_quantize_moving_average_abs_max", "fake_quantize_dequantize_abs_max",
    "fake_quantize_dequantize_moving_average_abs_max", "fake_channel_wise_quantize_abs_max",
    "fake_channel_wise_quantize_dequantize_abs_max",
)  # fmt: skip
"""Operators that PaddleSlim leaves in a program that it has quantised."""


def quantised(spec: ModelSpec, root: Path, cache_dir: Path | None = None) -> tuple[ModelSpec, Path]:
    """The int8 form of a model, and the directory that it lies in.

    An ONNX model that is quantised as it came is its own int8 form. Tensors keep their names,
    roles and rules.

    Args:
        spec: The model, in any format.
        root: The directory that the spec's paths start from.
        cache_dir: The store's directory; by default the one that the environment says.

    Raises:
        IntegrityError: a file of the model is missing or damaged.
        DeviceUnavailable: no int8 form was made of it, or none was accepted.
    """
    files = checked_files(spec, root)
    if is_quantised(files):
        return spec, root
    place = place_of(files, cache_dir)
    if not (place / REPORT).is_file():
        raise absent(spec)
    form = msgspec.structs.replace(
        spec,
        format="onnx",
        program=MODEL,
        params=None,
        outputs=spec.outputs or files.signature.outputs,
        digests={},
    )
    return form, place


def is_quantised(files: ModelFiles) -> bool:
    """Whether an ONNX network computes in 8 bits as it came."""
    if files.signature.format != "onnx":
        return False
    content = files.program.read_bytes()
    return any(sign in content for sign in _SIGNS)


def require_quantised(spec: ModelSpec, files: ModelFiles) -> None:
    """Make sure that a Paddle program came quantised (PACT, KL).

    Raises:
        DeviceUnavailable: its operators are plain ones, which would run as ever.
    """
    content = files.program.read_bytes()
    if not any(sign in content for sign in _signs(spec)):
        raise DeviceUnavailable(
            f"{spec.name} did not come quantised, and paddle quantises nothing by itself",
            context={"wanted": "--precision int8 --engine paddle"},
            hints=[
                "quantise it for ONNX Runtime: "
                f"paddlesrv serve {spec.name} --precision int8 --calibrate DIR"
            ],
        )


def _signs(spec: ModelSpec) -> list[bytes]:
    """How the program of a quantised network names such an operator.

    Every ProgramDesc lists the versions of all operators there are, so the name alone is no sign:
    the type of one that is used is field 3 of its OpDesc (framework.proto).
    """
    if spec.format == "paddle-pir":
        return [f'.{name}"'.encode() for name in _SLIM]
    return [b"\x1a" + bytes([len(name)]) + name.encode() for name in _SLIM]


def place_of(files: ModelFiles, cache_dir: Path | None = None) -> Path:
    """Where the int8 form of these very files lies, if there is one."""
    root = files.program.parent
    for _ in Path(files.signature.program).parts[1:]:
        root = root.parent
    digest = hashlib.sha256(_FORM.encode())
    for name in files.signature.files:
        digest.update(f"{name} {sha256(root / name)}\n".encode())
    return (cache_dir or from_environment().cache_dir) / DIRECTORY / digest.hexdigest()


def absent(spec: ModelSpec) -> DeviceUnavailable:
    """The refusal of a model that has no int8 form."""
    return DeviceUnavailable(
        f"{spec.name} has not been quantised: there is no int8 form of it",
        context={"wanted": "--precision int8", "needs": "pictures or texts such as it will get"},
        hints=[
            f"make it once: paddlesrv serve {spec.name} --precision int8 --calibrate DIR",
            f"or run it as it is: paddlesrv serve {spec.name} --precision fp32",
        ],
    )
