"""The two segmenters on pictures with blue rectangles, which their stand-ins mark."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from paddlesrv.tasks.run_length import RunLengths, decode
from tests.zoo import drawn
from tests.zoo.row import Input, Row

# Height, width, and the blue rectangle in it: top, bottom, left, right; or nothing.
PICTURES = (
    (512, 512, (100, 300, 50, 450)), (300, 640, (0, 150, 320, 640)), (64, 48, None),
    (480, 640, (240, 480, 0, 640)), (701, 333, (10, 690, 100, 200)),
)  # fmt: skip


def _truth(number: int) -> np.ndarray:
    height, width, box = PICTURES[number]
    truth = np.zeros((height, width), bool)
    if box is not None:
        truth[box[0] : box[1], box[2] : box[3]] = True
    return truth


def _picture(number: int) -> bytes:
    truth = _truth(number)
    pixels = np.full((*truth.shape, 3), (20, 90, 200), np.uint8)
    pixels[truth] = (230, 90, 20)
    done, data = cv2.imencode(".png", pixels)
    assert done
    return bytes(data)


def check(number: int, result: dict[str, Any]) -> None:
    truth = _truth(number)
    mask = decode(RunLengths(tuple(result["mask"]["size"]), result["mask"]["counts"]))
    assert mask.shape == truth.shape
    # Edges may be off by as much as a pixel of the network's 512 x 512 covers.
    height, width = truth.shape
    wrong = (mask != truth).sum()
    assert wrong <= 2 * (height * (width / 512 + 1) + width * (height / 512 + 1))
    shares = {each["index"]: each["share"] for each in result["classes"]}
    assert set(shares) == ({0, 1} if truth.any() else {0})
    assert shares.get(1, 0) == mask.mean()
    assert abs(sum(shares.values()) - 1) < 1e-6


INPUTS: list[Input] = [_picture(number) for number in range(len(PICTURES))]
MORE = drawn.scenes(("blue", "red", "white"))
ROWS = [Row("deeplabv3", INPUTS, check, MORE), Row("unet", INPUTS, check, MORE)]
