"""Small convolutional networks of TensorFlow Lite, such as MediaPipe's selfie segmentation.

The operators are run one after the other, with channels first. Options: `weights`, the path of the
`.tflite` file. The picture goes in as [n, 3, height, width].
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from paddlesrv.errors import IntegrityError
from paddlesrv.recipes.export import Weights, save_function
from paddlesrv.recipes.options import weights_file
from paddlesrv.recipes.tflite_file import Network, Operator, read_tflite
from paddlesrv.zoo.bounds import shown

TRANSPOSED = "Convolution2DTransposeBias"
"""MediaPipe's own operator: a transposed convolution with a bias."""
_KERNELS = ("CONV_2D", "DEPTHWISE_CONV_2D", TRANSPOSED)
_PLAIN = ("HARD_SWISH", "RELU", "LOGISTIC")
_TWO = ("ADD", "MUL")
_ACTIVATIONS = (0, 1, 3)


def build(source: Path, target: Path, options: Mapping[str, Any]) -> None:
    """See the module.

    Raises:
        IntegrityError: it is no such network, or has an operator that is not known here.
    """
    network = read_tflite(weights_file(source, options))
    weights: Weights = {}
    made = {network.input}
    for operator in network.operators:
        _check(operator, network, made)
        made.add(operator.output)
        if operator.kind in _KERNELS:
            kernel, bias = _names(operator)
            weights[kernel] = _kernel(operator, network)
            weights[bias] = network.constants[operator.inputs[2]]
    if network.output not in made:
        raise IntegrityError("no operator of the network makes its output")
    shape = network.shapes[network.input]
    if len(shape) != 4 or shape[3] != 3:
        raise IntegrityError(f"the network takes {list(shape)}, which is no picture")
    inputs = [("image", "float32", (-1, 3, *shape[1:3]))]
    save_function(_function(network), weights, inputs, target)


def _names(operator: Operator) -> tuple[str, str]:
    return f"kernel_{operator.output}", f"bias_{operator.output}"


def _kernel(operator: Operator, network: Network) -> Any:
    """TensorFlow's kernel with channels first.

    [out, height, width, in] of a convolution and [1, height, width, out] of a depthwise one become
    [out, in, height, width]; [out, height, width, in] of a transposed one [in, out, ...].
    """
    kernel = network.constants[operator.inputs[1]]
    return kernel.transpose((0, 3, 1, 2) if operator.kind == "CONV_2D" else (3, 0, 1, 2))


def _check(operator: Operator, network: Network, made: set[int]) -> None:
    """That an operator is one that `_function` does as TensorFlow Lite does it."""
    kind, inputs, options = operator.kind, operator.inputs, operator.options
    shapes = [network.shapes[each] for each in (inputs[0], operator.output)]
    known = inputs[0] in made and all(len(shape) == 4 for shape in shapes)
    if kind in _KERNELS:
        known &= options.get("dilated", 1) == 1 and _has_weights(operator, network, shapes)
    elif kind == "AVERAGE_POOL_2D":
        known &= shapes[0][1:3] == (options.get("height"), options.get("width"))
        known &= shapes[1][1:3] == (1, 1)
    elif kind == "RESIZE_BILINEAR":
        known &= len(inputs) == 2 and inputs[1] in network.constants
    elif kind in _TWO:
        known &= len(inputs) == 2 and inputs[1] in made
    else:
        known &= kind in _PLAIN
    if not known or options.get("activation", 0) not in _ACTIVATIONS:
        raise IntegrityError(
            f"the network has a step {shown(kind)} of a kind that is not supported",
            context={"it makes": f"tensor {operator.output}, {list(shapes[-1])}"},
        )


def _has_weights(operator: Operator, network: Network, shapes: list[tuple[int, ...]]) -> bool:
    """Whether kernel and bias are constants, and of such shapes as its kind has here."""
    weights = [network.constants.get(each) for each in operator.inputs[1:]]
    if len(weights) != 2 or any(weight is None for weight in weights):
        return False
    kernel, bias = (np.asarray(weight) for weight in weights)
    before, after = shapes
    if kernel.ndim != 4 or bias.ndim != 1:
        return False
    if operator.kind == TRANSPOSED:
        doubled = [2 * side for side in before[1:3]] == list(after[1:3])
        return kernel.shape[1:3] == (2, 2) and doubled
    return operator.kind == "CONV_2D" or kernel.shape[3] == before[3]


def _function(network: Network) -> Any:
    def forward(w: Any, image: Any) -> Any:
        import paddle
        from paddle.nn import functional

        values = {network.input: image}
        for operator in network.operators:
            kind, options = operator.kind, operator.options
            x = values[operator.inputs[0]]
            if kind in _KERNELS:
                kernel, bias = (w[name] for name in _names(operator))
                if kind == TRANSPOSED:
                    x = functional.conv2d_transpose(x, kernel, bias, stride=2)
                else:
                    x = functional.conv2d(
                        x,
                        kernel,
                        bias,
                        stride=[options["down"], options["across"]],
                        padding="SAME" if options["same"] else "VALID",
                        groups=kernel.shape[0] if kind == "DEPTHWISE_CONV_2D" else 1,
                    )
            elif kind == "AVERAGE_POOL_2D":
                x = x.mean([2, 3], keepdim=True)
            elif kind == "RESIZE_BILINEAR":
                x = functional.interpolate(
                    x,
                    size=[int(side) for side in network.constants[operator.inputs[1]]],
                    mode="bilinear",
                    align_corners=bool(options["align_corners"]),
                    align_mode=0 if options["half_pixel"] else 1,
                )
            elif kind == "HARD_SWISH":
                x = functional.hardswish(x)
            elif kind == "RELU":
                x = functional.relu(x)
            elif kind == "LOGISTIC":
                x = functional.sigmoid(x)
            else:
                other = values[operator.inputs[1]]
                x = paddle.add(x, other) if kind == "ADD" else paddle.multiply(x, other)
            activation = options.get("activation", 0)
            if activation == 1:
                x = functional.relu(x)
            elif activation == 3:
                x = functional.relu6(x)
            values[operator.output] = x
        return values[network.output]

    return forward
