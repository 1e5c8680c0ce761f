"""TensorRT: the shapes that an engine is built for, and where built engines are kept.

TensorRT builds an engine for a range of shapes, which takes minutes, so it is kept in the store,
by the digests of the model's files and all that it was built for. The batch's range is known; other
sizes that a signature leaves open must be said, and are not guessed. Both paddle and ONNX Runtime
run it; nothing here imports either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from paddlesrv.engines.base import EngineOptions, ShapeRange
from paddlesrv.engines.files import ModelFiles, sha256
from paddlesrv.errors import DeviceUnavailable, UsageError
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.settings import from_environment

DIRECTORY = "tensorrt"
"""In the store."""
WORKSPACE_BYTES = 1 << 30
MIN_SUBGRAPH = 3
"""Operators in a row from which on they go to TensorRT; fewer are not worth the way."""


class Shapes(NamedTuple):
    """The least, the usual and the greatest shape of every input."""

    least: dict[str, list[int]]
    usual: dict[str, list[int]]
    greatest: dict[str, list[int]]


def shapes(spec: ModelSpec, options: EngineOptions) -> Shapes:
    """The shapes that an engine is built for.

    Raises:
        UsageError: shapes are given for an input that is not there, or do not fit it.
        DeviceUnavailable: an input has open sizes, and none are given; or it is made of sequences.
    """
    given = {shape.input: shape for shape in options.tensorrt_shapes}
    for name in given:
        if spec.input(name) is None:
            raise UsageError(
                f"tensorrt_shapes names {name}, and {spec.name} has no such input",
                context={"inputs": ", ".join(tensor.name for tensor in spec.inputs)},
            )
    found = Shapes({}, {}, {})
    for tensor in spec.inputs:
        own = given.get(tensor.name) or _of_signature(spec, tensor, options)
        _check(spec, tensor, own)
        found.least[tensor.name] = list(own.min)
        found.usual[tensor.name] = list(own.opt)
        found.greatest[tensor.name] = list(own.max)
    return found


def cache_of(
    files: ModelFiles,
    options: EngineOptions,
    built_for: Shapes,
    version: str,
    cache_dir: Path | None = None,
) -> Path:
    """The directory of a model's built engine; it is made if it is not there.

    Args:
        files: The model's files.
        options: How it runs.
        built_for: The shapes.
        version: What builds it, such as `paddlepaddle-gpu 3.3.1`; another builds another engine.
        cache_dir: The store's directory; by default the one that the environment says.
    """
    digest = hashlib.sha256(f"{version} {options.engine} {options.precision}\n".encode())
    digest.update(msgspec.json.encode(built_for, order="sorted"))
    for path in (files.program, files.params):
        if path is not None:
            digest.update(sha256(path).encode())
    place = (cache_dir or from_environment().cache_dir) / DIRECTORY / digest.hexdigest()
    place.mkdir(parents=True, exist_ok=True)
    return place


def provider_options(
    options: EngineOptions, built_for: Shapes, cache: Path
) -> Mapping[str, str | int | bool]:
    """What ONNX Runtime's TensorRT provider is told.

    Source: onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html
    """
    return {
        "device_id": options.device.index,
        "trt_fp16_enable": options.precision == "fp16",
        "trt_max_workspace_size": WORKSPACE_BYTES,
        "trt_min_subgraph_size": MIN_SUBGRAPH,
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(cache),
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": str(cache),
        "trt_profile_min_shapes": _profile(built_for.least),
        "trt_profile_opt_shapes": _profile(built_for.usual),
        "trt_profile_max_shapes": _profile(built_for.greatest),
    }


def _profile(by_name: Mapping[str, list[int]]) -> str:
    return ",".join(f"{name}:{'x'.join(map(str, shape))}" for name, shape in by_name.items())


def _of_signature(spec: ModelSpec, tensor: TensorSpec, options: EngineOptions) -> ShapeRange:
    if tensor.lod_level:
        raise DeviceUnavailable(
            f"{spec.name} works on sequences of rows (LoD), which TensorRT does not know",
            hints=["leave out --tensorrt"],
        )
    if any(size < 1 for size in tensor.shape[1:]):
        raise DeviceUnavailable(
            f"TensorRT must be told the sizes of input {tensor.name} of {spec.name}",
            context={"declared": str(list(tensor.shape))},
            hints=[
                "write them into a config file: paddlesrv config gen "
                f"{spec.name} -o paddlesrv.yaml, there tensorrt_shapes: "
                f"[{{input: {tensor.name}, min: [...], opt: [...], max: [...]}}]",
                "or leave out --tensorrt",
            ],
        )
    rest = tensor.shape[1:]
    if not tensor.shape or tensor.shape[0] > 0:
        return ShapeRange(input=tensor.name, min=tensor.shape, opt=tensor.shape, max=tensor.shape)
    rows = options.max_batch_size or spec.max_batch_size
    return ShapeRange(input=tensor.name, min=(1, *rest), opt=(rows, *rest), max=(rows, *rest))


def _check(spec: ModelSpec, tensor: TensorSpec, own: ShapeRange) -> None:
    ranks = {len(shape) for shape in (own.min, own.opt, own.max)}
    ordered = ranks == {len(tensor.shape)} and all(
        1 <= least <= usual <= greatest and (size < 1 or least == greatest == size)
        for size, least, usual, greatest in zip(
            tensor.shape, own.min, own.opt, own.max, strict=True
        )
    )
    if not ordered:
        raise UsageError(
            f"tensorrt_shapes of input {tensor.name} do not fit {spec.name}",
            context={
                "declared": str(list(tensor.shape)),
                "found": f"min {list(own.min)}, opt {list(own.opt)}, max {list(own.max)}",
                "wanted": "sizes from 1, min <= opt <= max, those that are declared kept",
            },
        )
