"""`WordPiece`: a text -> the tokens of a BERT vocabulary, as BERT's own program divides it.

First into words (at white space; punctuation and each Chinese character by itself), then each word
into the longest pieces that the vocabulary has, those after the first marked with "##". The rules
are those of https://github.com/google-research/bert (tokenization.py), which Paddle Serving's
reader follows to the letter.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache

MAX_WORD_CHARACTERS = 100
"""A longer word is unknown as a whole."""

CONTINUED = "##"
"""What a piece begins with that is not a word's first."""

# The blocks of CJK ideographs; kana and hangul are written in words, and are no part of them.
_IDEOGRAPHS = (
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0x2F800, 0x2FA1F),
)  # fmt: skip


class WordPiece:
    """Divides texts by one vocabulary. Made once; safe to use from several threads."""

    def __init__(
        self, vocabulary: Mapping[str, int], *, lower_case: bool = True, unknown: str = "[UNK]"
    ) -> None:
        """Take the vocabulary.

        Args:
            vocabulary: The id of each token.
            lower_case: Whether capitals and accents make no difference.
            unknown: The token for words that cannot be put together from pieces.
        """
        self._vocabulary = vocabulary
        self._lower_case = lower_case
        self._unknown = unknown
        self._longest = max(map(len, vocabulary), default=0)

    def tokens(self, text: str) -> Iterator[str]:
        """The tokens one by one; no more of the text is looked at than they need."""
        for word in words(text, lower_case=self._lower_case):
            yield from self._pieces(word)

    def _pieces(self, word: str) -> list[str]:
        if len(word) > MAX_WORD_CHARACTERS:
            return [self._unknown]
        pieces: list[str] = []
        start = 0
        while start < len(word):
            lead = CONTINUED if start else ""
            for end in range(min(len(word), start + self._longest), start, -1):
                piece = lead + word[start:end]
                if piece in self._vocabulary:
                    pieces.append(piece)
                    start = end
                    break
            else:
                return [self._unknown]
        return pieces


def read_vocabulary(lines: list[str]) -> dict[str, int]:
    """The id of each token: its line's number from 0, or what stands after a tab.

    Raises:
        ValueError: what stands after a tab is no number.
    """
    vocabulary: dict[str, int] = {}
    for number, line in enumerate(lines):
        token, _, told = line.strip().partition("\t")
        vocabulary[token.strip()] = int(told) if told else number
    return vocabulary


def words(text: str, *, lower_case: bool) -> Iterator[str]:
    """The words, punctuation marks and ideographs of a text, in order."""
    for word in _divided(text):
        if not lower_case:
            yield from _without_punctuation(word)
            continue
        # Lower-casing looks at neighbours (a Greek sigma at a word's end), so it is done by word;
        # stripping is done by character, since sorting a long run of accents takes its square.
        plain = "".join(map(_stripped, word.lower()))
        for part in plain.split():
            yield from _without_punctuation(part)


def _divided(text: str) -> Iterator[str]:
    """What stands between white space; ideographs by themselves; without control characters."""
    word: list[str] = []
    for char in text:
        kind = _kind(char)
        if kind == "letter":
            word.append(char)
        elif kind != "nothing":
            if word:
                yield "".join(word)
                word.clear()
            if kind == "ideograph":
                yield char
    if word:
        yield "".join(word)


def _without_punctuation(word: str) -> Iterator[str]:
    """The word in parts: each punctuation mark, and what stands between them."""
    start = 0
    for place, char in enumerate(word):
        if _is_punctuation(char):
            if start < place:
                yield word[start:place]
            yield char
            start = place + 1
    if start < len(word):
        yield word[start:]


@lru_cache(maxsize=1 << 16)
def _kind(char: str) -> str:
    code = ord(char)
    if char in " \t\n\r":
        return "space"
    # U+FFFD stands for what could not be decoded.
    if code == 0xFFFD or unicodedata.category(char).startswith("C"):
        return "nothing"
    if char.isspace():
        return "space"
    return "ideograph" if any(a <= code <= b for a, b in _IDEOGRAPHS) else "letter"


@lru_cache(maxsize=1 << 16)
def _stripped(char: str) -> str:
    """The character without its accents."""
    parts = unicodedata.normalize("NFD", char)
    return "".join(part for part in parts if unicodedata.category(part) != "Mn")


@lru_cache(maxsize=1 << 16)
def _is_punctuation(char: str) -> bool:
    """Whether it stands by itself: punctuation, and the symbols of ASCII such as "$" and "^"."""
    if char.isascii():
        return char.isprintable() and not char.isalnum() and char != " "
    return unicodedata.category(char).startswith("P")
