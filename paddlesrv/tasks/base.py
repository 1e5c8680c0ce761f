"""What a task is: request -> tensors, tensors -> result, result -> picture.

A task sees no protocol and no engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

import msgspec

from paddlesrv.models.spec import DType, ModelSpec
from paddlesrv.models.tensor import Array, Tensor

InputKind = Literal["image", "text", "features"]
T = TypeVar("T")
State = TypeVar("State")


class TaskInput(msgspec.Struct, frozen=True):
    """One thing to predict on: the bytes of a picture file, a text, or a row of features."""

    kind: InputKind
    data: bytes | str | dict[str, Any] | list[Any]


class TaskOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller may ask of a task; a task ignores what does not concern it."""

    top: int = 5
    threshold: float | None = None
    tokens: bool = False
    """Whether a text's tokens are wanted one by one, where there is something to say of each."""


class Wanted(msgspec.Struct, frozen=True):
    """A tensor that a task must find in a network, with its batch dimension; -1 is any size.

    An `optional` one need not be there; as an input it must be named as its role. `counts` is the
    role of the output with this one's rows for each input, if there is such an output. `others` are
    types and shapes that are as good.
    """

    role: str
    dtype: DType
    shape: tuple[int, ...]
    lod_level: int = 0
    optional: bool = False
    counts: str | None = None
    others: tuple[tuple[DType, tuple[int, ...]], ...] = ()


class Runner(Protocol):
    """What a task may use while it works; given by the server, or by the in-process predictor."""

    async def infer(self, model: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run a network on one request's rows; requests of everyone in flight share batches."""
        ...

    async def compute(self, function: Callable[..., T], *args: Any) -> T:
        """Run CPU-heavy work without holding up other requests."""
        ...


class Task(ABC):
    """Pre- and post-processing for one model.

    Made once per served model; must be safe to use from several threads at once (keep nothing of
    a request on `self`).
    """

    name: ClassVar[str]
    """The task's name in the catalogue, e.g. "text-detection"."""
    accepts: ClassVar[tuple[InputKind, ...]]
    inputs: ClassVar[tuple[Wanted, ...]] = ()
    """All inputs of a network that the task can feed; none for a pipeline."""
    outputs: ClassVar[tuple[Wanted, ...]] = ()
    """The outputs that it reads; a network may have others."""

    @classmethod
    def understands(cls, spec: ModelSpec) -> bool:
        """Whether this task can read such a network; if not, only its tensors are served."""
        return True

    def __init__(
        self, spec: ModelSpec, root: Path, components: Mapping[str, Task] | None = None
    ) -> None:
        """Read the task's parameters and files (labels, vocabularies) once.

        Args:
            spec: The model.
            root: Its directory; `spec.files` are relative to it.
            components: For a pipeline, the tasks of its component models, by role.

        Raises:
            IntegrityError: a file that the task needs is missing or damaged.
        """
        self.spec = spec
        self.root = root
        self.components = dict(components or {})

    @abstractmethod
    async def answer(self, item: TaskInput, options: TaskOptions, runner: Runner) -> msgspec.Struct:
        """The result for one input, as the struct that is this task's JSON.

        Raises:
            InvalidInput: the input is not a picture, is too large, is empty, ...
        """

    def draw(self, image: Array, result: msgspec.Struct) -> Array | None:
        """Paint a result on its picture (HWC, BGR, uint8); None if there is nothing to paint on."""
        return None

    def class_map(self, result: msgspec.Struct) -> Array | None:
        """The class of each pixel of the picture (HW, uint8); None where a result has none."""
        return None

    @abstractmethod
    def example(self) -> TaskInput:
        """A small valid input, for warm-up and check runs; made, not read from a file."""


class ModelTask(Task, Generic[State]):
    """A task of exactly one network: `pre`, one inference, `post`."""

    heavy: ClassVar[bool] = True
    """Whether pre and post are worth a thread (pictures are, short texts are not)."""

    async def answer(self, item: TaskInput, options: TaskOptions, runner: Runner) -> msgspec.Struct:
        """Prepare, infer, interpret."""
        if self.heavy:
            inputs, state = await runner.compute(self.pre, item, options)
            outputs = await runner.infer(self.spec.name, inputs)
            return await runner.compute(self.post, outputs, state, options)
        inputs, state = self.pre(item, options)
        return self.post(await runner.infer(self.spec.name, inputs), state, options)

    @abstractmethod
    def pre(self, item: TaskInput, options: TaskOptions) -> tuple[dict[str, Tensor], State]:
        """The network's inputs (with their batch dimension of 1), and what `post` must remember."""

    @abstractmethod
    def post(
        self, outputs: Mapping[str, Tensor], state: State, options: TaskOptions
    ) -> msgspec.Struct:
        """The result, from this request's share of the outputs."""
