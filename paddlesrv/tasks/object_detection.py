"""The task `object-detection`: what is in a picture, where, and how sure the network is of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from paddlesrv.errors import EngineError, UsageError
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Array, Tensor
from paddlesrv.tasks.annotation import Painted, paint_objects, sample_scene
from paddlesrv.tasks.base import ModelTask, Task, TaskInput, TaskOptions, Wanted
from paddlesrv.tasks.box_decoding import (
    ROW,
    Decoding,
    DistancesPerCell,
    Share,
    decode_boxes,
    decode_distances,
)
from paddlesrv.tasks.detection_input import Preparation, prepare, resized_size
from paddlesrv.tasks.images import Size, decode_for
from paddlesrv.tasks.instance_masks import masks_of
from paddlesrv.tasks.resources import Labels, picture_bytes, read_parameters
from paddlesrv.tasks.run_length import RunLengths, encode
from paddlesrv.tasks.run_length import decode as decode_runs

_BESIDE = ("im_shape", "scale_factor", "im_size")


class Parameters(Preparation, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the picture goes in, what is said beside it, and how the boxes come out.

    `im_shape` is the height and width that a network is told: `padded`, as fed, or `resized`,
    without the padding. `scale_factor` is what it is told of the resizing: `resize`, network
    pixels per picture pixel, down and across. `im_size` `input`: height and width as fed.
    `box_coordinates`: pixels of the sent `image`, pixels of the `input` as fed, or shares of the
    picture's width and height (`unit`). `decoding` is for networks without NMS inside.
    """

    im_shape: Literal["padded", "resized"] = "padded"
    scale_factor: Literal["resize"] = "resize"
    im_size: Literal["input"] = "input"
    box_coordinates: Literal["image", "input", "unit"] = "image"
    draw_threshold: Share = 0.5
    decoding: Decoding | None = None


class DetectedObject(msgspec.Struct, frozen=True, omit_defaults=True):
    """One object: what it is, and its box [x1, y1, x2, y2] in pixels of the picture, inside it.

    `mask` is as large as the picture; only some networks answer masks.
    """

    label: str
    index: int
    score: float
    box: tuple[float, float, float, float]
    mask: RunLengths | None = None


class DetectedObjects(msgspec.Struct, frozen=True):
    """The answer of `object-detection`, surest first."""

    boxes: list[DetectedObject]


class Sent(NamedTuple):
    """A picture as it was sent and as it was fed: heights and widths in pixels."""

    size: tuple[int, int]
    fed: tuple[int, int]
    scale: tuple[float, float]
    """Network pixels per picture pixel, down and across."""


