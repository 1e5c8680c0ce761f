"""Draws hello.png, the picture of the README: a café's board in English and Chinese.

    python make_hello.py hello.png --latin DejaVuSerif-Bold.ttf --chinese NotoSansCJK-Bold.ttc

The fonts are Debian's packages fonts-noto-cjk (SIL Open Font License) and fonts-dejavu-core.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SIZE = (760, 440)
BOARD, FRAME, CHALK, CREAM, WARM = "#24403a", "#8a5a33", "#f4f1e8", "#ffe9b8", "#ffb454"
PRICES = (
    ("Jasmine Tea", "茉莉花茶", "¥18"),
    ("Flat White", "馥芮白咖啡", "¥26"),
    ("Sesame Cake", "芝麻蛋糕", "¥32"),
)


def board(latin: str, chinese: str) -> Image.Image:
    """The picture, painted at twice its size and scaled down to smooth its edges."""
    width, height = (2 * side for side in SIZE)
    picture = Image.new("RGB", (width, height), FRAME)
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle((28, 28, width - 28, height - 28), 24, BOARD)
    draw.rounded_rectangle((52, 52, width - 52, height - 52), 14, outline=CHALK, width=3)

    def write(x: int, y: int, text: str, pixels: int, colour: str, anchor: str) -> None:
        path = latin if text.isascii() or text[0] == "¥" else chinese
        draw.text((x, y), text, colour, ImageFont.truetype(path, pixels), anchor)

    write(width // 2, 150, "Hello Paddle", 108, CREAM, "mm")
    write(width // 2, 272, "你好，飞桨", 84, WARM, "mm")
    draw.line((150, 350, width - 150, 350), CHALK, 3)
    for row, (english, translated, price) in enumerate(PRICES):
        y = 438 + 104 * row
        write(150, y, english, 56, CHALK, "lm")
        write(720, y, translated, 56, CHALK, "lm")
        write(width - 150, y, price, 56, WARM, "rm")
    write(width // 2, 764, "Open daily 8:00-22:00", 50, CREAM, "mm")
    return picture.resize(SIZE, Image.Resampling.LANCZOS)


def main() -> None:
    """Write the picture."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("output", type=Path)
    arguments.add_argument("--latin", required=True, help="a TrueType font file")
    arguments.add_argument("--chinese", required=True, help="an OpenType font file")
    given = arguments.parse_args()
    picture = board(given.latin, given.chinese).quantize(64, dither=Image.Dither.NONE)
    picture.save(given.output, optimize=True)


if __name__ == "__main__":
    main()
