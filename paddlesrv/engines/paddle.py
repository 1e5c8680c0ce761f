"""The engine `paddle`: runs a network with paddle.inference. The only module that imports paddle.

Facts that this module is built around, measured with paddlepaddle 3.3.1: `run` holds the GIL;
one predictor must never be used by two threads; a GPU asked of a CPU build is ignored; a program
whose parameters are missing answers zeros; PIR is recognised by the suffix `.json` alone; an
input that is not given keeps the value of the call before.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from paddlesrv.engines.base import EngineOptions
from paddlesrv.engines.check_input import check_input
from paddlesrv.engines.devices import check
from paddlesrv.engines.files import ModelFiles, checked_files
from paddlesrv.engines.quantised import require_quantised
from paddlesrv.engines.tensorrt import (
    MIN_SUBGRAPH,
    WORKSPACE_BYTES,
    cache_of,
    shapes,
)
from paddlesrv.engines.variants import PLAIN, VARIANTS, Variant, candidates, choose
from paddlesrv.errors import DeviceUnavailable, EngineError
from paddlesrv.models.spec import ModelSpec
from paddlesrv.models.tensor import Tensor

_GPU_POOL_MB = 256
_ONEDNN_CACHED_SHAPES = 8
_SUMMARY = "Error Message Summary:"
_TYPED = re.compile(r"\w+Error: |\([A-Z]\w+\) ")
_FEEDS = ("pd_op.feed", "pd_op.data")
_FETCHES = ("pd_op.fetch", "builtin.shadow_output")
# What paddle's C++ exceptions become in Python (paddle/fluid/pybind/exception.cc).
_FAILURES = (
    RuntimeError, ValueError, TypeError, LookupError, MemoryError, OSError, SystemError,
    ArithmeticError,
)  # fmt: skip


def preload() -> None:
    """Import the library, so that processes forked from this one need not."""
    _paddle()


def load(spec: ModelSpec, root: Path, options: EngineOptions) -> PaddleEngine:
    """Load a ProgramDesc or PIR network.

    On the CPU, a seeded input is run once to find a variant of oneDNN's passes that works, unless
    the options name one that is known to be right.

    Args:
        spec: The model, in a Paddle format.
        root: The directory that the spec's paths start from.
        options: Device, precision, threads, variant.

    Raises:
        IntegrityError: a file is missing or damaged.
        DeviceUnavailable: the device or precision is not there.
        EngineError: paddle does not load these files.
    """
    check(options)
    if spec.format not in ("paddle-program", "paddle-pir"):
        raise EngineError(
            f"the engine paddle does not run {spec.format} models such as {spec.name}"
        )
    files = checked_files(spec, root)
    if options.precision == "int8":
        require_quantised(spec, files)
    if options.tensorrt and spec.format == "paddle-pir":
        raise DeviceUnavailable(
            f"{spec.name} is a PIR program, which paddle does not run through TensorRT by itself",
            hints=["run it without, or with ONNX Runtime's: --engine onnxruntime --tensorrt"],
        )

    def load_variant(chosen: Variant) -> PaddleEngine:
        return PaddleEngine(spec, files, options, chosen)

    if options.device.kind == "gpu":
        return load_variant(PLAIN)
    if options.variant is not None:
        return load_variant(VARIANTS[options.variant])
    if any(tensor.lod_level for tensor in spec.inputs):
        # oneDNN's fused GRU answers a sequence differently, and wrongly, in some batches; the
        # plain kernels are as fast on networks like these.
        return load_variant(PLAIN)
    found = candidates(spec.format, files.program.read_bytes())
    variant_found, engine = choose(load_variant, found, check_input(spec))
    if options.precision in ("bf16", "int8") and not variant_found.onednn:
        engine.close()
        raise DeviceUnavailable(
            f"{spec.name} answers rightly without oneDNN alone, which computes in fp32",
            context={"wanted": f"--precision {options.precision}"},
            hints=["run it in fp32: --precision fp32"],
        )
    return engine


class PaddleEngine:
    """A predictor, its inputs and its outputs. Not thread-safe: one call at a time."""

    def __init__(
        self, spec: ModelSpec, files: ModelFiles, options: EngineOptions, variant: Variant
    ) -> None:
        """Create the predictor; see `load`."""
        self.variant = variant
        self._spec = spec
        inference = _inference()
        try:
            config = _config(inference, files, options, variant)
            if options.tensorrt:
                _use_tensorrt(inference, config, spec, files, options)
            if options.device.kind == "gpu" and not config.use_gpu():
                raise DeviceUnavailable(f"paddle did not take GPU {options.device.index}")
            predictor = inference.create_predictor(config)
            self._inputs = {n: predictor.get_input_handle(n) for n in predictor.get_input_names()}
            names = predictor.get_output_names()
            self._outputs = {
                name: predictor.get_output_handle(name)
                for name in _declared(spec, "output", [t.name for t in spec.outputs], names)
            }
        except _FAILURES as error:
            raise EngineError(
                f"paddle cannot load {spec.name}: {summary(error)}",
                context={"program": str(files.program)},
            ) from error
        _declared(spec, "input", [t.name for t in spec.inputs], list(self._inputs))
        declared = files.signature.inputs
        self._sequences = [tensor.name for tensor in declared if tensor.lod_level]
        self._predictor: Any = predictor

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run one batch; see `Engine.run`."""
        if self._predictor is None:
            raise EngineError(f"{self._spec.name} is closed")
        if inputs.keys() != self._inputs.keys():
            raise EngineError(
                f"{self._spec.name} takes the inputs {', '.join(self._inputs)}",
                context={"got": ", ".join(inputs) or "none"},
            )
        for name in self._sequences:
            if inputs[name].lod is None:  # paddle would take the offsets of the call before
                raise EngineError(f"{self._spec.name}: input {name} has no LoD offsets")
        try:
            for name, tensor in inputs.items():
                handle = self._inputs[name]
                handle.copy_from_cpu(np.ascontiguousarray(tensor.data))
                # Always: a handle keeps the offsets of the call before.
                handle.set_lod([list(tensor.lod)] if tensor.lod is not None else [])
            self._predictor.run()
            return {name: _fetch(handle) for name, handle in self._outputs.items()}
        except _FAILURES as error:
            raise EngineError(f"{self._spec.name} failed: {summary(error)}") from error

    def close(self) -> None:
        """Drop the predictor. Its memory goes back to paddle's pool, and to the system at exit."""
        self._inputs, self._outputs, self._predictor = {}, {}, None


