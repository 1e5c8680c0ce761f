"""Byte pair encoding: words -> the pieces of a fixed vocabulary, and back.

By the rules of https://github.com/rsennrich/subword-nmt ("Neural Machine Translation of Rare Words
with Subword Units", https://arxiv.org/abs/1508.07909): what a word goes on with is told by "@@" at
a piece's end.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

MARKER = "@@"
_END = "</w>"
_MARKED = re.compile(f"{MARKER}( |$)")


class Codes(NamedTuple):
    """The merges of a codes file: pairs of symbols by rank, and what each merged symbol is of."""

    ranks: dict[tuple[str, str], int]
    parts: dict[str, tuple[str, str]]
    end_is_symbol: bool
    """In files without a version (0.1) the end of a word is a symbol of its own at first."""


def read_codes(lines: Sequence[str]) -> Codes:
    """The merges of a codes file, one a line, the most frequent first.

    Raises:
        ValueError: a line is not a pair of symbols, or the version is not known; which, it says.
    """
    version = "0.1"
    first = 0
    if lines and lines[0].startswith("#version:"):
        version = lines[0].split()[-1]
        first = 1
    if version not in ("0.1", "0.2"):
        raise ValueError(f"version {version!r} of its format is not known")
    ranks: dict[tuple[str, str], int] = {}
    for number, line in enumerate(lines[first:], start=first + 1):
        pair = line.strip(" \r").split(" ")
        if len(pair) != 2:
            raise ValueError(f"line {number} is {line!r}, and not two symbols")
        ranks.setdefault((pair[0], pair[1]), number)
    # Of two ways to one symbol the more frequent one is undone.
    parts: dict[str, tuple[str, str]] = {}
    for left, right in reversed(ranks):
        parts[left + right] = (left, right)
    return Codes(ranks, parts, version == "0.1")


def divide(word: str, codes: Codes | None, vocabulary: Collection[str]) -> list[str]:
    """A word as pieces of the vocabulary, all but the last marked with "@@".

    With codes, as in the training data: pairs are merged by rank, and what the vocabulary lacks is
    divided again. Without codes, which not everybody publishes: as few unknown characters, then as
    few pieces, as the vocabulary allows, long ones first. Both agree on words that are one piece,
    and on most others.
    """
    pieces = _merged(word, codes, vocabulary) if codes else _fewest(word, vocabulary)
    return [piece + MARKER for piece in pieces[:-1]] + pieces[-1:]


def join(pieces: Iterable[str]) -> list[str]:
    """Pieces as words; a mark at the very end has no word to go on with."""
    return _MARKED.sub("", " ".join(pieces)).split()


def is_divided(text: str) -> bool:
    """Whether a text is made of pieces already."""
    return _MARKED.search(text) is not None


def _merged(word: str, codes: Codes, vocabulary: Collection[str]) -> list[str]:
    if len(word) == 1:
        return [word]
    symbols = [*word, _END] if codes.end_is_symbol else [*word[:-1], word[-1] + _END]
    while len(symbols) > 1:
        pairs = pairwise(symbols)
        ranked = [(codes.ranks[pair], pair) for pair in pairs if pair in codes.ranks]
        if not ranked:
            break
        symbols = _with_pair_merged(symbols, min(ranked)[1])
    if symbols[-1] == _END:
        symbols.pop()
    symbols[-1] = symbols[-1].removesuffix(_END)
    last = len(symbols) - 1
    known = (
        _known(symbol, codes, vocabulary, final=place == last)
        for place, symbol in enumerate(symbols)
    )
    return [piece for pieces in known for piece in pieces]


def _with_pair_merged(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    place = 0
    while place < len(symbols):
        if tuple(symbols[place : place + 2]) == pair:
            merged.append(pair[0] + pair[1])
            place += 2
        else:
            merged.append(symbols[place])
            place += 1
    return merged


def _known(piece: str, codes: Codes, vocabulary: Collection[str], *, final: bool) -> list[str]:
    """The piece, or, while the vocabulary lacks it, those that it was merged of."""
    if (piece if final else piece + MARKER) in vocabulary:
        return [piece]
    parts = codes.parts.get(piece + _END if final else piece)
    if parts is None:
        return [piece]
    left, right = parts
    if final:
        right = right.removesuffix(_END)
    before = _known(left, codes, vocabulary, final=False)
    return before + _known(right, codes, vocabulary, final=final) if right else before


def _fewest(word: str, vocabulary: Collection[str]) -> list[str]:
    longest = max(map(len, vocabulary), default=1)
    end = len(word)
    # From the back: what the rest of the word costs, and how long its first piece is.
    costs: list[tuple[int, int]] = [(0, 0)] * (end + 1)
    lengths = [1] * (end + 1)
    for start in range(end - 1, -1, -1):
        unknown, pieces = costs[start + 1]
        best = (unknown + 1, pieces + 1)
        for stop in range(start + 1, min(end, start + longest) + 1):
            piece = word[start:stop] if stop == end else word[start:stop] + MARKER
            cost = (costs[stop][0], costs[stop][1] + 1)
            if cost <= best and piece in vocabulary:
                best = cost
                lengths[start] = stop - start
        costs[start] = best
    divided: list[str] = []
    place = 0
    while place < end:
        divided.append(word[place : place + lengths[place]])
        place += lengths[place]
    return divided
