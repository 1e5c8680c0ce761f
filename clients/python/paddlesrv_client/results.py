"""What calls answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from paddlesrv_client.tensors import Array, Tensor


class InferResult(Mapping[str, Array]):
    """A model's outputs: names to arrays.

    Attributes:
        model: The model that answered; empty where the protocol does not say.
        version: Its version; empty where the protocol does not say.
        id: The request's id, if it had one.
        lod: For outputs whose rows belong to sequences: where each begins and the last ends.
    """

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        *,
        model: str = "",
        version: str = "",
        id: str | None = None,
    ) -> None:
        self._arrays = {name: tensor.data for name, tensor in tensors.items()}
        self.lod = {name: t.lod for name, t in tensors.items() if t.lod is not None}
        self.model = model
        self.version = version
        self.id = id

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        told = ", ".join(f"{n}: {a.dtype} {list(a.shape)}" for n, a in self.items())
        return f"InferResult({told})"


@dataclass(frozen=True)
class Prediction:
    """A task model's answer.

    Attributes:
        model: The model.
        task: Its task, e.g. "image-classification".
        results: One for each input: what the task answers, as JSON has it.
        json: The whole answer.
    """

    model: str
    task: str
    results: list[Any]
    json: dict[str, Any] = field(repr=False)

    @property
    def result(self) -> Any:
        """The first one: that of the only input."""
        return self.results[0]


@dataclass(frozen=True)
class TensorMetadata:
    """An input or output: its name, the protocol's name of its type, -1 for any side."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ModelMetadata:
    """A model's inputs and outputs."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]
    properties: dict[str, Any] = field(default_factory=dict)
