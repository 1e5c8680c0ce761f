"""Makes the pictures and the truth of the OCR accuracy test: tests/data/ocr/*.png, truth.json.

    python tests/data/make_ocr_pictures.py tests/data/ocr --fonts DIRECTORY

The directory holds the fonts named below, at any depth: Debian's fonts-dejavu-core,
fonts-noto-cjk and fonts-wqy-microhei. The pictures are kept, so that the test does not depend on
the fonts of a machine; this script is how to make more. The same fonts give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFilter, ImageFont

SANS, BOLD, SERIF, MONO = (
    "DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf",
)  # fmt: skip
NOTO, NOTO_BOLD, WQY = "NotoSansCJK-Regular.ttc", "NotoSansCJK-Bold.ttc", "wqy-microhei.ttc"
PAPER, CREAM, NIGHT, GREEN = "#ffffff", "#f6efdc", "#16202c", "#dfeee2"
INK, BROWN, CHALK, NAVY = "#111111", "#4a2c12", "#f2f2f2", "#12284c"


class Sheet(NamedTuple):
    """One picture: rows of text, each row one or more columns."""

    name: str
    rows: list[list[str]]
    font: str
    pixels: int
    paper: str = PAPER
    ink: str = INK
    angle: float = 0
    """Degrees to the left."""
    texture: str = "plain"


SHEETS = [
    Sheet("pangram", [["The quick brown fox"], ["jumps over the lazy dog"]], SANS, 34),
    Sheet("invoice", [["Invoice No. 20481"], ["Date: 2024-03-17"], ["Total: $1,284.50"]], SANS, 28),
    Sheet(
        "serif", [["Chapter Four"], ["It was a bright cold day"], ["in April."]], SERIF, 30, CREAM
    ),
    Sheet("mono", [["$ ls -la /var/log"], ["error: code 404"], ["retry in 30s"]], MONO, 26),
    Sheet("sign", [["NO PARKING"], ["8 AM - 6 PM"]], BOLD, 48, "#f4c20d", INK),
    Sheet("night", [["Gate B12"], ["Boarding 18:45"]], BOLD, 40, NIGHT, CHALK),
    Sheet("digits", [["0123456789"], ["31415926535"], ["2718281828"]], SANS, 36),
    Sheet("small", [["Please keep this receipt"], ["for your records."]], SANS, 18),
    Sheet("large", [["SALE 50%"]], BOLD, 110, "#c62828", CHALK),
    Sheet("address", [["221B Baker Street"], ["London NW1 6XE"]], SERIF, 32, GREEN, NAVY),
    Sheet("columns", [["Apple", "3.20"], ["Banana", "1.75"], ["Cherry", "8.40"]], SANS, 32, CREAM),
    Sheet("email", [["support@example.com"], ["+44 20 7946 0958"]], SANS, 30),
    Sheet(
        "gradient",
        [["Mountain View"], ["Elevation 1240 m"]],
        BOLD,
        36,
        "#9db7d5",
        INK,
        0,
        "gradient",
    ),
    Sheet("noise", [["Library hours"], ["Monday to Friday"]], SANS, 36, CREAM, BROWN, 0, "noise"),
    Sheet("blurred", [["Platform 9"], ["Mind the gap"]], BOLD, 40, PAPER, NAVY, 0, "blur"),
    Sheet("weather", [["今天天气晴朗"], ["最高气温二十五度"]], NOTO, 36),
    Sheet("technology", [["深度学习模型服务"], ["人工智能改变生活"]], NOTO_BOLD, 40, NIGHT, CHALK),
    Sheet(
        "poem",
        [["床前明月光"], ["疑是地上霜"], ["举头望明月"], ["低头思故乡"]],
        NOTO,
        38,
        CREAM,
        BROWN,
    ),
    Sheet("station", [["北京南站"], ["上海虹桥"]], NOTO_BOLD, 60, "#1b4f9c", CHALK),
    Sheet("mixed", [["订单号 A20240317"], ["数量 12 件"], ["合计 368.00 元"]], WQY, 32),
    Sheet(
        "menu", [["红烧牛肉面", "38"], ["番茄炒鸡蛋", "26"], ["绿豆汤", "8"]], WQY, 34, CREAM, BROWN
    ),
    Sheet("small-chinese", [["请妥善保管您的随身物品"], ["以免遗失"]], WQY, 20),
    Sheet("notice", [["公共场所"], ["禁止吸烟"]], NOTO_BOLD, 56, "#b71c1c", CHALK),
    Sheet("phone", [["客服电话 4008123123"], ["工作时间 9:00-18:00"]], NOTO, 30, GREEN, NAVY),
    Sheet("tilted-left", [["Leaning a little"], ["to the left"]], SANS, 36, PAPER, INK, 4),
    Sheet("tilted-right", [["Leaning a little"], ["to the right"]], SANS, 36, CREAM, INK, -6),
    Sheet("tilted-chinese", [["春眠不觉晓"], ["处处闻啼鸟"]], NOTO, 40, PAPER, INK, 8),
    Sheet(
        "tilted-columns", [["Coffee", "4.50"], ["Orange juice", "3.80"]], SANS, 34, PAPER, INK, -5
    ),
    Sheet("quarter-left", [["Turned a quarter"], ["to the left"]], SANS, 36, PAPER, INK, 90),
    Sheet("quarter-right", [["Turned a quarter"], ["to the right"]], SANS, 36, PAPER, INK, -90),
    Sheet("quarter-chinese", [["侧放的文字"], ["也能读出来"]], NOTO, 40, PAPER, INK, -90),
    Sheet(
        "upside-down", [["Upside down first"], ["then the second line"]], SANS, 36, PAPER, INK, 180
    ),
    Sheet(
        "upside-down-chinese", [["倒过来的第一行"], ["倒过来的第二行"]], NOTO, 40, CREAM, INK, 180
    ),
]


def main() -> None:
    """Write all pictures and truth.json."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("output", type=Path)
    arguments.add_argument("--fonts", type=Path, required=True)
    given = arguments.parse_args()
    fonts = {path.name: path for path in given.fonts.rglob("*.tt[fc]")}
    given.output.mkdir(parents=True, exist_ok=True)
    truth = []
    for sheet in SHEETS:
        file = f"{sheet.name}.png"
        picture = painted(sheet, fonts[sheet.font])
        picture.quantize(256 if sheet.texture != "plain" else 32, dither=Image.Dither.NONE).save(
            given.output / file, optimize=True
        )
        text = "\n".join(" ".join(row) for row in sheet.rows)
        truth.append({"file": file, "angle": sheet.angle, "text": text})
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in truth)
    (given.output / "truth.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def painted(sheet: Sheet, path: Path) -> Image.Image:
    """The sheet as a picture."""
    font = ImageFont.truetype(str(path), sheet.pixels)
    step = round(sheet.pixels * 1.7)
    gap = sheet.pixels * 3
    columns = max(len(row) for row in sheet.rows)
    widths = [
        max(round(font.getlength(row[column])) for row in sheet.rows if column < len(row))
        for column in range(columns)
    ]
    margin = sheet.pixels
    size = (
        sum(widths) + gap * (columns - 1) + 2 * margin,
        step * len(sheet.rows) + 2 * margin,
    )
    picture = background(sheet, size)
    draw = ImageDraw.Draw(picture)
    for number, row in enumerate(sheet.rows):
        x = margin
        for width, text in zip(widths, row, strict=False):
            draw.text((x, margin + step * number + step // 2), text, sheet.ink, font, "lm")
            x += width + gap
    if sheet.texture == "blur":
        picture = picture.filter(ImageFilter.GaussianBlur(1.2))
    if sheet.angle:
        picture = picture.rotate(
            sheet.angle, Image.Resampling.BICUBIC, expand=True, fillcolor=sheet.paper
        )
    return picture


def background(sheet: Sheet, size: tuple[int, int]) -> Image.Image:
    """Paper, a gradient or noise of a fixed seed."""
    paper = Image.new("RGB", size, sheet.paper)
    if sheet.texture == "gradient":
        light = Image.linear_gradient("L").resize(size)
        return Image.composite(Image.new("RGB", size, PAPER), paper, light)
    if sheet.texture == "noise":
        generator = random.Random(42)
        grains = bytes(generator.randrange(40) for _ in range(size[0] * size[1]))
        return Image.composite(
            Image.new("RGB", size, INK), paper, Image.frombytes("L", size, grains)
        )
    return paper


if __name__ == "__main__":
    main()
