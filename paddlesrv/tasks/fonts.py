"""Fonts for drawing: one of the system's that has the characters of a text, if there is one.

None is shipped. Without a font of the system, Pillow's own draws Latin text.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_DIRECTORIES = (
    Path("/usr/share/fonts"),
    Path("/usr/local/share/fonts"),
    Path.home() / ".local/share/fonts",
    Path("/Library/Fonts"),
    Path("/System/Library/Fonts"),
    Path("C:/Windows/Fonts"),
)
# Beginnings of file names of fonts with Chinese characters, the better ones first.
_CHINESE = (
    "NotoSansCJK-Regular", "NotoSansSC-Regular", "NotoSansCJKsc-Regular", "SourceHanSans",
    "wqy-microhei", "wqy-zenhei", "DroidSansFallback", "PingFang", "msyh", "simhei",
)  # fmt: skip
MAX_FONT_FILES = 5000
"""Font files looked at, at most."""


def font_for(text: str, pixels: int) -> Font | None:
    """A font of that size which has every character of the text; None if none is found."""
    if all(" " <= character <= "~" for character in text):
        return _built_in(pixels)
    font = _chinese(pixels)
    return font if font is not None and _covers(font, text) else None


@cache
def _built_in(pixels: int) -> Font:
    return ImageFont.load_default(pixels)


@cache
def _chinese(pixels: int) -> ImageFont.FreeTypeFont | None:
    path = _chinese_file()
    return ImageFont.truetype(path, pixels) if path else None


@cache
def _chinese_file() -> str | None:
    found: list[Path] = []
    for directory in _DIRECTORIES:
        for path in directory.rglob("*.[ot]t[fc]"):
            found.append(path)
            if len(found) >= MAX_FONT_FILES:
                break
    for beginning in _CHINESE:
        for path in sorted(found):
            if path.name.startswith(beginning):
                return str(path)
    return None


def _covers(font: ImageFont.FreeTypeFont, text: str) -> bool:
    """Whether no character is drawn as the sign for a missing one."""
    missing = bytes(font.getmask("\U0010fffd"))
    return all(
        character.isspace() or bytes(font.getmask(character)) != missing for character in set(text)
    )
