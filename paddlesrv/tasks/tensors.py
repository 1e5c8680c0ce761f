"""Pixels -> the float tensors that networks take: normalised, channels first, padded."""

from __future__ import annotations

from collections.abc import Sequence
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
    tensor = np.zeros((1, 3, height, full), np.float32)
    values = np.arange(256, dtype=np.float64) / 255
    for place in range(3):
        # 256 values are worked out and looked up; that is exact and several times faster.
        table = ((values - mean[place]) / std[place]).astype(np.float32)
        source = place if channels == "bgr" else 2 - place
        plane = np.ascontiguousarray(image[:, :, source])
        tensor[0, place, :, :own_width] = cv2.LUT(plane, table)
    return tensor
