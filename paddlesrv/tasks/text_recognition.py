"""The task `text-recognition`: what a cut-out line of text says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import cv2
import msgspec

from paddlesrv.errors import EngineError, IntegrityError
from paddlesrv.models.spec import ModelSpec
from paddlesrv.models.tensor import Array, Tensor
from paddlesrv.tasks.base import ModelTask, Task, TaskInput, TaskOptions, Wanted
from paddlesrv.tasks.ctc import Blank, alphabet, decode
from paddlesrv.tasks.drawing import paint_below, sample_picture
from paddlesrv.tasks.images import decode as decode_picture
from paddlesrv.tasks.resources import picture_bytes, read_lines, read_parameters
from paddlesrv.tasks.tensors import normalise

_HALF = (0.5, 0.5, 0.5)
Width = Annotated[int, msgspec.Meta(ge=8, le=16384)]


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sizes of the network's picture in pixels, and what its classes are."""

    height: Annotated[int, msgspec.Meta(ge=8, le=512)] = 48
    min_width: Width = 320
    max_width: Width = 3200
    """A longer line is squeezed to this."""
    width_step: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 32
    blank: Blank = "first"
    space: bool = True
    """Whether a class for the space follows those of the file `characters`."""


class RecognisedText(msgspec.Struct, frozen=True):
    """The answer of `text-recognition`; the score is the mean over the characters, 0 to 1."""

    text: str
    score: float


class TextRecognition(ModelTask[None]):
    """The text of one cut-out line, by a network that answers class scores per step.

    A network with the decoder inside answers the steps of all lines end to end (a LoD tensor), and
    characters besides; these are the same as what the steps say, and are not read. For such a one
    Paddle Serving's client took the mean over all steps but blanks, repetitions included (and over
    nothing for an empty line); here the score is made as for the others.
    """

    name = "text-recognition"
    accepts = ("image",)
    inputs = (Wanted("image", "float32", (-1, 3, -1, -1)),)
    outputs = (Wanted("scores", "float32", (-1, -1, -1)),)

    def __init__(
        self, spec: ModelSpec, root: Path, components: Mapping[str, Task] | None = None
    ) -> None:
        """Read the parameters and the characters, and see that they fit the network."""
        super().__init__(spec, root, components)
        self.parameters = read_parameters(spec, Parameters)
        self.input = spec.input_by_role("image").name
        output = spec.output_by_role("scores")
        self.output = output.name
        self.end_to_end = output.lod_level > 0
        characters = read_lines(spec, root, "characters")
        self.classes = alphabet(characters, self.parameters.blank, self.parameters.space)
        declared = output.shape[-1] if output.shape else -1
        if declared not in (-1, len(self.classes)):
            raise IntegrityError(
                f"{spec.files['characters']} of {spec.name} makes {len(self.classes)} classes "
                f"with the blank, the network has {declared}",
                hints=[f"paddlesrv get --force {spec.name}"],
            )

    def pre(self, item: TaskInput, options: TaskOptions) -> tuple[dict[str, Tensor], None]:
        """See `prepare`."""
        return self.prepare(decode_picture(picture_bytes(self, item))), None

    def prepare(self, image: Array) -> dict[str, Tensor]:
        """A line (BGR, uint8) as the network's input, 1 x 3 x height x its canonical width."""
        height, width = image.shape[:2]
        p = self.parameters
        full = canonical_width(height, width, p)
        own = min(full, max(1, math.ceil(p.height * width / height)))
        # Enlarged linearly, the gaps between words blur, and the network loses the spaces.
        shrinks = height > p.height or own < width
        how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        resized = cv2.resize(image, (own, p.height), interpolation=how)
        return {self.input: Tensor(normalise(resized, _HALF, _HALF, width=full))}

    def post(
        self, outputs: Mapping[str, Tensor], state: None, options: TaskOptions
    ) -> RecognisedText:
        """The text and its score."""
        scores = outputs[self.output].data
        scores = scores if self.end_to_end else scores[0]
        if scores.ndim != 2 or scores.shape[1] != len(self.classes):
            raise EngineError(
                f"{self.spec.name} answers scores of shape {scores.shape} for one line, "
                f"expected steps x {len(self.classes)}"
            )
        return RecognisedText(*decode(scores, self.classes, self.parameters.blank))

    def draw(self, image: Array, result: msgspec.Struct) -> Array | None:
        """The line, and below it what was read."""
        return paint_below(image, result.text) if isinstance(result, RecognisedText) else None

    def example(self) -> TaskInput:
        """One line of text, cut out as closely as text detection does."""
        return TaskInput("image", sample_picture("Hello 2026", 208, 48))


def canonical_width(height: int, width: int, parameters: Parameters) -> int:
    """The width of the network's input for a line, from the line's own size alone.

    What a line is batched with must not change its answer, so it is padded to a step of its own
    width, not to the longest of the batch. A coarse step makes lines meet in one batch.
    """
    p = parameters
    wanted = math.ceil(p.height * width / height / p.width_step) * p.width_step
    return min(max(p.min_width, wanted), max(p.max_width, p.min_width))
