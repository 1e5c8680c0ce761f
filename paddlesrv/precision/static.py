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
_EDGE, _EDGE_SHARE = 8, 6
"""Operators at each end that are spared: so many, but no more than this part of the network."""
_CORE = ("Conv", "MatMul", "Gemm")


class Way(NamedTuple):
    """One way to quantise: which operators (none named: all that can be), and 7 or 8 bits.

    `spared`: the network's two ends and its convolutions of single channels stay fp32. They lose
    the most and cost little: MobileNetV2's cosine to fp32 went from 0.83 to 0.95 with it.
    """

    name: str
    operators: tuple[str, ...] = ()
    reduced_range: bool = False
    spared: bool = False


def ways(features: tuple[str, ...]) -> list[Way]:
    """What is tried on a processor with these features, in turn, until one agrees."""
    reduced = not set(VNNI) & set(features)
    return [
        Way("all operators", (), reduced),
        Way("all but both ends and single channels", (), reduced, spared=True),
        Way("convolutions and products", _CORE, reduced),
    ]


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
    _name_operators(target)


def _name_operators(path: Path) -> None:
    """Give each operator a name of its own: by these some are left out."""
    import onnx

    model = onnx.load(path)
    for number, node in enumerate(model.graph.node):
        node.name = f"{number}.{node.op_type}"
    onnx.save(model, path)


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
            nodes_to_exclude=_spared(prepared) if way.spared else None,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"CalibMaxIntermediateOutputs": 64},
        )
    except Exception as error:
        raise DeviceUnavailable(
            "onnxruntime cannot quantise this network",
            context={"why": f"{type(error).__name__}: {str(error).splitlines()[:1]}"},
        ) from error


def _spared(prepared: Path) -> list[str]:
    """The names of the operators at both ends, and of the convolutions of single channels."""
    import onnx

    nodes = list(onnx.load(prepared).graph.node)
    edge = min(_EDGE, len(nodes) // _EDGE_SHARE)
    single = [
        node
        for node in nodes
        if node.op_type == "Conv" and any(a.name == "group" and a.i > 1 for a in node.attribute)
    ]
    return [node.name for node in (*nodes[:edge], *nodes[len(nodes) - edge :], *single)]


class _Reader:
    """What quantize_static takes: one input after the other, then None."""

    def __init__(self, inputs: Iterator[dict[str, Tensor]]) -> None:
        self._inputs = inputs

    def get_next(self) -> dict[str, Array] | None:
        asked = next(self._inputs, None)
        return None if asked is None else {name: t.data for name, t in asked.items()}


def _silence() -> None:
    logging.getLogger().setLevel(logging.ERROR)  # its advice is for who calls it by hand
