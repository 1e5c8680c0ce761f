"""Pictures of all sorts: photographs, and noise and drawings of odd sizes."""

from __future__ import annotations

import functools

import numpy as np

from paddlesrv.models.tensor import Array
from paddlesrv.tasks.images import decode
from tests.packages import photograph

PHOTOGRAPHS = (
    "chelsea.png", "coffee.png", "astronaut.png", "page.png", "text.png", "rocket.jpg",
    "motorcycle_left.png", "china.jpg", "flower.jpg",
)  # fmt: skip
SIZES = (
    (1, 1), (2, 3), (7, 7), (31, 33), (64, 48), (224, 224), (256, 256), (257, 255), (300, 300),
    (333, 500), (480, 640), (608, 608), (640, 360), (100, 900), (1000, 130), (721, 1283),
)  # fmt: skip


@functools.cache
def pictures() -> tuple[Array, ...]:
    """Height x width x 3, BGR, uint8."""
    random = np.random.default_rng(1)
    made = []
    for number, (height, width) in enumerate(SIZES):
        noise = random.integers(0, 256, (height, width, 3))
        y, x = np.mgrid[0:height, 0:width]
        smooth = np.stack([x * 255 // width, y * 255 // height, (x + 2 * y) % 256], axis=-1)
        made.append((noise if number % 2 else smooth).astype(np.uint8))
    return (*(decode(photograph(name)) for name in PHOTOGRAPHS), *made)