def summary(error: BaseException) -> str:
    """What an exception of paddle says, without its C++ trace, hints and source paths."""
    text = str(error)
    if _SUMMARY in text:
        text = text.partition(_SUMMARY)[2]
    lines = [line.strip() for line in text.splitlines() if line.strip(" -")]
    kind = type(error).__name__
    line = next((line for line in lines if _TYPED.match(line)), lines[0] if lines else kind)
    return line.partition(" (at ")[0].rstrip(".")


def save_as_pir(program: Path, params: Path | None, target: Path) -> None:
    """Write a ProgramDesc as PIR: `target` (.json) and its parameters beside it.

    Outputs get new names there, in the same order.

    Raises:
        EngineError: paddle does not translate the program.
    """
    paddle = _paddle()
    try:
        executor = paddle.static.Executor(paddle.CPUPlace())
        with paddle.pir_utils.OldIrGuard():
            loaded = paddle.static.load_inference_model(
                str(program.parent),
                executor,
                model_filename=program.name,
                params_filename=params.name if params else None,
            )
        translated = paddle.pir.translate_to_pir(loaded[0].desc)
        _load_parameters(paddle, translated, executor)
        with paddle.pir_utils.IrGuard():
            operators = translated.global_block().ops
            feeds = [r for op in operators if op.name() in _FEEDS for r in op.results()]
            fetches = [s for op in operators if op.name() in _FETCHES for s in op.operands_source()]
            stem = str(target.with_suffix(""))
            paddle.static.save_inference_model(stem, feeds, fetches, executor, program=translated)
    except _FAILURES as error:
        raise EngineError(f"paddle cannot translate {program.name}: {summary(error)}") from error


