"""The thirteen classifiers on pictures of one colour, framed by another outside of their middle."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from paddlesrv.zoo.catalogue import Catalogue
from tests.standins.classification import COLOURS, STANDINS
from tests.zoo import drawn
from tests.zoo.row import Input, Row

LABELS = (Catalogue.load().path.parent / "labels" / "imagenet.txt").read_text().splitlines()

# Height, width, class of the middle.
PICTURES = (
    (480, 640, 285), (640, 480, 137), (300, 300, 698), (224, 900, 404), (100, 80, 812), (33, 57, 0),
    (256, 256, 999),
)  # fmt: skip


def picture(height: int, width: int, index: int) -> bytes:
    """A PNG whose middle, as the network sees it, is of a class's colour; the rest is not."""
    middle = np.array([round(255 * part) for part in COLOURS[index]], np.uint8)
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:] = 255 - middle
    # The middle is 224 of 256 of the short side; a sixteenth on each side is cut off.
    seen = min(height, width) * 224 / 256
    y, x = int((height - seen) / 2) - 1, int((width - seen) / 2) - 1
    pixels[max(0, y) : height - max(0, y), max(0, x) : width - max(0, x)] = middle
    done, data = cv2.imencode(".png", np.ascontiguousarray(pixels[:, :, ::-1]))
    assert done
    return bytes(data)


def check(number: int, result: dict[str, Any]) -> None:
    index = PICTURES[number][2]
    assert len(result["classes"]) == 5
    best = result["classes"][0]
    assert (best["index"], best["label"]) == (index, LABELS[index])
    assert best["score"] > 0.99
    scores = [each["score"] for each in result["classes"]]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) <= 1 + 1e-5


INPUTS: list[Input] = [picture(*each) for each in PICTURES]
MORE = drawn.scenes(("red", "green", "blue", "black", "white"))
ROWS = [Row(key.partition("/")[0], INPUTS, check, MORE) for key in STANDINS]
