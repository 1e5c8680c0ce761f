"""What the translation model is asked: its stand-in translates word for word."""

from __future__ import annotations

from typing import Any

from tests.zoo import drawn
from tests.zoo.row import Row

SENTENCES = (
    ("Hello, world!", "Hallo, Welt!"),
    ("the house is big.", "das Haus ist groß."),
    ("a beautiful day", "ein wunderschön Tag"),
    # Divided already.
    ("a beauti@@ ful day .", "ein wunderschön Tag."),
    ('"the dog" is "big"', '"das Hund" ist "groß"'),
    (
        "I see the small dog and the big red house (good morning).",
        "Ich sehe das klein Hund und das groß rot Haus (guter Morgen).",
    ),
    ("Hello?", "Hallo?"),
)


def check(number: int, result: dict[str, Any]) -> None:
    """The best candidate is the translation; the others differ from it and from each other."""
    assert result["text"] == SENTENCES[number][1]
    assert result["candidates"][0] == result["text"]
    assert len(result["candidates"]) == 5


PIECES = (
    "the ",
    "house ",
    "dog ",
    "is ",
    "big",
    ", ",
    "Hello ",
    "world",
    "? ",
    "red ",
    "unheard-of ",
)
ROWS = [Row("transformer", [text for text, _ in SENTENCES], check, drawn.texts(PIECES))]
