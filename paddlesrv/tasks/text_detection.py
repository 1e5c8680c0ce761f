"""The task `text-detection`: where lines of text are in a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import cv2
import msgspec
import numpy as np

from paddlesrv.models.spec import ModelSpec
from paddlesrv.models.tensor import Array, Tensor
from paddlesrv.tasks.base import ModelTask, Task, TaskInput, TaskOptions, Wanted
from paddlesrv.tasks.drawing import paint_boxes, sample_picture
from paddlesrv.tasks.images import Size, decode_for
from paddlesrv.tasks.probability_map import boxes_of_map
from paddlesrv.tasks.quads import size
from paddlesrv.tasks.resources import picture_bytes, read_parameters
from paddlesrv.tasks.tensors import Channels, normalise

MAX_NETWORK_SIDE = 4000
"""No picture goes larger than this into the network, whatever its sides are limited to."""

MARGIN = 32
"""A side shorter than this many pixels is padded to it, so that a thin picture keeps its ratio."""

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Point = tuple[float, float]


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sizes in pixels; thresholds from 0 to 1."""

    limit_side_len: Annotated[int, msgspec.Meta(ge=32, le=MAX_NETWORK_SIDE)] = 960
    limit_type: Literal["max", "min"] = "max"
    """`max`: a longer long side is scaled down to the limit; `min`: a shorter short side up."""
    side_multiple: Annotated[int, msgspec.Meta(ge=1, le=512)] = 32
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    score_threshold: Share = 0.3
    box_threshold: Share = 0.6
    unclip_ratio: Annotated[float, msgspec.Meta(ge=0, le=10)] = 1.5
    max_candidates: Annotated[int, msgspec.Meta(ge=1)] = 1000
    min_side: Annotated[float, msgspec.Meta(ge=1)] = 3
    channels: Channels = "bgr"


class TextBox(msgspec.Struct, frozen=True):
    """A box around text: clockwise from top left, in pixels of the picture."""

    score: float
    box: tuple[Point, Point, Point, Point]


class TextBoxes(msgspec.Struct, frozen=True):
    """The answer of `text-detection`, from top to bottom."""

    boxes: list[TextBox]


class Scale(NamedTuple):
    """How a picture went into the network."""

    width: int
    height: int
    across: float
    """Network pixels per picture pixel, horizontally."""
    down: float


class TextDetection(ModelTask[Scale]):
    """Boxes around lines of text, by a network that answers a probability per pixel."""

    name = "text-detection"
    accepts = ("image",)
    inputs = (Wanted("image", "float32", (-1, 3, -1, -1)),)
    outputs = (Wanted("map", "float32", (-1, 1, -1, -1)),)

    def __init__(
        self, spec: ModelSpec, root: Path, components: Mapping[str, Task] | None = None
    ) -> None:
        """Read the parameters."""
        super().__init__(spec, root, components)
        self.parameters = read_parameters(spec, Parameters)
        self.input = spec.input_by_role("image").name
        self.output = spec.output_by_role("map").name

    def pre(self, item: TaskInput, options: TaskOptions) -> tuple[dict[str, Tensor], Scale]:
        """See `prepare`."""
        picture = decode_for(picture_bytes(self, item), self._network_size)
        return self.prepare(picture.pixels, picture.size)

    def prepare(self, image: Array, whole: Size | None = None) -> tuple[dict[str, Tensor], Scale]:
        """A picture (BGR, uint8) as the network's input, 1 x 3 x height x width.

        Args:
            image: The pixels.
            whole: The size of the picture, where the pixels are fewer.
        """
        height, width = whole or image.shape[:2]
        below, right = max(0, MARGIN - height), max(0, MARGIN - width)
        if below or right:
            image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
        net_height, net_width = self._network_size(height, width)
        resized = cv2.resize(image, (net_width, net_height), interpolation=cv2.INTER_LINEAR)
        data = normalise(
            resized, self.parameters.mean, self.parameters.std, self.parameters.channels
        )
        scale = Scale(width, height, net_width / (width + right), net_height / (height + below))
        return {self.input: Tensor(data)}, scale

    def post(self, outputs: Mapping[str, Tensor], state: Scale, options: TaskOptions) -> TextBoxes:
        """The boxes, from top to bottom."""
        quads, scores = self.find(outputs, state, options.threshold)
        order = np.lexsort((quads[:, 0, 0], quads[:, 0, 1]))
        return TextBoxes([TextBox(float(scores[i]), corners(quads[i])) for i in order])

    def find(
        self, outputs: Mapping[str, Tensor], scale: Scale, threshold: float | None = None
    ) -> tuple[Array, Array]:
        """Boxes (n x 4 x 2, pixels of the picture, inside it) and their n scores."""
        p = self.parameters
        found, scores = boxes_of_map(
            np.ascontiguousarray(outputs[self.output].data[0, 0], np.float32),
            score_threshold=p.score_threshold,
            box_threshold=p.box_threshold if threshold is None else threshold,
            unclip_ratio=p.unclip_ratio,
            max_candidates=p.max_candidates,
            min_side=p.min_side,
        )
        quads = found / np.array([scale.across, scale.down], np.float32)
        quads = np.clip(quads, 0, np.array([scale.width, scale.height], np.float32))
        # What lay in the padding has been clipped to a line on the picture's edge.
        kept = np.array([min(size(quad)) >= 1 for quad in quads], bool)
        return quads[kept], scores[kept]

    def _network_size(self, height: int, width: int) -> Size:
        return network_size(max(height, MARGIN), max(width, MARGIN), self.parameters)

    def draw(self, image: Array, result: msgspec.Struct) -> Array | None:
        """The boxes on the picture."""
        if not isinstance(result, TextBoxes):
            return None
        return paint_boxes(image, [box.box for box in result.boxes])

    def example(self) -> TaskInput:
        """A white picture with two words."""
        return TaskInput("image", sample_picture("Hello 2026", 320, 96))


def network_size(height: int, width: int, parameters: Parameters) -> tuple[int, int]:
    """Height and width with which a picture goes into the network.

    Both are multiples of `side_multiple`, rounded to the nearest, at least one of it.
    """
    limit = parameters.limit_side_len
    if parameters.limit_type == "max":
        scale = min(1.0, limit / max(height, width))
    else:
        scale = max(1.0, limit / min(height, width))
    scale = min(scale, MAX_NETWORK_SIDE / max(height, width))
    multiple = parameters.side_multiple
    return (
        max(1, round(height * scale / multiple)) * multiple,
        max(1, round(width * scale / multiple)) * multiple,
    )


def corners(quad: Array) -> tuple[Point, Point, Point, Point]:
    """A quad as it is answered: to a tenth of a pixel."""
    a, b, c, d = ((round(float(x), 1), round(float(y), 1)) for x, y in quad)
    return a, b, c, d
