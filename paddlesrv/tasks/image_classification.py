"""The task `image-classification`: what a picture shows, by a network that scores every class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import cv2
import msgspec
import numpy as np

from paddlesrv.errors import EngineError
from paddlesrv.models.spec import ModelSpec
from paddlesrv.models.tensor import Array, Tensor
from paddlesrv.tasks.annotation import paint_captions, sample_scene
from paddlesrv.tasks.base import ModelTask, Task, TaskInput, TaskOptions, Wanted
from paddlesrv.tasks.images import Size, decode_for
from paddlesrv.tasks.resources import Labels, picture_bytes, read_parameters
from paddlesrv.tasks.tensors import Channels, normalise

MAX_RATIO = 16
"""Of a picture that is longer than this many times its short side only the middle is resized."""

_SUM_SLACK = 1e-2

Side = Annotated[int, msgspec.Meta(ge=1, le=4096)]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a picture goes in, and what comes out; by default as networks for ImageNet have it.

    `resize_short` is what the short side becomes, in pixels; `crop` the height and width of the
    middle that is cut out of that. `mean` and `std` are in the order of `channels`, after the
    division. `output` says what the network answers: `probabilities`, `logits` (which are put
    through a softmax here), or `either`: numbers that are none below 0 and add up to 1 are
    probabilities, others are logits.
    """

    resize_short: Side = 256
    crop: tuple[Side, Side] = (224, 224)
    interpolation: Literal["linear"] = "linear"
    channels: Channels = "rgb"
    divide_by: Positive = 255
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[Positive, Positive, Positive] = (0.229, 0.224, 0.225)
    output: Literal["probabilities", "logits", "either"] = "either"


class ScoredClass(msgspec.Struct, frozen=True):
    """A class and its probability, 0 to 1."""

    label: str
    index: int
    score: float


class Classes(msgspec.Struct, frozen=True):
    """The answer of `image-classification`, best first."""

    classes: list[ScoredClass]


class ImageClassification(ModelTask[None]):
    """The likeliest classes of a picture."""

    name = "image-classification"
    accepts = ("image",)
    inputs = (Wanted("image", "float32", (-1, 3, -1, -1)),)
    outputs = (Wanted("scores", "float32", (-1, -1)),)

    def __init__(
        self, spec: ModelSpec, root: Path, components: Mapping[str, Task] | None = None
    ) -> None:
        """Read parameters and labels."""
        super().__init__(spec, root, components)
        self.parameters = read_parameters(spec, Parameters)
        self.labels = Labels(spec, root)
        self.input = spec.input_by_role("image").name
        self.output = spec.output_by_role("scores").name

    def pre(self, item: TaskInput, options: TaskOptions) -> tuple[dict[str, Tensor], None]:
        """See `prepare`."""
        picture = decode_for(picture_bytes(self, item), self._size)
        return self.prepare(picture.pixels, picture.size), None

    def prepare(self, image: Array, whole: Size | None = None) -> dict[str, Tensor]:
        """A picture (BGR, uint8) as the network's input: short side, middle, normalised.

        Args:
            image: The pixels.
            whole: The size of the picture, where the pixels are fewer.
        """
        p = self.parameters
        height, width = self._size(*(whole or image.shape[:2]))
        ends_cut = _not_too_long(image)
        if ends_cut is not image:
            image = ends_cut
            height, width = self._size(*image.shape[:2])
        resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        middle = _middle(resized, *p.crop)
        # (x / divide_by - mean) / std, as (x / 255 - mean') / std'.
        factor = p.divide_by / 255
        mean, std = ([each * factor for each in values] for values in (p.mean, p.std))
        return {self.input: Tensor(normalise(middle, mean, std, p.channels))}

    def post(self, outputs: Mapping[str, Tensor], state: None, options: TaskOptions) -> Classes:
        """The likeliest classes; of equally likely ones the one with the lower index first."""
        scores = outputs[self.output].data[0].reshape(-1).astype(np.float32)
        if scores.size == 0 or not np.isfinite(scores).all():
            raise EngineError(f"{self.spec.name} answers no scores that can be compared")
        probabilities = self._probabilities(scores)
        best = np.argsort(-probabilities, kind="stable")[: options.top]
        least = options.threshold
        return Classes(
            [
                ScoredClass(self.labels[int(index)], int(index), float(probabilities[index]))
                for index in best
                if least is None or probabilities[index] >= least
            ]
        )

    def draw(self, image: Array, result: msgspec.Struct) -> Array | None:
        """The picture with its classes in the corner."""
        if not isinstance(result, Classes):
            return None
        return paint_captions(image, [f"{each.label} {each.score:.2f}" for each in result.classes])

    def example(self) -> TaskInput:
        """Two coloured shapes on grey."""
        return TaskInput("image", sample_scene(320, 240))

    def _size(self, height: int, width: int) -> Size:
        return _size(height, width, self.parameters.resize_short)

    def _probabilities(self, scores: Array) -> Array:
        kind = self.parameters.output
        if kind == "either":
            told = bool((scores >= 0).all()) and abs(float(scores.sum()) - 1) <= _SUM_SLACK
            kind = "probabilities" if told else "logits"
        if kind == "probabilities":
            return scores
        powers = np.exp(scores - scores.max())
        probabilities: Array = powers / powers.sum()
        return probabilities


def _not_too_long(image: Array) -> Array:
    """The picture, or the middle of one whose resized form would be millions of pixels wide.

    What is cut off is far outside of the middle that the network sees.
    """
    height, width = image.shape[:2]
    limit = min(height, width) * MAX_RATIO
    if max(height, width) <= limit:
        return image
    # As odd or even as the picture is, or the middle would be half a pixel off.
    limit += (max(height, width) - limit) % 2
    return _middle(image, min(height, limit), min(width, limit))


def _size(height: int, width: int, short: int) -> Size:
    scale = short / min(height, width)
    return round(height * scale), round(width * scale)


def _middle(image: Array, height: int, width: int) -> Array:
    """The middle of a picture; where it is smaller than that, all of it, resized."""
    own_height, own_width = image.shape[:2]
    if own_height < height or own_width < width:
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    top, left = (own_height - height) // 2, (own_width - width) // 2
    return image[top : top + height, left : left + width]
