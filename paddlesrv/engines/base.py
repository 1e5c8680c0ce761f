"""The protocol behind which every engine stands, and the words for where and how it runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from paddlesrv.models.spec import ModelSpec

if TYPE_CHECKING:  # the command line reads options, and must not load numpy for that
    from paddlesrv.models.tensor import Tensor

EngineName = Literal["paddle", "onnxruntime", "openvino"]
EngineWish = Literal["auto", "paddle", "onnxruntime", "openvino"]
"""What may be asked for; `auto` is whichever serves the model best here (`engines.choice`)."""
Precision = Literal["fp32", "fp16", "bf16", "int8"]


class Device(msgspec.Struct, frozen=True):
    """Where a network runs: the CPU, or one GPU by its index."""

    kind: Literal["cpu", "gpu"] = "cpu"
    index: int = 0

    def __str__(self) -> str:
        return "cpu" if self.kind == "cpu" else f"gpu:{self.index}"


class ShapeRange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The shapes of an input that TensorRT is built for: the least, the usual and the greatest."""

    input: str
    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]


class EngineOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to run a network. `threads` is the number of threads inside one run.

    `variant` names the way of paddle's (`variants.VARIANTS`) that is known to be right for the
    network; None has paddle look for one as it loads.
    """

    engine: EngineName = "paddle"
    device: Device = Device()
    precision: Precision = "fp32"
    threads: int = 1
    variant: str | None = None
    tensorrt: bool = False
    tensorrt_shapes: tuple[ShapeRange, ...] = ()
    """With TensorRT: the shapes of inputs whose size is open. Others are made of the signature."""
    max_batch_size: int = 0
    """With TensorRT: rows in the greatest batch; 0 is the model's own default."""


class Engine(Protocol):
    """A loaded network. Not thread-safe: one call at a time."""

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run one batch; inputs and outputs by tensor name.

        The arrays of `inputs` are only read, and only until the call returns; those of the result
        belong to the caller. Input that the validator would refuse may kill the process (see
        `paddlesrv.server.validation`): callers that take input from outside validate first.

        Raises:
            EngineError: the network failed; the engine can be used again.
        """
        ...

    def close(self) -> None:
        """Give back what the engine holds; it cannot be used afterwards."""
        ...


class Loader(Protocol):
    """What an engine's module offers: `load`."""

    def __call__(self, spec: ModelSpec, root: Path, options: EngineOptions) -> Engine:
        """Load the network of `spec`, whose files lie under `root`.

        Raises:
            IntegrityError: a file is missing or its digest differs.
            DeviceUnavailable: the device or precision is not there.
            EngineError: the files are not a network that this engine can load.
        """
        ...
