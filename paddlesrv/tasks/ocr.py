"""The task `ocr`: a pipeline that finds the lines of text in a picture and reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import cv2
import msgspec
import numpy as np

from paddlesrv.models.spec import ModelSpec
from paddlesrv.models.tensor import Array
from paddlesrv.tasks.base import Runner, Task, TaskInput, TaskOptions
from paddlesrv.tasks.concurrency import gather
from paddlesrv.tasks.drawing import paint_text, sample_picture
from paddlesrv.tasks.images import decode
from paddlesrv.tasks.quads import crop, reading_rows
from paddlesrv.tasks.resources import picture_bytes, read_component, read_parameters
from paddlesrv.tasks.text_detection import Point, TextDetection, corners
from paddlesrv.tasks.text_orientation import TextOrientation
from paddlesrv.tasks.text_recognition import RecognisedText, TextRecognition

MAX_LINES_IN_FLIGHT = 32
"""Lines of one picture that are read at once: several batches, but no queue filled by one page."""


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the pipeline does besides finding and reading."""

    orientation: bool = False
    """Whether lines that are upside down are found and turned; needs the component."""
    min_score: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    """Lines read with a lower score are left out."""


class OcrLine(msgspec.Struct, frozen=True):
    """One line: its box clockwise from top left, in pixels of the picture."""

    text: str
    score: float
    box: tuple[Point, Point, Point, Point]


class OcrResult(msgspec.Struct, frozen=True):
    """The answer of `ocr`: lines in reading order.

    `text` has them all: boxes of one row with a space between them, rows on lines of their own.
    """

    text: str
    lines: list[OcrLine]


class Ocr(Task):
    """Text detection, line orientation, text recognition.

    Each cut-out line is a request of its own to the networks, so that the lines of all pictures
    in flight share batches.
    """

    name = "ocr"
    accepts = ("image",)

    def __init__(
        self, spec: ModelSpec, root: Path, components: Mapping[str, Task] | None = None
    ) -> None:
        """Check that the components are there."""
        super().__init__(spec, root, components)
        self.parameters = read_parameters(spec, Parameters)
        self.detection = read_component(self, "detection", TextDetection)
        self.recognition = read_component(self, "recognition", TextRecognition)
        self.orientation = (
            read_component(self, "orientation", TextOrientation)
            if self.parameters.orientation
            else None
        )

    async def answer(self, item: TaskInput, options: TaskOptions, runner: Runner) -> OcrResult:
        """Find, cut out, turn, read, put in order."""
        image = await runner.compute(decode, picture_bytes(self, item))
        quads = await self._find(image, runner)
        lines = (self._read(image, quad, runner) for quad in quads)
        read = await gather(lines, at_once=MAX_LINES_IN_FLIGHT)
        least = self.parameters.min_score if options.threshold is None else options.threshold
        return await runner.compute(_result, quads, read, least)

    async def _find(self, image: Array, runner: Runner) -> Array:
        inputs, scale = await runner.compute(self.detection.prepare, image)
        outputs = await runner.infer(self.detection.spec.name, inputs)
        return (await runner.compute(self.detection.find, outputs, scale))[0]

    async def _read(self, image: Array, quad: Array, runner: Runner) -> tuple[RecognisedText, bool]:
        """What one line says, and whether it is upside down."""
        line = await runner.compute(crop, image, quad)
        flipped = False
        if self.orientation is not None:
            inputs = await runner.compute(self.orientation.prepare, line)
            outputs = await runner.infer(self.orientation.spec.name, inputs)
            flipped = self.orientation.upside_down(outputs)
            if flipped:
                line = cv2.rotate(line, cv2.ROTATE_180)
        inputs = await runner.compute(self.recognition.prepare, line)
        outputs = await runner.infer(self.recognition.spec.name, inputs)
        text = await runner.compute(self.recognition.post, outputs, None, TaskOptions())
        return text, flipped

    def draw(self, image: Array, result: msgspec.Struct) -> Array | None:
        """The boxes on the picture, and beside it what was read."""
        if not isinstance(result, OcrResult):
            return None
        return paint_text(image, [(line.text, line.box) for line in result.lines])

    def example(self) -> TaskInput:
        """A white picture with two words."""
        return TaskInput("image", sample_picture("Hello 2026", 320, 96))


def _result(quads: Array, read: list[tuple[RecognisedText, bool]], least: float) -> OcrResult:
    flipped = np.array([turned for _, turned in read], bool)
    rows = [
        [
            OcrLine(read[i][0].text, read[i][0].score, corners(quads[i]))
            for i in row
            if read[i][0].text.strip() and read[i][0].score >= least
        ]
        for row in reading_rows(quads, flipped)
    ]
    text = "\n".join(" ".join(line.text for line in row) for row in rows if row)
    return OcrResult(text, [line for row in rows for line in row])
