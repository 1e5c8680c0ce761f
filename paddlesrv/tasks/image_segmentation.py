"""The task `image-segmentation`: which class each pixel of a picture belongs to."""

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
from paddlesrv.tasks.annotation import paint_classes, sample_scene
from paddlesrv.tasks.base import ModelTask, Task, TaskInput, TaskOptions, Wanted
from paddlesrv.tasks.images import Size, decode_for
from paddlesrv.tasks.resources import Labels, picture_bytes, read_parameters
from paddlesrv.tasks.run_length import RunLengths, encode
from paddlesrv.tasks.run_length import decode as decode_runs
from paddlesrv.tasks.tensors import Channels, normalise_into

Side = Annotated[int, msgspec.Meta(ge=1, le=4096)]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a picture goes in, and what the network answers.

    `resize` is the height and width that the picture gets; its ratio is not kept. `mean` and `std`
    are in the order of `channels`, after the division. `output`: the number of each pixel's class
    (`classes`), a score per class and pixel (`scores`), or the `probability` of class 1 alone,
    which is what pixels of at least `threshold` are.
    """

    resize: tuple[Side, Side] = (512, 512)
    channels: Channels = "bgr"
    interpolation: Literal["linear"] = "linear"
    data_layout: Literal["hwc", "chw"] = "chw"
    divide_by: Positive = 1
    mean: tuple[float, float, float] = (0, 0, 0)
    std: tuple[Positive, Positive, Positive] = (1, 1, 1)
    classes: Annotated[int, msgspec.Meta(ge=2, le=256)] = 2
    output: Literal["classes", "scores", "probability"] = "classes"
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5


class SegmentedClass(msgspec.Struct, frozen=True, omit_defaults=True):
    """A class that the picture has pixels of, and its share of them, 0 to 1.

    `mask` is told where there are more than two classes, and not for class 0.
    """

    label: str
    index: int
    share: float
    mask: RunLengths | None = None


class Segments(msgspec.Struct, frozen=True):
    """The answer of `image-segmentation`: the classes by number, and what is not class 0."""

    classes: list[SegmentedClass]
    mask: RunLengths


class ImageSegmentation(ModelTask[Size]):
    """The class of each pixel."""

    name = "image-segmentation"
    accepts = ("image",)
    inputs = (Wanted("image", "float32", (-1, -1, -1, -1), others=(("uint8", (-1, -1, -1, -1)),)),)
    outputs = (
        Wanted(
            "mask",
            "float32",
            (-1, -1, -1, -1),
            others=(("int32", (-1, -1, -1)), ("int64", (-1, -1, -1)), ("int64", (-1, -1, -1, -1))),
        ),
    )

    def __init__(
        self, spec: ModelSpec, root: Path, components: Mapping[str, Task] | None = None
    ) -> None:
        """Read parameters and labels."""
        super().__init__(spec, root, components)
        self.parameters = read_parameters(spec, Parameters)
        self.labels = Labels(spec, root)
        self.input = spec.input_by_role("image")
        self.output = spec.output_by_role("mask").name

    def pre(self, item: TaskInput, options: TaskOptions) -> tuple[dict[str, Tensor], Size]:
        """See `prepare`."""
        resize = self.parameters.resize
        return self.prepare(*decode_for(picture_bytes(self, item), lambda *_: resize))

    def prepare(self, image: Array, whole: Size | None = None) -> tuple[dict[str, Tensor], Size]:
        """The network's input for a picture (BGR, uint8), and the picture's height and width.

        Args:
            image: The pixels.
            whole: The size of the picture, where the pixels are fewer.
        """
        p = self.parameters
        height, width = p.resize
        resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        pixels: Array
        if self.input.dtype == "uint8":
            pixels = resized if p.channels == "bgr" else cv2.cvtColor(resized, cv2.COLOR_BGR2RGB)
            if p.data_layout == "chw":
                pixels = np.stack(cv2.split(pixels))
        else:
            pixels = np.empty((3, height, width), np.float32)
            normalise_into(pixels, resized, p.mean, p.std, p.channels, p.divide_by)
            if p.data_layout == "hwc":
                pixels = cv2.merge(list(pixels))
        return {self.input.name: Tensor(pixels[np.newaxis])}, whole or (
            image.shape[0],
            image.shape[1],
        )

    def post(self, outputs: Mapping[str, Tensor], state: Size, options: TaskOptions) -> Segments:
        """The class of each pixel: what the network said of the pixel whose middle is nearest."""
        classes = self._classes(outputs[self.output].data, options)
        height, width = state
        classes = cv2.resize(classes, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        counts = np.bincount(classes.ravel(), minlength=2)
        several = self.parameters.classes > 2
        return Segments(
            [
                SegmentedClass(
                    self.labels[int(index)],
                    int(index),
                    float(counts[index] / classes.size),
                    encode(classes == index) if several and index else None,
                )
                for index in np.flatnonzero(counts)
            ],
            encode(classes),
        )

    def draw(self, image: Array, result: msgspec.Struct) -> Array | None:
        """The picture, tinted where it is not class 0, with names and shares in the corner."""
        if not isinstance(result, Segments):
            return None
        shares = [(each.index, f"{each.label} {each.share:.0%}") for each in result.classes]
        return paint_classes(image, _masks(result), shares)

    def class_map(self, result: msgspec.Struct) -> Array | None:
        """Height x width of the picture, uint8: numbers of classes, as `Segments.classes` has."""
        if not isinstance(result, Segments):
            return None
        classes: Array = np.zeros(result.mask.size, np.uint8)
        for index, mask in _masks(result):
            classes[mask] = index
        return classes

    def example(self) -> TaskInput:
        """Two coloured shapes on grey."""
        return TaskInput("image", sample_scene(320, 240))

    def _classes(self, answer: Array, options: TaskOptions) -> Array:
        """Height x width, uint8, as large as the network answers it."""
        p = self.parameters
        found = answer[0]
        if not np.isfinite(found).all():
            raise EngineError(f"{self.spec.name} answers a mask with numbers that are none")
        if p.output == "scores" and found.ndim == 3 and len(found) == p.classes:
            best: Array = np.argmax(found, axis=0).astype(np.uint8)
            return best
        if found.ndim == 3:  # one channel, first or last
            found = found[0] if len(found) == 1 else found[..., 0] if found.shape[2] == 1 else found
        if found.ndim != 2 or p.output == "scores":
            raise EngineError(
                f"{self.spec.name} answers a mask of shape {answer.shape}, which is none of "
                f"{p.classes} classes ({p.output})"
            )
        if p.output == "probability":
            least = p.threshold if options.threshold is None else options.threshold
            found = found >= least
        elif found.min() < 0 or found.max() >= p.classes:
            raise EngineError(
                f"{self.spec.name} answers classes from {found.min()} to {found.max()}; "
                f"it has {p.classes}"
            )
        classes: Array = found.astype(np.uint8)
        return classes


def _masks(found: Segments) -> list[tuple[int, Array]]:
    """The pixels of each class but 0."""
    masks = [(each.index, decode_runs(each.mask)) for each in found.classes if each.mask]
    if masks:
        return masks
    return [(each.index, decode_runs(found.mask)) for each in found.classes if each.index]
