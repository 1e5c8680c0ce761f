"""Pixels -> the float tensors that networks take: normalised, channels first, padded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np

from paddlesrv.models.tensor import Array

Channels = Literal["bgr", "rgb"]


def normalise(
    image: Array,
    mean: Sequence[float],
    std: Sequence[float],
    channels: Channels = "bgr",
    width: int | None = None,
) -> Array:
    """(x / 255 - mean) / std per channel: height x width x 3 uint8 BGR -> 1 x 3 x height x width.

    Args:
        image: The pixels.
        mean: One per channel, in the order of `channels`.
        std: One per channel, in the order of `channels`.
        channels: The order in which the network takes the channels.
        width: Pad with zeros on the right, after normalising, to this width.
    """
    height, own_width = image.shape[:2]
    full = own_width if width is None else width
    tensor = np.empty((1, 3, height, full), np.float32)
    tensor[:, :, :, own_width:] = 0
    normalise_into(tensor[0, :, :, :own_width], image, mean, std, channels)
    return tensor


def normalise_into(
    planes: Array,
    image: Array,
    mean: Sequence[float],
    std: Sequence[float],
    channels: Channels,
    divide_by: float = 255,
) -> None:
    """(x / divide_by - mean) / std per channel, written to where it shall be.

    256 values are worked out and looked up; that is exact and several times faster.

    Args:
        planes: 3 x height x width, float32, which is written; rows may lie apart, not pixels.
        image: The pixels: height x width x 3, uint8, BGR.
        mean: One per channel, in the order of `channels`.
        std: One per channel, in the order of `channels`.
        channels: The order of the planes.
        divide_by: What 1 is in the picture.
    """
    for place, plane in enumerate(cv2.split(image)):
        target = place if channels == "bgr" else 2 - place
        table = lookup_table(float(mean[target]), float(std[target]), float(divide_by))
        look_up(plane, table, planes[target])


def look_up(plane: Array, table: Array, into: Array) -> None:
    """The numbers that a plane's bytes stand for, written to where they shall be."""
    found = cv2.LUT(plane, table, dst=into)
    if found is not into:  # OpenCV has made an array of its own, as it does of single columns
        into[...] = found.reshape(into.shape)


@lru_cache(maxsize=64)
def lookup_table(mean: float, std: float, divide_by: float) -> Array:
    """What each byte becomes: 256 numbers, float32; not to be written to."""
    table: Array = ((np.arange(256, dtype=np.float64) / divide_by - mean) / std).astype(np.float32)
    table.flags.writeable = False
    return table
