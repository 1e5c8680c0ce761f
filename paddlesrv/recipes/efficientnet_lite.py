"""EfficientNet-Lite0 of the weights of `efficientnet_lite_pytorch`, with a softmax.

The network is EfficientNet (Tan and Le 2019, arXiv 1905.11946, table 1) without squeeze-and-excite
and with ReLU6; stem and head keep their width. Padding is TensorFlow's: what is odd goes to the
right and below. Options: `weights`, the path of the `.pth` file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from paddlesrv.recipes.checkpoints import read_torch
from paddlesrv.recipes.export import Named, Weights, save_function
from paddlesrv.recipes.options import weights_file

VERSION = 2
PROGRAM_DESC = True

_EPSILON = 1e-3
# Blocks, kernel, stride of the first, expansion, channels.
_STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
)  # fmt: skip


class Convolution(NamedTuple):
    """A convolution with its bias; `depthwise` has a kernel for each channel."""

    name: str
    stride: int = 1
    depthwise: bool = False
    relu: bool = True


class Block(NamedTuple):
    """An inverted residual: its convolutions, and whether its input is added to what they make."""

    convolutions: tuple[Convolution, ...]
    residual: bool


def build(source: Path, target: Path, options: Mapping[str, Any]) -> None:
    """See the module.

    Raises:
        IntegrityError: the weights are not those of this network.
    """
    checkpoint = Named(read_torch(weights_file(source, options)))
    weights: Weights = {}
    blocks = [Block((_taken(weights, checkpoint, "_conv_stem", "_bn0", stride=2),), False)]
    blocks += _blocks(weights, checkpoint)
    blocks.append(Block((_taken(weights, checkpoint, "_conv_head", "_bn1"),), False))
    weights["fc"] = checkpoint.take("_fc.weight", (1000, 1280)).T
    weights["fc.bias"] = checkpoint.take("_fc.bias", (1000,))

    def forward(tensors: Any, image: Any) -> Any:
        from paddle.nn import functional

        x = image
        for block in blocks:
            before = x
            for each in block.convolutions:
                kernel = tensors[each.name]
                x = functional.conv2d(
                    x,
                    kernel,
                    tensors[each.name + ".bias"],
                    stride=each.stride,
                    padding="SAME",
                    groups=kernel.shape[0] if each.depthwise else 1,
                )
                if each.relu:
                    x = functional.relu6(x)
            if block.residual:
                x = x + before
        x = functional.linear(x.mean([2, 3]), tensors["fc"], tensors["fc.bias"])
        return functional.softmax(x)

    save_function(forward, weights, [("image", "float32", (-1, 3, 224, 224))], target)


def _blocks(weights: Weights, checkpoint: Named) -> Iterator[Block]:
    number, channels = 0, 32
    for count, _, first_stride, expansion, made in _STAGES:
        for place in range(count):
            at, stride = f"_blocks.{number}.", first_stride if place == 0 else 1
            convolutions = []
            if expansion != 1:
                convolutions.append(_taken(weights, checkpoint, at + "_expand_conv", at + "_bn0"))
            depthwise = _taken(
                weights, checkpoint, at + "_depthwise_conv", at + "_bn1", stride, depthwise=True
            )
            project = _taken(weights, checkpoint, at + "_project_conv", at + "_bn2", relu=False)
            yield Block((*convolutions, depthwise, project), stride == 1 and channels == made)
            number, channels = number + 1, made


def _taken(
    weights: Weights,
    checkpoint: Named,
    name: str,
    norm: str,
    stride: int = 1,
    *,
    depthwise: bool = False,
    relu: bool = True,
) -> Convolution:
    """A convolution whose normalisation is taken into its weights, added to them."""
    weights[name], weights[name + ".bias"] = checkpoint.folded(name + ".weight", norm, _EPSILON)
    return Convolution(name, stride, depthwise, relu)
