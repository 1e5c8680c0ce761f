"""How a picture goes into a detector: resized, normalised, padded, channels first.

The order of the steps is a parameter, since networks were trained with either: resizing bytes
rounds each pixel, resizing normalised numbers does not.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import cv2
import msgspec
import numpy as np

from paddlesrv.models.tensor import Array
from paddlesrv.tasks.images import Size
from paddlesrv.tasks.tensors import Channels, look_up, lookup_table

MAX_NETWORK_PIXELS = 4_194_304
"""A picture that is not resized for its network is scaled down to as many pixels, 2048 x 2048."""

Side = Annotated[int, msgspec.Meta(ge=1, le=4096)]
Positive = Annotated[float, msgspec.Meta(gt=0)]

_INTERPOLATIONS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}


class Resize(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of three ways to a size; sides in pixels, heights before widths.

    `short` with `long_limit`: the short side becomes `short`, or less where the long side would
    become more than `long_limit`; the ratio is kept. `exact`: this size, the ratio is not kept.
    `letterbox`: as large as fits into this size, the ratio is kept; black on the right and below.
    """

    short: Side | None = None
    long_limit: Side | None = None
    exact: tuple[Side, Side] | None = None
    letterbox: tuple[Side, Side] | None = None

    def __post_init__(self) -> None:
        ways = [way for way in (self.short, self.exact, self.letterbox) if way is not None]
        if len(ways) != 1 or (self.short is None) != (self.long_limit is None):
            raise ValueError("either `short` with `long_limit`, or `exact`, or `letterbox`")


class Preparation(msgspec.Struct, frozen=True, kw_only=True):
    """What is done to a picture; by default what PaddleDetection does for most of its networks.

    `mean` and `std` are in the order of `channels`. `resize` None leaves a picture as it is, but
    for one of more than `MAX_NETWORK_PIXELS`.
    """

    channels: Channels = "rgb"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[Positive, Positive, Positive] = (0.229, 0.224, 0.225)
    divide_by: Positive = 255
    normalise: Literal["after-resize", "before-resize"] = "after-resize"
    resize: Resize | None = None
    interpolation: Literal["linear", "cubic"] = "linear"
    pad_multiple: Annotated[int, msgspec.Meta(ge=1, le=512)] = 1

    def __post_init__(self) -> None:
        boxed = self.resize is not None and self.resize.letterbox is not None
        if boxed and (self.normalise == "before-resize" or self.pad_multiple > 1):
            raise ValueError("`letterbox` pads before normalising, and to its own size")


class Fed(NamedTuple):
    """A picture as a network takes it, and how it came to be so.

    `data` is 1 x 3 x height x width, float32; `resized` the height and width within it that the
    picture covers; `scale` network pixels per picture pixel, down and across.
    """

    data: Array
    resized: tuple[int, int]
    scale: tuple[float, float]


def resized_size(height: int, width: int, how: Preparation) -> Size:
    """Height and width that a picture of this size gets, without what is padded."""
    down, across = _scale(height, width, how.resize)
    # As OpenCV rounds where it is given a scale instead of a size; half a pixel is still one.
    return max(1, round(height * down)), max(1, round(width * across))


def prepare(image: Array, how: Preparation, whole: Size | None = None) -> Fed:
    """A picture (height x width x 3, BGR, uint8) as its network takes it.

    Args:
        image: The pixels.
        how: What is done to them.
        whole: The size of the picture, where the pixels are fewer; scales are from that.
    """
    height, width = whole or image.shape[:2]
    own = resized_size(height, width, how)
    down, across = _scale(height, width, how.resize)
    scale = (down * height / image.shape[0], across * width / image.shape[1])
    early = how.normalise == "before-resize"
    boxed = how.resize is not None and how.resize.letterbox is not None
    planes = cv2.split(image if early else _resize(image, own, scale, how))
    data = np.empty((1, 3, *_canvas(own, how)), np.float32)
    for place, (mean, std) in enumerate(zip(how.mean, how.std, strict=True)):
        plane = planes[place if how.channels == "bgr" else 2 - place]
        table = lookup_table(mean, std, how.divide_by)
        target = data[0, place]
        # A box is filled with black before normalising, other padding with zeros after it.
        target[own[0] :] = target[: own[0], own[1] :] = table[0] if boxed else 0
        covered = target[: own[0], : own[1]]
        if early:
            numbers = cv2.LUT(plane, table).reshape(plane.shape)
            covered[...] = _resize(numbers, own, scale, how).reshape(own)
        else:
            look_up(plane, table, covered)
    return Fed(data, own, (down, across))


def _scale(height: int, width: int, resize: Resize | None) -> tuple[float, float]:
    """Network pixels per picture pixel, down and across."""
    if resize is None:
        scale = min(1.0, (MAX_NETWORK_PIXELS / (height * width)) ** 0.5)
        return scale, scale
    if resize.exact is not None:
        return resize.exact[0] / height, resize.exact[1] / width
    if resize.letterbox is not None:
        scale = min(resize.letterbox[0] / height, resize.letterbox[1] / width)
        return scale, scale
    assert resize.short is not None
    assert resize.long_limit is not None
    scale = resize.short / min(height, width)
    if round(scale * max(height, width)) > resize.long_limit:
        scale = resize.long_limit / max(height, width)
    return scale, scale


def _canvas(own: tuple[int, int], how: Preparation) -> tuple[int, int]:
    """Height and width as fed."""
    if how.resize is not None and how.resize.letterbox is not None:
        return how.resize.letterbox
    multiple = how.pad_multiple
    return -(-own[0] // multiple) * multiple, -(-own[1] // multiple) * multiple


def _resize(
    pixels: Array, size: tuple[int, int], scale: tuple[float, float], how: Preparation
) -> Array:
    if pixels.shape[:2] == size and scale == (1.0, 1.0):
        return pixels
    down, across = scale
    interpolation = _INTERPOLATIONS[how.interpolation]
    height, width = pixels.shape[:2]
    if size == (round(height * down), round(width * across)):
        # The scale, not the size: the two place pixels differently where a side was rounded.
        return cv2.resize(pixels, None, fx=across, fy=down, interpolation=interpolation)
    return cv2.resize(pixels, (size[1], size[0]), interpolation=interpolation)
