"""The process that converts one Paddle model to ONNX and compares the two; see `conversion`.

Reads a `Request` from standard input and writes a `Report` to the file that it names. The only
module that imports paddle2onnx and onnx.
"""

from __future__ import annotations

import importlib.metadata
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from paddlesrv.engines import onnxruntime, paddle
from paddlesrv.engines.base import EngineOptions
from paddlesrv.engines.check_input import check_input
from paddlesrv.engines.conversion import Report, Request
from paddlesrv.engines.files import ModelFiles, checked_files
from paddlesrv.engines.variants import difference
from paddlesrv.errors import PaddlesrvError
from paddlesrv.isolated import die_with
from paddlesrv.models.onnx_graph import read_onnx

_BATCHES = (1, 3)  # a conversion may fix the batch at 1, and one row would not show it


def main() -> None:
    """Do what standard input asks."""
    die_with(int(sys.argv[1]))
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    try:
        _export(request)
        report = Report(difference=_difference(request))
    except PaddlesrvError as error:
        report = Report(error=error.message)
    Path(request.report).write_bytes(msgspec.json.encode(report))


def with_float_scales(program: dict[str, Any]) -> dict[str, Any]:
    """A PIR program whose interpolations have 32-bit scales, which is all that paddle2onnx reads.

    Paddle 3 writes them as 64-bit numbers; the program is changed in place.
    """
    for region in program["program"]["regions"]:
        for block in region["blocks"]:
            for operator in block["ops"]:
                if operator["#"].endswith("_interp"):
                    for attribute in operator["A"]:
                        _shorten(attribute["AT"])
    return program


def _shorten(value: dict[str, Any]) -> None:
    if value["#"].endswith(".a_array"):
        for element in value["D"]:
            _shorten(element)
    elif value["#"].endswith(".a_f64"):
        value["#"] = value["#"].replace(".a_f64", ".a_f32")


def _export(request: Request) -> None:
    files = checked_files(request.spec, Path(request.root))
    installed = importlib.metadata.version("paddle2onnx")
    if int(installed.partition(".")[0]) >= 2:
        _export_pir(files, request)
    elif files.signature.format == "paddle-program" and files.params is not None:
        _paddle2onnx(files.program, files.params, request)
    else:
        raise PaddlesrvError(f"paddle2onnx {installed} reads no PIR and no scattered parameters")
    _name_outputs(Path(request.target), [tensor.name for tensor in files.signature.outputs])


def _export_pir(files: ModelFiles, request: Request) -> None:
    """Version 2 of paddle2onnx reads PIR only; its own translation to it loses scattered params."""
    with tempfile.TemporaryDirectory() as scratch:
        program, params = _as_pir(files, Path(scratch))
        # The default tool installs packages while it runs; onnxruntime optimises at load.
        _paddle2onnx(program, params, request, optimize_tool="None")


def _paddle2onnx(program: Path, params: Path, request: Request, **options: str) -> None:
    import paddle2onnx

    paddle2onnx.export(
        str(program),
        str(params),
        request.target,
        opset_version=request.opset,
        auto_upgrade_opset=True,
        **options,
    )
    target = Path(request.target)
    if not target.is_file() or not target.stat().st_size:
        raise PaddlesrvError("paddle2onnx does not know one of its operators")


def _as_pir(files: ModelFiles, scratch: Path) -> tuple[Path, Path]:
    source, params = files.program, files.params
    if files.signature.format == "paddle-program":
        source = scratch / "translated.json"
        paddle.save_as_pir(files.program, files.params, source)
        params = source.with_suffix(".pdiparams")
    program = scratch / "inference.json"
    tree = with_float_scales(msgspec.json.decode(source.read_bytes()))
    program.write_bytes(msgspec.json.encode(tree))
    return program, params or scratch / "none"


def _name_outputs(path: Path, names: list[str]) -> None:
    """Give the graph's outputs the names by which the original is known."""
    written = [tensor.name for tensor in read_onnx(memoryview(path.read_bytes())).outputs]
    if written == names:
        return
    if len(written) != len(names):
        raise PaddlesrvError(f"paddle2onnx wrote {len(written)} outputs, not {len(names)}")
    import onnx

    model = onnx.load(path)
    for output, name in zip(model.graph.output, names, strict=True):
        if output.name != name:
            model.graph.node.append(onnx.helper.make_node("Identity", [output.name], [name]))
            output.name = name
    onnx.save(model, path)


def _difference(request: Request) -> float:
    spec, root, target = request.spec, Path(request.root), Path(request.target)
    onnx_spec = msgspec.structs.replace(
        spec, format="onnx", program=target.name, params=None, digests={}
    )
    original = paddle.load(spec, root, EngineOptions())
    twin = onnxruntime.load(onnx_spec, target.parent, EngineOptions(engine="onnxruntime"))
    inputs = [check_input(spec, rows) for rows in _BATCHES]
    return max(difference(twin.run(batch), original.run(batch)) for batch in inputs)


if __name__ == "__main__":
    main()
