"""The task `table-structure`: rows and cells of a table in a picture, as HTML without its text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import cv2
import msgspec
import numpy as np

from paddlesrv.errors import EngineError, IntegrityError
from paddlesrv.models.spec import ModelSpec
from paddlesrv.models.tensor import Array, Tensor
from paddlesrv.tasks.base import ModelTask, Task, TaskInput, TaskOptions, Wanted
from paddlesrv.tasks.drawing import paint_boxes
from paddlesrv.tasks.images import Size, decode_for, encode_png
from paddlesrv.tasks.resources import picture_bytes, read_lines, read_parameters
from paddlesrv.tasks.tensors import Channels, normalise_into
from paddlesrv.tasks.text_detection import Point

Side = Annotated[int, msgspec.Meta(ge=32, le=4096)]

_CELLS = ("<td", "<td></td>")
"""Tokens that begin a cell: with attributes to follow, and without."""


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a picture goes in: its long side in pixels, what it is padded to, its statistics.

    `mean` and `std` are in the order of `channels`, after the division.
    """

    resize_long: Side = 488
    pad_to: tuple[Side, Side] = (488, 488)
    channels: Channels = "bgr"
    divide_by: Annotated[float, msgspec.Meta(gt=0)] = 255
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


class TableCell(msgspec.Struct, frozen=True):
    """One cell: its corners clockwise from top left, in pixels of the picture."""

    box: tuple[Point, Point, Point, Point]


class Table(msgspec.Struct, frozen=True):
    """The answer of `table-structure`: the cells are in the order of the HTML.

    The score is the mean over its tokens, 0 to 1.
    """

    html: str
    score: float
    cells: list[TableCell]


class Sent(NamedTuple):
    """Height and width of a picture, and network pixels per picture pixel."""

    height: int
    width: int
    scale: float


class TableStructure(ModelTask[Sent]):
    """Rows and cells, by a network that writes HTML token by token (SLANet).

    Chenxia Li et al., "PP-StructureV2" (2022), section 2.2.
    """

    name = "table-structure"
    accepts = ("image",)
    inputs = (Wanted("image", "float32", (-1, 3, -1, -1)),)
    outputs = (
        Wanted("cells", "float32", (-1, -1, 8)),
        Wanted("structure", "float32", (-1, -1, -1)),
    )

    def __init__(
        self, spec: ModelSpec, root: Path, components: Mapping[str, Task] | None = None
    ) -> None:
        """Read the parameters and the tokens, and see that they fit the network."""
        super().__init__(spec, root, components)
        self.parameters = read_parameters(spec, Parameters)
        self.input = spec.input_by_role("image").name
        structure = spec.output_by_role("structure")
        self.structure, self.cells = structure.name, spec.output_by_role("cells").name
        # The network has a token before the first, for the start, and one after the last.
        self.tokens = ["", *read_lines(spec, root, "tokens")]
        self.end = len(self.tokens)
        if structure.shape and structure.shape[-1] not in (-1, self.end + 1):
            raise IntegrityError(
                f"{spec.files['tokens']} of {spec.name} makes {self.end + 1} tokens, the network "
                f"has {structure.shape[-1]}",
                hints=[f"paddlesrv get --force {spec.name}"],
            )

    def pre(self, item: TaskInput, options: TaskOptions) -> tuple[dict[str, Tensor], Sent]:
        """See `prepare`."""
        return self.prepare(*decode_for(picture_bytes(self, item), self._resized_size))

    def prepare(self, image: Array, whole: Size | None = None) -> tuple[dict[str, Tensor], Sent]:
        """A picture (BGR, uint8) as the network's input: ratio kept, zeros right and below.

        Args:
            image: The pixels.
            whole: The size of the picture, where the pixels are fewer.
        """
        p = self.parameters
        height, width = whole or image.shape[:2]
        scale = p.resize_long / max(height, width)
        down, across = self._resized_size(height, width)
        resized = cv2.resize(image, (across, down), interpolation=cv2.INTER_LINEAR)
        factor = p.divide_by / 255
        mean, std = ([each * factor for each in values] for values in (p.mean, p.std))
        padded = np.zeros((1, 3, *p.pad_to), np.float32)
        normalise_into(padded[0, :, :down, :across], resized, mean, std, p.channels)
        return {self.input: Tensor(padded)}, Sent(height, width, scale)

    def post(self, outputs: Mapping[str, Tensor], state: Sent, options: TaskOptions) -> Table:
        """The HTML up to the end token, and where its cells are."""
        steps, places = outputs[self.structure].data[0], outputs[self.cells].data[0]
        if steps.ndim != 2 or steps.shape[1] != self.end + 1 or places.shape != (len(steps), 8):
            raise EngineError(
                f"{self.spec.name} answers {steps.shape} and {places.shape}; expected steps x "
                f"{self.end + 1} tokens and steps x 8 corners"
            )
        best = steps.argmax(axis=1)
        ends = np.flatnonzero(best == self.end)
        told = range(ends[0] if len(ends) else len(best))
        found = [self.tokens[best[step]] for step in told]
        score = float(np.mean([steps[step, best[step]] for step in told])) if told else 0.0
        cells = [
            TableCell(self._corners(places[step], state))
            for step, token in zip(told, found, strict=True)
            if token in _CELLS
        ]
        return Table(f"<table>{''.join(found)}</table>", score, cells)

    def draw(self, image: Array, result: msgspec.Struct) -> Array | None:
        """The cells on the picture."""
        if not isinstance(result, Table):
            return None
        return paint_boxes(image, [cell.box for cell in result.cells])

    def example(self) -> TaskInput:
        """A grid of two rows and three columns."""
        pixels = np.full((160, 300, 3), 255, np.uint8)
        for y in (10, 75, 140):
            cv2.line(pixels, (10, y), (289, y), (0, 0, 0), 2)
        for x in (10, 103, 196, 289):
            cv2.line(pixels, (x, 10), (x, 140), (0, 0, 0), 2)
        return TaskInput("image", encode_png(pixels))

    def _resized_size(self, height: int, width: int) -> Size:
        scale = self.parameters.resize_long / max(height, width)
        return max(1, int(height * scale)), max(1, int(width * scale))

    def _corners(self, place: Array, state: Sent) -> tuple[Point, Point, Point, Point]:
        """Shares of the padded picture -> pixels of the sent one, inside it."""
        high, wide = self.parameters.pad_to
        corners = place.reshape(4, 2) * (wide, high) / state.scale
        corners = np.clip(corners, 0, (state.width, state.height))
        one, two, three, four = ((float(x), float(y)) for x, y in corners)
        return one, two, three, four
