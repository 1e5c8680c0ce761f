"""The one sink for everything a command says: human, JSON or quiet; colour and width.

Data goes to stdout, everything else to stderr. Which form, and whether in colour, is decided once,
when the sink is made. A pipe gets whole tables; only a terminal's width cuts a last column.
"""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TextIO

Color = Literal["auto", "always", "never"]

SCHEMA = 1
"""Version of the JSON that commands print."""

_STYLES = {"bold": "1", "dim": "2", "red": "1;31", "yellow": "33", "green": "32", "cyan": "36"}
_GAP = "  "
_FIRST_COLUMN_MIN = 12
_LAST_COLUMN_MIN = 12


class Output:
    """Where a command's words go.

    Args:
        json: Data is one JSON document on stdout; nothing else is written there.
        quiet: Data is names only, one a line; no notes.
        color: `auto` follows NO_COLOR, FORCE_COLOR and whether the stream is a terminal.
        progress: Whether bars may be drawn at all.
    """

    def __init__(
        self,
        *,
        json: bool = False,
        quiet: bool = False,
        color: Color = "auto",
        progress: bool = True,
    ) -> None:
        self.json = json
        self.quiet = quiet
        self.stdout_color = _colored(color, sys.stdout)
        self.stderr_color = _colored(color, sys.stderr)
        self.answered = False
        """Whether the one JSON document has been written."""
        self.bars = progress and not quiet and is_terminal(sys.stderr)

    def answer(
        self,
        record: Mapping[str, Any],
        *,
        names: Iterable[str] = (),
        human: Callable[[], None],
    ) -> None:
        """A command's data, in the form that was asked for.

        Args:
            record: The JSON document, without `schema`.
            names: What `--quiet` prints.
            human: Writes it for a person, with `line`, `table` and `pairs`.
        """
        if self.json:
            self.document(record)
        elif self.quiet:
            for name in names:
                self.line(name)
        else:
            human()

    def document(self, record: Mapping[str, Any]) -> None:
        """One JSON document on stdout."""
        import msgspec

        whole = {"schema": SCHEMA, **record}
        try:
            text = msgspec.json.encode(whole, enc_hook=_plain)
        except UnicodeEncodeError:
            text = msgspec.json.encode(_printable(msgspec.to_builtins(whole, enc_hook=_plain)))
        self.answered = True
        self.line(msgspec.json.format(text, indent=2).decode())

    def line(self, text: str = "", style: str | None = None) -> None:
        """A line of data on stdout, there at once."""
        sys.stdout.write(_styled(text, style, self.stdout_color) + "\n")
        sys.stdout.flush()

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table on stdout; columns as wide as their widest cell.

        On a terminal that is too narrow the last column is cut, and a long cell of the first one,
        a name as a rule, has a line of its own: it is to be copied, and never cut.
        """
        cells = [list(headers), *(list(row) for row in rows)]
        widths = [max(width_of(row[i]) for row in cells) for i in range(len(headers))]
        widths[0] = self._first_column(widths)
        limit = self._last_column(widths)
        for number, row in enumerate(cells):
            row[-1] = shortened(row[-1], limit)
            if len(row) > 1 and width_of(row[0]) > widths[0]:
                self.line(row[0])
                row[0] = ""
            padded = [_padded(cell, width) for cell, width in zip(row, widths, strict=True)]
            self.line(_GAP.join(padded).rstrip(), "bold" if number == 0 else None)

    def pairs(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Names and values, one pair a line, values below each other."""
        rows = list(pairs)
        width = max((width_of(name) for name, _ in rows), default=0)
        for name, value in rows:
            self.line(f"{_styled(_padded(name, width), 'bold', self.stdout_color)}{_GAP}{value}")

    def note(self, text: str) -> None:
        """A line on stderr about what goes on; not with `--quiet`."""
        if not self.quiet:
            self.error_line(text)

    def warning(self, text: str) -> None:
        """A line on stderr about what went wrong and was worked around."""
        self.error_line(f"{_styled('warning:', 'yellow', self.stderr_color)} {text}")

    def error_line(
        self, text: str = "", label: str | None = None, style: str | None = None
    ) -> None:
        """A line on stderr, with a coloured label before it."""
        lead = f"{_styled(label, style, self.stderr_color)} " if label else ""
        sys.stderr.write(lead + text + "\n")
        sys.stderr.flush()

    def _first_column(self, widths: Sequence[int]) -> int:
        """Cells of the first column that leave room for the others."""
        if not is_terminal(sys.stdout) or len(widths) < 2:
            return widths[0]
        others = sum(widths[1:-1]) + min(widths[-1], _LAST_COLUMN_MIN) + len(_GAP) * len(widths[1:])
        room = shutil.get_terminal_size().columns - others
        return min(widths[0], max(_FIRST_COLUMN_MIN, room))

    def _last_column(self, widths: Sequence[int]) -> int | None:
        """Cells of the last column that fit a terminal; None: no terminal, no limit."""
        if not is_terminal(sys.stdout):
            return None
        used = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
        return max(_LAST_COLUMN_MIN, shutil.get_terminal_size().columns - used)


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at that stream; false once it is closed."""
    try:
        return stream.isatty()
    except ValueError:
        return False


def human_size(count: int | None) -> str:
    """Bytes for people, in powers of 1000; `-` if unknown."""
    if count is None:
        return "-"
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 999.5:
            break
        size, unit = size / 1000, larger
    return f"{count} B" if unit == "B" else f"{size:.{1 if size < 99.95 else 0}f} {unit}"


def width_of(text: str) -> int:
    """Cells that a terminal needs for the text; wide characters need two, accents none."""
    if text.isascii():
        return len(text)
    cells = 0
    for letter in text:
        if not unicodedata.combining(letter):
            cells += 2 if unicodedata.east_asian_width(letter) in "WF" else 1
    return cells


def shortened(text: str, limit: int | None) -> str:
    """The text, cut to so many cells with an ellipsis where it is longer."""
    if limit is None or width_of(text) <= limit:
        return text
    while text and width_of(text) > limit - 1:
        text = text[:-1]
    return text.rstrip() + "…"


def _padded(text: str, width: int) -> str:
    return text + " " * (width - width_of(text))


def _styled(text: str, style: str | None, color: bool) -> str:
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if color and style and text else text


def _colored(color: Color, stream: TextIO) -> bool:
    """Whether to colour; NO_COLOR as no-color.org has it: any value but the empty one."""
    if color != "auto":
        return color == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def _plain(value: object) -> object:
    return str(value)


def _printable(value: Any) -> Any:
    """Plain data whose texts are UTF-8: bytes of a file's name that are none become `\\udc80`."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_printable(name): _printable(item) for name, item in value.items()}
    return [_printable(item) for item in value] if isinstance(value, list) else value
