"""`read_signature`: what a model's own files say of it, without paddle or onnxruntime.

The files are input from outside: whatever their bytes, the answer is a signature or an error.
Knowledge that files do not hold (roles, labels, true output types) is added by the catalogue.
"""

from __future__ import annotations

import mmap
from pathlib import Path

import msgspec

from paddlesrv.errors import IntegrityError, NotFound
from paddlesrv.models import layout, serving_conf
from paddlesrv.models.graph import Graph, tensor_specs
from paddlesrv.models.onnx_graph import read_onnx
from paddlesrv.models.pir import read_pir
from paddlesrv.models.program import read_program
from paddlesrv.models.spec import Format, TensorSpec
from paddlesrv.models.wire import Malformed

PROGRAM_MAX_BYTES = 1 << 28
ONNX_MAX_BYTES = 1 << 31  # what one protobuf message may be


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """What the files declare. Paths are relative to the directory that was read.

    `params` is None where parameters lie one file each beside the program, where they are part of
    it (ONNX), or where there are none. `files` are all files that the network needs, program
    first. `aliases` are the names by which Paddle Serving's clients know the tensors.
    """

    format: Format
    program: str
    params: str | None
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    files: tuple[str, ...] = ()
    aliases: dict[str, str] = {}


def read_signature(directory: Path, program: str | None = None) -> Signature:
    """Find the model in a directory and read what it declares.

    Batching rules are guessed from the shapes: sequences by their offsets, a variable first
    dimension by rows, all else not at all.

    Args:
        directory: Where the model's files lie, at the top or a few directories down.
        program: The program's path in it, where it is known; else it is looked for.

    Raises:
        NotFound: the directory, or the program named, does not exist.
        IntegrityError: no model is there, it is damaged, its parameters are missing, or there are
            only pickles.
    """
    kind, path = _named(directory, program) if program else layout.find_program(directory)
    try:
        graph = _read(kind, path)
        inputs, outputs = tensor_specs(graph.inputs, "input"), tensor_specs(graph.outputs, "output")
    except Malformed as error:
        raise IntegrityError(
            f"{path.name} is damaged, or is not a model: {error}",
            context={"file": str(path), "read as": kind},
        ) from error
    params, beside = _parameters(path, graph, kind)
    relative = [str(file.relative_to(directory)) for file in (path, *beside)]
    return Signature(
        format=kind,
        program=relative[0],
        params=str(params.relative_to(directory)) if params else None,
        inputs=inputs,
        outputs=outputs,
        files=tuple(relative),
        aliases=_aliases(path.parent, {tensor.name for tensor in (*inputs, *outputs)}),
    )


def _named(directory: Path, program: str) -> tuple[Format, Path]:
    path = directory / program
    if not path.is_file():
        raise NotFound(f"{program} is not in {directory}")
    kind = layout.program_format(path)
    if kind is None:
        raise IntegrityError(f"{program} is not a model that paddlesrv knows how to read")
    return kind, path


def _read(kind: Format, path: Path) -> Graph:
    size = path.stat().st_size
    limit = ONNX_MAX_BYTES if kind == "onnx" else PROGRAM_MAX_BYTES
    if size == 0:
        raise Malformed("it is empty")
    if size > limit:
        raise Malformed(f"it is {size} bytes long, more than {limit}")
    if kind == "paddle-pir":
        return read_pir(path.read_bytes())
    if kind == "paddle-program":
        return read_program(memoryview(path.read_bytes()))
    # An ONNX model holds its weights too: it is mapped, so that skipped weights are not read. What
    # is left of the map goes with its last view.
    with path.open("rb") as file:
        return read_onnx(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))


def _parameters(program: Path, graph: Graph, kind: Format) -> tuple[Path | None, list[Path]]:
    """The combined parameter file, if any, and all files beside the program."""
    if kind == "onnx":
        absent = layout.missing(program, graph.external)
        if absent:
            raise _missing(program, absent)
        return None, [program.parent / name for name in graph.external]
    if not graph.parameters:
        return None, []
    if kind == "paddle-program":
        absent = layout.missing(program, graph.parameters)
        if not absent:
            return None, sorted({program.parent / name for name in graph.parameters})
    else:
        absent = [program.with_suffix(layout.PARAMS_SUFFIX).name]
    params = layout.find_params(program)
    if params is None:
        raise _missing(program, absent)
    layout.check_params(params)
    return params, [params]


def _missing(program: Path, names: list[str]) -> IntegrityError:
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return IntegrityError(
        f"the parameters of {program.name} are missing",
        context={"directory": str(program.parent), "missing": shown},
        hints=["put the parameter file beside the program, under the name it was exported with"],
    )


def _aliases(directory: Path, names: set[str]) -> dict[str, str]:
    conf = serving_conf.read(directory)
    if conf is None:
        return {}
    variables = (*conf.feeds, *conf.fetches)
    # Configs are sometimes copied along with another export; names that are not there mean nothing.
    return {variable.alias: variable.name for variable in variables if variable.name in names}
