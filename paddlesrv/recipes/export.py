"""From weights by name and a network written as a function to the files that are served."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from paddlesrv.errors import IntegrityError

if TYPE_CHECKING:
    from numpy.typing import NDArray

PREFIX = "inference"

Weights = dict[str, "NDArray[Any]"]
Input = tuple[str, str, Sequence[int]]
"""Name, type and shape; -1 is variable."""


class Named(dict[str, "NDArray[Any]"]):
    """Weights of which one that is missing is told by its name, and the used ones are known."""

    def __init__(self, weights: Mapping[str, NDArray[Any]]) -> None:
        super().__init__(weights)
        self.used: set[str] = set()

    def take(self, name: str, shape: Sequence[int] | None = None) -> NDArray[Any]:
        """One of them, as float32.

        Args:
            name: Its name in the checkpoint.
            shape: What it must be; -1 for any.

        Raises:
            IntegrityError: it is not there, or has another shape.
        """
        if name not in self:
            raise IntegrityError(
                f"the checkpoint has no {name}", context={"it has": ", ".join(list(self)[:5])}
            )
        array = self[name]
        fits = shape is None or (
            len(shape) == array.ndim
            and all(want in (-1, got) for want, got in zip(shape, array.shape, strict=True))
        )
        if not fits:
            raise IntegrityError(
                f"{name} in the checkpoint has another shape",
                context={"expected": str(list(shape or ())), "got": str(list(array.shape))},
            )
        self.used.add(name)
        return np.asarray(array, np.float32)

    def folded(self, weight: str, norm: str, epsilon: float) -> tuple[NDArray[Any], NDArray[Any]]:
        """Kernel and bias of a convolution with the batch normalisation after it taken in.

        Args:
            weight: Name of the kernel, [out, in, height, width].
            norm: What the names of the normalisation begin with.
            epsilon: What is added to its variance.

        Raises:
            IntegrityError: one of them is not there, or does not fit.
        """
        kernel = self.take(weight).astype(np.float64)
        sizes = (kernel.shape[0],)
        gamma, beta, mean, variance = (
            self.take(f"{norm}.{name}", sizes).astype(np.float64)
            for name in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + epsilon)
        bias = beta - mean * scale
        kernel = kernel * scale.reshape(-1, *[1] * (kernel.ndim - 1))
        return kernel.astype(np.float32), bias.astype(np.float32)


def save_function(
    forward: Callable[..., Any], weights: Weights, inputs: Sequence[Input], target: Path
) -> None:
    """Write a network that is a function of its weights and inputs.

    Args:
        forward: Called with the weights, as a dictionary of tensors, and the inputs.
        weights: By name; they are written in this order.
        inputs: In the order in which `forward` takes them.
        target: The directory for the files.
    """
    import paddle

    class Network(paddle.nn.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.names = {name: f"weight_{place}" for place, name in enumerate(weights)}
            for name, attribute in self.names.items():
                array = np.ascontiguousarray(weights[name], np.float32)
                parameter = self.create_parameter(
                    list(array.shape), default_initializer=paddle.nn.initializer.Assign(array)
                )
                self.add_parameter(attribute, parameter)

        # As one list: what is exported cannot have a variable number of arguments.
        def forward(self, tensors: list[Any]) -> Any:
            return forward({n: getattr(self, a) for n, a in self.names.items()}, *tensors)

    _save(Network(), [_specs(inputs)], target)


def save_layer(layer: Any, inputs: Sequence[Input], target: Path) -> None:
    """Write a paddle.nn.Layer for inference, as `inference.json` (or, in the older form,
    `inference.pdmodel`) and `inference.pdiparams`.
    """
    _save(layer, _specs(inputs), target)


def _specs(inputs: Sequence[Input]) -> list[Any]:
    import paddle

    return [
        paddle.static.InputSpec([None if side < 0 else side for side in shape], dtype, name)
        for name, dtype, shape in inputs
    ]


def _save(layer: Any, specs: list[Any], target: Path) -> None:
    import paddle

    layer.eval()
    paddle.jit.save(layer, str(target / PREFIX), input_spec=specs)
