"""What runs a network: one protocol, several engines, and rules for devices and precision."""

from __future__ import annotations

from pathlib import Path

from paddlesrv.engines.base import Engine, EngineOptions
from paddlesrv.models.spec import ModelSpec


def load_engine(
    spec: ModelSpec, root: Path, options: EngineOptions, *, cache_dir: Path | None = None
) -> Engine:
    """Load a model into the engine that the options name; a Paddle model is converted if need be.

    Args:
        spec: The model.
        root: The directory that the spec's paths start from.
        options: Engine, device, precision, threads.
        cache_dir: Where converted models are kept; by default `converted` in the store.

    Raises:
        IntegrityError: a file is missing or damaged.
        DeviceUnavailable: the engine, device or precision is not there, or the model does not
            convert for the engine.
        EngineError: the engine does not load the model.
    """
    # Engines are imported only when they are used: paddle alone takes seconds and 300 MB.
    if options.engine == "paddle":
        from paddlesrv.engines import paddle

        return paddle.load(spec, root, options)
    if options.engine == "onnxruntime" and options.precision == "int8":
        from paddlesrv.engines import onnxruntime
        from paddlesrv.engines.devices import check
        from paddlesrv.engines.quantised import quantised

        check(options)
        return onnxruntime.load(*quantised(spec, root), options)
    if spec.format in ("paddle-program", "paddle-pir"):
        from paddlesrv.engines.conversion import converted
        from paddlesrv.engines.devices import check

        check(options)
        spec, root = converted(spec, root, cache_dir)
    if options.engine == "openvino":
        from paddlesrv.engines import openvino

        return openvino.load(spec, root, options)
    if options.precision == "fp16" and not options.tensorrt:  # TensorRT has a switch for it
        from paddlesrv.engines.devices import check
        from paddlesrv.engines.half import halved

        check(options)
        spec, root = halved(spec, root)
    from paddlesrv.engines import onnxruntime

    return onnxruntime.load(spec, root, options)
