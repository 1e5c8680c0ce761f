"""Inputs that hypothesis draws: of few sizes, so that some share a batch, and of any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from hypothesis import strategies as st

SIZES = ((480, 640), (320, 320), (64, 48))
"""Heights and widths that most pictures have."""

COLOURS = {
    "red": (0, 0, 255), "green": (0, 255, 0), "blue": (255, 0, 0), "black": (20, 20, 20),
    "white": (255, 255, 255),
}  # fmt: skip
"""Blue, green, red."""


@st.composite
def scenes(draw: st.DrawFn, colours: Sequence[str], *, white: bool = False) -> bytes:
    """A PNG with up to three rectangles of these colours, on a white or a dull ground."""
    height, width = draw(
        st.sampled_from(SIZES) | st.tuples(st.integers(1, 700), st.integers(1, 700))
    )
    if white:
        pixels = np.full((height, width, 3), 255, np.uint8)
    else:
        y, x = np.mgrid[0:height, 0:width]
        dull = (90 + x * 60 // width, 120 + y * 40 // height, 140 - x * 50 // width)
        pixels = np.ascontiguousarray(np.stack(dull, -1).astype(np.uint8))
    for colour in draw(st.lists(st.sampled_from(colours), max_size=3, unique=True)):
        x1, y1 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        x2, y2 = draw(st.integers(x1 + 1, width)), draw(st.integers(y1 + 1, height))
        pixels[y1:y2, x1:x2] = COLOURS[colour]
    done, data = cv2.imencode(".png", pixels)
    assert done
    return bytes(data)


def texts(pieces: Sequence[str], most: int = 40) -> st.SearchStrategy[str]:
    """Up to so many of these words or characters in a row; none of them is a text too."""
    return st.lists(st.sampled_from(pieces), max_size=most).map("".join)


def rows_of_ids(
    names: Sequence[str], most: int, dense: Mapping[str, int] | None = None
) -> st.SearchStrategy[dict[str, list[int] | list[float]]]:
    """Features by name: one to three ids below `most` each, and lists of numbers of a length."""
    ids = st.lists(st.integers(0, most - 1), min_size=1, max_size=3)
    numbers = st.floats(0, 10, width=32)
    return st.fixed_dictionaries(
        {name: ids for name in names}
        | {
            name: st.lists(numbers, min_size=length, max_size=length)
            for name, length in (dense or {}).items()
        }
    )
