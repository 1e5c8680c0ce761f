"""SSD on MobileNetV1 for faces, of the TensorFlow.js weights of `face-api`.

MobileNetV1 (Howard et al. 2017, arXiv 1704.04861) without its classifier, four more pairs of
convolutions, and six predictors of boxes (Liu et al. 2016, arXiv 1512.02325). Boxes come out
decoded, as shares of height and width: [y1, x1, y2, x2]; beside them is a score for each. NMS is
left to whoever runs it. Options: `weights` and `manifest`, paths.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from paddlesrv.recipes.export import Named, Weights, save_function
from paddlesrv.recipes.options import weights_file
from paddlesrv.recipes.tfjs_file import read_tfjs

_BACKBONE, _HEAD = "MobilenetV1/", "Prediction/"
_HALVED = frozenset({2, 4, 6, 12})
"""The depthwise convolutions that halve height and width."""
_FIRST_MAP = 11
"""The pair of convolutions after which the first predictor looks."""
_MAPS = 6
_EPSILON = 1e-3
# Variances of the boxes' middles and sizes (SSD, section 2.2, as TensorFlow has them).
_MIDDLE, _SIZE = 10.0, 5.0
_CLASSES = 3
"""Background, face, and one that is never used."""
_SIDE = 512


class Convolution(NamedTuple):
    """A convolution with its bias and a ReLU6; `seen` where a predictor looks at what it makes."""

    name: str
    stride: int
    depthwise: bool = False
    seen: bool = False


def build(source: Path, target: Path, options: Mapping[str, Any]) -> None:
    """See the module.

    Raises:
        IntegrityError: the weights are not those of this network.
    """
    manifest = weights_file(source, options, "manifest")
    checkpoint = Named(read_tfjs(manifest, weights_file(source, options)))
    weights: Weights = {}
    convolutions = [*_backbone(checkpoint, weights), *_further(checkpoint, weights)]
    for place in range(_MAPS):
        at = f"{_HEAD}BoxPredictor_{place}/"
        for made, written in (("box", "BoxEncodingPredictor"), ("class", "ClassPredictor")):
            weights[f"{made}_{place}"] = _kernel(checkpoint, f"{at}{written}/weights")
            weights[f"{made}_{place}.bias"] = checkpoint.take(f"{at}{written}/biases", (-1,))
    anchors = checkpoint.take("Output/extra_dim", (1, -1, 4))[0]
    weights["anchor_size"] = anchors[:, 2:] - anchors[:, :2]
    weights["anchor_middle"] = anchors[:, :2] + weights["anchor_size"] / 2
    save_function(_network(convolutions), weights, [("image", "float32", _INPUT)], target)


_INPUT = (-1, 3, _SIDE, _SIDE)


def _backbone(checkpoint: Named, weights: Weights) -> list[Convolution]:
    found = [_pointwise(checkpoint, weights, f"{_BACKBONE}Conv2d_0_pointwise", 2)]
    for number in range(1, 14):
        at = f"{_BACKBONE}Conv2d_{number}_"
        name = f"{at}depthwise"
        weights[name], weights[name + ".bias"] = _depthwise(checkpoint, name)
        found.append(Convolution(name, 2 if number in _HALVED else 1, depthwise=True))
        seen = number == _FIRST_MAP or number == 13
        found.append(_pointwise(checkpoint, weights, f"{at}pointwise", 1, seen))
    return found


def _further(checkpoint: Named, weights: Weights) -> list[Convolution]:
    return [
        _pointwise(
            checkpoint,
            weights,
            f"{_HEAD}Conv2d_{number}_pointwise",
            2 if number % 2 else 1,
            bool(number % 2),
        )
        for number in range(8)
    ]


def _pointwise(
    checkpoint: Named, weights: Weights, name: str, stride: int, seen: bool = False
) -> Convolution:
    weights[name] = _kernel(checkpoint, f"{name}/weights")
    weights[name + ".bias"] = checkpoint.take(f"{name}/convolution_bn_offset", (-1,))
    return Convolution(name, stride, seen=seen)


def _kernel(checkpoint: Named, name: str) -> Any:
    """TensorFlow's [height, width, in, out] as [out, in, height, width]."""
    return checkpoint.take(name, (-1, -1, -1, -1)).transpose(3, 2, 0, 1)


def _depthwise(checkpoint: Named, name: str) -> tuple[Any, Any]:
    """The kernel with its batch normalisation taken in, and the bias."""
    kernel = checkpoint.take(f"{name}/depthwise_weights", (3, 3, -1, 1)).astype(np.float64)
    gamma, beta, mean, variance = (
        checkpoint.take(f"{name}/BatchNorm/{part}", (kernel.shape[2],)).astype(np.float64)
        for part in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    scale = gamma / np.sqrt(variance + _EPSILON)
    whole = kernel.transpose(2, 3, 0, 1) * scale.reshape(-1, 1, 1, 1)
    return whole.astype(np.float32), (beta - mean * scale).astype(np.float32)


def _network(convolutions: list[Convolution]) -> Any:
    def forward(w: Any, image: Any) -> Any:
        import paddle
        from paddle.nn import functional

        x, maps = image, []
        for each in convolutions:
            kernel = w[each.name]
            x = functional.conv2d(
                x,
                kernel,
                w[each.name + ".bias"],
                stride=each.stride,
                padding="SAME",
                groups=kernel.shape[0] if each.depthwise else 1,
            )
            x = functional.relu6(x)
            if each.seen:
                maps.append(x)

        def predicted(made: str, numbers: int) -> Any:
            outputs = []
            for place in range(_MAPS):
                name = f"{made}_{place}"
                one = functional.conv2d(maps[place], w[name], w[name + ".bias"])
                outputs.append(one.transpose([0, 2, 3, 1]).reshape([0, -1, numbers]))
            return paddle.concat(outputs, axis=1)

        boxes = predicted("box", 4)
        middle = boxes[:, :, :2] / _MIDDLE * w["anchor_size"] + w["anchor_middle"]
        half = paddle.exp(boxes[:, :, 2:] / _SIZE) * w["anchor_size"] / 2
        scores = functional.sigmoid(predicted("class", _CLASSES)[:, :, 1])
        return paddle.concat([middle - half, middle + half], axis=2), scores

    return forward
