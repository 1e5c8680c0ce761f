"""Static quantisation of one ONNX network, with onnxruntime's own tools. Run in the worker only.

Weights become signed 8-bit integers per output channel, activations unsigned ones, by the range
that calibration shows (QDQ form). Processors without VNNI add up pairs of such products in 16
bits, which can overflow: there weights are kept to 7 bits.
Source: onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from paddlesrv.errors import DeviceUnavailable
from paddlesrv.models.tensor import Array, Tensor

VNNI = ("avx512_vnni", "avx_vnni", "amx_int8", "asimd")
"""Processors with one of these add up in 32 bits."""
_OPSET = 13
"""Scales per channel came with it."""
_CORE = ("Conv", "MatMul", "Gemm")


class Way(NamedTuple):
    """One way to quantise: which operators (none named: all that can be), and 7 or 8 bits."""

    name: str
    operators: tuple[str, ...] = ()
    reduced_range: bool = False


def ways(features: tuple[str, ...]) -> list[Way]:
    """What is tried on a processor with these features, in turn, until one agrees."""
    reduced = not set(VNNI) & set(features)
    return [Way("all operators", (), reduced), Way("convolutions and products", _CORE, reduced)]


def prepare(source: Path, target: Path) -> None:
    """The network with constants folded, shapes inferred, and an operator set that has QDQ.

    Raises:
        DeviceUnavailable: it is too old for it.
    """
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    _silence()
    model = onnx.load(source)
    version = max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    if version < _OPSET:
        try:
            model = onnx.version_converter.convert_version(model, _OPSET)
        except Exception as error:
            raise DeviceUnavailable(
                f"the network is of ONNX operator set {version}, and int8 needs {_OPSET}",
                context={"why": str(error).splitlines()[0][:200]},
            ) from error
        source = target.with_suffix(".13.onnx")
        onnx.save(model, source)
    try:
        quant_pre_process(str(source), str(target), skip_symbolic_shape=True)
    except Exception as error:  # noqa: BLE001 - as above; it is an optimisation, and can be spared
        logging.getLogger(__name__).info("not optimised before quantisation: %s", error)
        target.write_bytes(source.read_bytes())


def quantise_network(
    prepared: Path, target: Path, inputs: Iterator[dict[str, Tensor]], way: Way
) -> None:
    """Write the int8 form of a prepared network.

    Raises:
        DeviceUnavailable: onnxruntime cannot quantise it.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    _silence()
    try:
        quantize_static(
            str(prepared),
            str(target),
            _Reader(inputs),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(way.operators) or None,
            per_channel=True,
            reduce_range=way.reduced_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"CalibMaxIntermediateOutputs": 64},
        )
    except Exception as error:
        raise DeviceUnavailable(
            "onnxruntime cannot quantise this network",
            context={"why": f"{type(error).__name__}: {str(error).splitlines()[:1]}"},
        ) from error


class _Reader:
    """What quantize_static takes: one input after the other, then None."""

    def __init__(self, inputs: Iterator[dict[str, Tensor]]) -> None:
        self._inputs = inputs

    def get_next(self) -> dict[str, Array] | None:
        asked = next(self._inputs, None)
        return None if asked is None else {name: t.data for name, t in asked.items()}


def _silence() -> None:
    logging.getLogger().setLevel(logging.ERROR)  # its advice is for who calls it by hand
