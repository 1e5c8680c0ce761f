"""Which engines may serve a network: those that run here, and answer as the one it is made for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from paddlesrv.engines.base import Device, EngineName, EngineOptions, Precision
from paddlesrv.engines.conversion import converted
from paddlesrv.engines.devices import check
from paddlesrv.errors import DeviceUnavailable, EngineError
from paddlesrv.server.launch import LocalModel
from paddlesrv.tuning.candidates import Way


def agreeing(
    model: LocalModel,
    device: Device,
    precision: Precision,
    cache_dir: Path,
    watch: Callable[[str], None] = lambda text: None,
) -> tuple[Way, ...]:
    """The engines that may be used, the one that the network is made for first.

    A Paddle network runs on ONNX Runtime once it is converted, and a conversion is kept only if it
    answers as paddle does.

    Args:
        model: The network.
        device: Where it is to run.
        precision: How numbers are kept. An int8 form is one that was accepted before.
        cache_dir: The store's directory.
        watch: Told what is being done, before it takes long, and why an engine is left out.

    Raises:
        IntegrityError: a file of the network is missing or damaged.
        DeviceUnavailable: no engine runs it so.
    """
    order: tuple[EngineName, ...] = ("paddle", "onnxruntime")
    if model.spec.format == "onnx":
        order = ("onnxruntime",)
    ways = []
    refusal: DeviceUnavailable | None = None
    for engine in order:
        if precision == "int8" and device.kind == "cpu" and engine == "paddle":
            continue  # its int8 is for programs that came so, and those are no choice
        try:
            check(EngineOptions(engine=engine, device=device, precision=precision))
            if engine != "paddle" and model.spec.format != "onnx" and precision != "int8":
                watch(f"{model.spec.name}: as ONNX")
                converted(model.spec, model.root, cache_dir / "converted")
        except DeviceUnavailable as error:
            refusal = refusal or error
            watch(_left_out(model, engine, error))
        except EngineError as error:
            watch(_left_out(model, engine, error))
        else:
            ways.append(Way(engine, None, precision))
    if not ways and refusal is not None:
        raise refusal
    return tuple(ways)


def _left_out(model: LocalModel, engine: str, error: DeviceUnavailable | EngineError) -> str:
    why = error.context.get("why")
    return f"{model.spec.name}: without {engine}: {error.message}" + (f": {why}" if why else "")