class ObjectDetection(ModelTask[Sent]):
    """Boxes around things, by a network that knows their classes."""

    name = "object-detection"
    accepts = ("image",)
    inputs = (
        Wanted("image", "float32", (-1, 3, -1, -1)),
        Wanted("im_shape", "float32", (-1, 2), optional=True),
        Wanted("scale_factor", "float32", (-1, 2), optional=True),
        Wanted("im_size", "int32", (-1, 2), optional=True),
    )
    outputs = (
        Wanted("boxes", "float32", (-1, ROW), counts="counts"),
        Wanted("counts", "int32", (-1,), optional=True),
    )

    def __init__(
        self, spec: ModelSpec, root: Path, components: Mapping[str, Task] | None = None
    ) -> None:
        """Read parameters and labels, and find the tensors.

        Raises:
            UsageError: the network has an input that nobody knows what to feed, or not the outputs
                that its decoding reads.
        """
        super().__init__(spec, root, components)
        self.parameters = read_parameters(spec, Parameters)
        self.labels = Labels(spec, root)
        self.image = spec.input_by_role("image").name
        self.beside = dict(self._inputs_beside())
        if self.parameters.decoding is None:
            self.boxes: tuple[str, ...] = (_boxes_output(spec).name,)
        else:
            self.boxes = tuple(self._raw_outputs(self.parameters.decoding))
        self.counts = next((t.name for t in spec.outputs if t.role == "counts"), None)
        self.masks = next((t.name for t in spec.outputs if t.role == "masks"), None)

    def pre(self, item: TaskInput, options: TaskOptions) -> tuple[dict[str, Tensor], Sent]:
        """See `prepare`."""
        picture = decode_for(picture_bytes(self, item), self._resized_size)
        return self.prepare(picture.pixels, picture.size)

    def prepare(self, image: Array, whole: Size | None = None) -> tuple[dict[str, Tensor], Sent]:
        """The network's inputs for a picture (BGR, uint8).

        Args:
            image: The pixels.
            whole: The size of the picture, where the pixels are fewer.
        """
        whole = whole or (image.shape[0], image.shape[1])
        data, resized, scale = prepare(image, self.parameters, whole)
        fed = (data.shape[2], data.shape[3])
        told: dict[str, tuple[float, float]] = {
            "im_shape": fed if self.parameters.im_shape == "padded" else resized,
            "scale_factor": scale,
            "im_size": fed,
        }
        inputs = {self.image: Tensor(data)}
        for role, tensor in self.beside.items():
            inputs[tensor.name] = Tensor(np.array([told[role]], tensor.dtype))
        return inputs, Sent(whole, fed, scale)

    def post(
        self, outputs: Mapping[str, Tensor], state: Sent, options: TaskOptions
    ) -> DetectedObjects:
        """The objects, surest first; of equally sure ones, the network's first."""
        rows = self._rows(outputs, state)
        asked = options.threshold
        threshold = self.parameters.draw_threshold if asked is None else asked
        whole = self._in_pixels(rows[:, 2:], state)
        height, width = state.size
        boxes = np.clip(whole, 0, np.array([width, height, width, height], np.float32))
        # A row of class -1, or one that nothing is sure of, stands for "nothing was found".
        told = (rows[:, 0] >= 0) & (rows[:, 1] >= threshold) & (rows[:, 1] > 0)
        # What lay in the padding alone is nothing in the picture.
        seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        kept = np.flatnonzero(told & seen & np.isfinite(rows).all(axis=1))
        kept = kept[np.argsort(-rows[kept, 1], kind="stable")]
        masks = self._masks(outputs, rows, whole, kept, state)
        return DetectedObjects(
            [
                self._object(rows[place], boxes[place], mask)
                for place, mask in zip(kept, masks, strict=True)
            ]
        )

    def draw(self, image: Array, result: msgspec.Struct) -> Array | None:
        """The boxes with what is in them; masks as a tint."""
        if not isinstance(result, DetectedObjects):
            return None
        painted = [
            Painted(
                each.box,
                f"{each.label} {each.score:.2f}",
                each.index,
                decode_runs(each.mask) if each.mask is not None else None,
            )
            for each in result.boxes
        ]
        return paint_objects(image, painted)

    def example(self) -> TaskInput:
        """Two coloured shapes on grey."""
        return TaskInput("image", sample_scene(320, 240))

    def _resized_size(self, height: int, width: int) -> Size:
        return resized_size(height, width, self.parameters)

    def _inputs_beside(self) -> Iterator[tuple[str, TensorSpec]]:
        """The inputs besides the picture, by what they are."""
        for tensor in self.spec.inputs:
            if tensor.name == self.image:
                continue
            role = tensor.role or tensor.name
            if role not in _BESIDE:
                raise UsageError(
                    f"{self.spec.name} has an input {tensor.name!r} that {self.name} cannot feed",
                    context={"known": ", ".join(("image", *_BESIDE))},
                )
            yield role, tensor

    def _raw_outputs(self, how: Decoding) -> Iterator[str]:
        """The outputs that a decoding reads: all scores, then all boxes or distances."""
        wanted = (
            [f"{kind}_{stride}" for kind in ("scores", "distances") for stride in how.strides]
            if isinstance(how, DistancesPerCell)
            else ["scores", "boxes"]
        )
        names = {tensor.role: tensor.name for tensor in self.spec.outputs}
        for role in wanted:
            if role not in names:
                raise UsageError(
                    f"{self.spec.name} has no output with role {role!r}, which its decoding reads",
                    context={"roles": ", ".join(str(known) for known in names) or "none"},
                )
            yield names[role]

    def _rows(self, outputs: Mapping[str, Tensor], state: Sent) -> Array:
        """What the network found: n x 6, [class, score, x1, y1, x2, y2] in its own coordinates."""
        how = self.parameters.decoding
        found = [outputs[name].data for name in self.boxes]
        try:
            if isinstance(how, DistancesPerCell):
                first = [each[0] for each in found]
                half = len(how.strides)
                return decode_distances(first[:half], first[half:], state.fed, how)
            if how is not None:
                scores, boxes = found
                return decode_boxes(boxes[0], scores[0], state.fed, how)
        except (ValueError, IndexError) as error:
            raise EngineError(
                f"{self.spec.name} answers what cannot be decoded: {error}"
            ) from error
        rows = found[0]
        if rows.shape[-1:] != (ROW,):
            # With nothing found, old networks answer one row of one -1, others no rows at all.
            if rows.size <= 1:
                return np.empty((0, ROW), np.float32)
            raise EngineError(
                f"{self.spec.name} answers boxes of shape {rows.shape}; expected rows of {ROW}: "
                "class, score, x1, y1, x2, y2"
            )
        rows = rows.reshape(-1, ROW).astype(np.float32, copy=False)
        if self.counts is not None:
            # Some networks always answer as many rows, and say how many of them mean something.
            rows = rows[: int(outputs[self.counts].data.sum())]
        return rows

    def _in_pixels(self, boxes: Array, state: Sent) -> Array:
        """Boxes in pixels of the sent picture; they may lead out of it."""
        height, width = state.size
        if self.parameters.decoding is not None or self.parameters.box_coordinates == "input":
            down, across = state.scale
            return boxes / np.array([across, down, across, down], np.float32)
        if self.parameters.box_coordinates == "unit":
            return boxes * np.array([width, height, width, height], np.float32)
        return boxes

    def _masks(
        self, outputs: Mapping[str, Tensor], rows: Array, boxes: Array, kept: Array, state: Sent
    ) -> Sequence[RunLengths | None]:
        """The masks of the kept rows; None for each of a network without masks."""
        if self.masks is None:
            return [None] * len(kept)
        found = outputs[self.masks].data
        if len(kept) and len(found) <= int(kept.max()):
            raise EngineError(f"{self.spec.name} answers {len(found)} masks for {len(rows)} boxes")
        classes = rows[kept, 0].astype(np.int64)
        return [encode(mask) for mask in masks_of(found[kept], classes, boxes[kept], state.size)]

    def _object(self, row: Array, box: Array, mask: RunLengths | None) -> DetectedObject:
        index = int(row[0])
        x1, y1, x2, y2 = (float(side) for side in box)
        return DetectedObject(self._label(index), index, float(row[1]), (x1, y1, x2, y2), mask)

    def _label(self, index: int) -> str:
        """A class's name; where only one is known it is the only one, whatever its number."""
        return self.labels[0 if len(self.labels.names) == 1 else index]


def _boxes_output(spec: ModelSpec) -> TensorSpec:
    """The output with rows of boxes: the one so marked, or the first one of floating point."""
    marked = [tensor for tensor in spec.outputs if tensor.role == "boxes"]
    floating = [tensor for tensor in spec.outputs if tensor.dtype == "float32"]
    if not marked and not floating:
        raise UsageError(
            f"{spec.name} has no output that could be boxes",
            context={"outputs": ", ".join(t.name for t in spec.outputs) or "none are declared"},
        )
    return (marked or floating)[0]
