"""The task `text-line-orientation`: whether a cut-out line of text is upside down."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import cv2
import msgspec
import numpy as np

from paddlesrv.errors import EngineError
from paddlesrv.models.spec import ModelSpec
from paddlesrv.models.tensor import Array, Tensor
from paddlesrv.tasks.base import ModelTask, Task, TaskInput, TaskOptions, Wanted
from paddlesrv.tasks.drawing import paint_below, sample_picture
from paddlesrv.tasks.images import decode
from paddlesrv.tasks.resources import picture_bytes, read_parameters
from paddlesrv.tasks.tensors import normalise

_HALF = (0.5, 0.5, 0.5)
_ANGLES = (0, 180)


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The network's picture in pixels, and how sure it must be that a line is upside down."""

    height: Annotated[int, msgspec.Meta(ge=8, le=512)] = 48
    width: Annotated[int, msgspec.Meta(ge=8, le=4096)] = 192
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.9


class Orientation(msgspec.Struct, frozen=True):
    """The answer of `text-line-orientation`: degrees by which the line is turned (0 or 180)."""

    angle: int
    score: float


class TextOrientation(ModelTask[None]):
    """0 or 180 degrees for one cut-out line of text."""

    name = "text-line-orientation"
    accepts = ("image",)
    inputs = (Wanted("image", "float32", (-1, 3, -1, -1)),)
    outputs = (Wanted("scores", "float32", (-1, len(_ANGLES))),)

    def __init__(
        self, spec: ModelSpec, root: Path, components: Mapping[str, Task] | None = None
    ) -> None:
        """Read the parameters."""
        super().__init__(spec, root, components)
        self.parameters = read_parameters(spec, Parameters)
        self.input = spec.input_by_role("image").name
        self.output = spec.output_by_role("scores").name

    def pre(self, item: TaskInput, options: TaskOptions) -> tuple[dict[str, Tensor], None]:
        """See `prepare`."""
        return self.prepare(decode(picture_bytes(self, item))), None

    def prepare(self, image: Array) -> dict[str, Tensor]:
        """A line (BGR, uint8) as the network's input: ratio kept, zeros on the right."""
        height, width = image.shape[:2]
        p = self.parameters
        own = min(p.width, max(1, math.ceil(p.height * width / height)))
        resized = cv2.resize(image, (own, p.height), interpolation=cv2.INTER_LINEAR)
        return {self.input: Tensor(normalise(resized, _HALF, _HALF, width=p.width))}

    def post(self, outputs: Mapping[str, Tensor], state: None, options: TaskOptions) -> Orientation:
        """The likelier angle."""
        scores = outputs[self.output].data[0]
        if scores.shape != (len(_ANGLES),):
            raise EngineError(
                f"{self.spec.name} answers {scores.shape} scores for {len(_ANGLES)} angles"
            )
        best = int(np.argmax(scores))
        return Orientation(_ANGLES[best], float(scores[best]))

    def upside_down(self, outputs: Mapping[str, Tensor]) -> bool:
        """Whether to turn the line: it is upside down, and the network is sure enough of it."""
        found = self.post(outputs, None, TaskOptions())
        return found.angle == 180 and found.score > self.parameters.threshold

    def draw(self, image: Array, result: msgspec.Struct) -> Array | None:
        """The line, and below it how it is turned."""
        if not isinstance(result, Orientation):
            return None
        return paint_below(image, f"{result.angle}° {result.score:.2f}")

    def example(self) -> TaskInput:
        """One line of text."""
        return TaskInput("image", sample_picture("Hello", 192, 48))
