"""What networks are asked while tasks answer: kept on disk, for calibration and comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from paddlesrv.engines.base import Engine
from paddlesrv.errors import DeviceUnavailable
from paddlesrv.models.spec import ModelSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.server.validation import check_inputs

MAX_RECORDED = 512
MAX_BYTES = 1 << 31
"""Of one network. A pipeline asks its parts many times for one input."""


class Recording:
    """A network that remembers its inputs, in a directory: large ones would not fit in memory."""

    def __init__(self, spec: ModelSpec, engine: Engine, directory: Path) -> None:
        """Wrap an engine; it stays the caller's to close."""
        self._spec = spec
        self._engine = engine
        self._directory = directory
        self._bytes = 0
        self.count = 0
        directory.mkdir(parents=True, exist_ok=True)

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Check, remember, run.

        Raises:
            InvalidInput: the inputs are not what the network takes.
            DeviceUnavailable: it takes texts as tensors, which are not quantised.
            EngineError: it failed.
        """
        check_inputs(self._spec, dict(inputs))
        if self.count < MAX_RECORDED and self._bytes < MAX_BYTES:
            arrays = [inputs[tensor.name].data for tensor in self._spec.inputs]
            if any(array.dtype.hasobject for array in arrays):
                raise DeviceUnavailable(f"{self._spec.name} takes texts, and is not quantised")
            with (self._directory / f"{self.count}.npz").open("wb") as file:
                np.savez(file, *arrays)
            self._bytes += sum(array.nbytes for array in arrays)
            self.count += 1
        return self._engine.run(inputs)

    def close(self) -> None:
        """Nothing is held but files."""

    def inputs(self, most: int = MAX_RECORDED) -> Iterator[dict[str, Tensor]]:
        """What was asked, evenly spread over all of it if that is more than `most`."""
        used = min(most, self.count)
        for number in range(used):
            path = self._directory / f"{number * self.count // used}.npz"
            with np.load(path, allow_pickle=False) as loaded:
                yield {
                    tensor.name: Tensor(loaded[f"arr_{index}"])
                    for index, tensor in enumerate(self._spec.inputs)
                }