def _load_parameters(paddle: Any, program: Any, executor: Any) -> None:
    # The values are in the scope already; the new program's variables must be told so.
    parameters = [v for v in program.list_vars() if v.is_parameter and v.persistable]
    paddle.base.libpaddle.pir.create_loaded_parameter(
        parameters, paddle.static.global_scope(), executor._default_executor
    )


def _config(inference: Any, files: ModelFiles, options: EngineOptions, variant: Variant) -> Any:
    if files.in_memory and files.params is not None and files.program.suffix != ".json":
        # A PIR program kills the process in this call (paddlepaddle 3.3); it goes by its name.
        config = inference.Config()
        program, params = files.program.read_bytes(), files.params.read_bytes()
        config.set_model_buffer(program, len(program), params, len(params))
    elif files.params is not None:
        config = inference.Config(str(files.program), str(files.params))
    elif files.signature.files[1:]:
        # Scattered parameters are found by their directory, and the program by its fixed name.
        if files.program.name != "__model__":
            raise EngineError(
                f"{files.program.name} has one file per parameter, but is not named __model__"
            )
        config = inference.Config(str(files.program.parent))
    else:
        config = inference.Config()
        config.set_prog_file(str(files.program))
    config.disable_glog_info()
    config.set_cpu_math_library_num_threads(options.threads)
    if files.program.suffix != ".json":
        # Without it every intermediate tensor is kept: 3.5 GB instead of 0.6 for eight long lines
        # of PP-OCRv4's recognition. PIR programs fail in it (paddlepaddle 3.3).
        config.enable_memory_optim()
    if options.device.kind == "gpu":
        precision = inference.PrecisionType
        kind = precision.Half if options.precision == "fp16" else precision.Float32
        config.enable_use_gpu(_GPU_POOL_MB, options.device.index, kind)
        return config
    config.disable_gpu()
    if options.precision == "int8":
        config.enable_onednn_int8()
    # Each new input shape leaves primitives behind; without a bound, memory grows with them.
    config.set_onednn_cache_capacity(_ONEDNN_CACHED_SHAPES)
    if not variant.onednn:
        config.disable_onednn()
    elif options.precision == "bf16":
        config.enable_onednn_bfloat16()
    for name in variant.without:
        config.delete_pass(name)
    return config


def _use_tensorrt(
    inference: Any, config: Any, spec: ModelSpec, files: ModelFiles, options: EngineOptions
) -> None:
    """Have a program's operators run through TensorRT, whose engine is built once and kept."""
    built_for = shapes(spec, options)
    words = {
        "fp32": inference.PrecisionType.Float32,
        "fp16": inference.PrecisionType.Half,
        "int8": inference.PrecisionType.Int8,
    }
    # The directory goes first: what is set after the engine would be ignored.
    version = f"paddle {_paddle().__version__}"
    config.set_optim_cache_dir(str(cache_of(files, options, built_for, version)))
    config.enable_tensorrt_engine(
        workspace_size=WORKSPACE_BYTES,
        max_batch_size=max(shape[0] for shape in built_for.greatest.values() if shape),
        min_subgraph_size=MIN_SUBGRAPH,
        precision_mode=words[options.precision],
        use_static=True,
        use_calib_mode=False,
    )
    config.set_trt_dynamic_shape_info(built_for.least, built_for.greatest, built_for.usual)


def _fetch(handle: Any) -> Tensor:
    levels = handle.lod()
    return Tensor(handle.copy_to_cpu(), tuple(levels[0]) if levels else None)


def _declared(spec: ModelSpec, what: str, declared: list[str], actual: list[str]) -> list[str]:
    """The names to use: the declared ones, which must be there, or all if none are declared."""
    absent = [name for name in declared if name not in actual]
    if absent:
        raise EngineError(
            f"the network of {spec.name} has no {what} {absent[0]!r}",
            context={f"{what}s": ", ".join(actual)},
        )
    return declared or actual


def _inference() -> Any:
    return _paddle().inference


def _paddle() -> Any:
    """paddle, imported without its chatter and without its signal handlers."""
    os.environ.setdefault("GLOG_minloglevel", "2")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No ccache found")
        import paddle
        import paddle.inference

    # Paddle would print a C++ trace at SIGTERM, which is how a worker is asked to end.
    paddle.disable_signal_handler()
    return paddle
