"""A text -> the words of a dictionary, on the likeliest path through all ways to divide it.

This is the first step of LAC 2 (the Python package `lac`), and does what that does to the letter,
since the network was taught on its outcome: a word's weight is the logarithm of its length less
that of the dictionary's total count; Latin letters and digits that stand alone are then joined.
"""

from __future__ import annotations

import math
from collections.abc import Iterable


class WordGraph:
    """Divides texts by a dictionary. Made once; safe to use from several threads."""

    def __init__(self, entries: Iterable[tuple[str, int]]) -> None:
        """Take words and how often each occurs."""
        self._words: set[str] = set()
        self._beginnings: set[str] = set()
        total = 0
        for word, count in entries:
            self._words.add(word)
            self._beginnings.update(word[:end] for end in range(1, len(word)))
            total += count
        self._log_total = math.log(total) if total > 0 else 0.0

    def divide(self, text: str) -> list[str]:
        """The words, which joined are the text."""
        ends = self._best_ends(text)
        words: list[str] = []
        joined = ""
        start = 0
        while start < len(text):
            word = text[start : ends[start]]
            start = ends[start]
            if len(word) == 1 and word.isascii() and word.isalnum():
                joined += word
                continue
            if joined:
                words.append(joined)
                joined = ""
            words.append(word)
        if joined:
            words.append(joined)
        return words

    def _best_ends(self, text: str) -> list[int]:
        """For each position, where the word that begins there ends on the best path from it."""
        length = len(text)
        weights = [0.0] * (length + 1)
        ends = [0] * length
        for start in range(length - 1, -1, -1):
            best = (-math.inf, -1)
            for end in self._ends(text, start):
                known = text[start:end] in self._words
                own = math.log(end - start) if known else 0.0
                # The order of these sums is that of the package: rounding decides ties.
                best = max(best, (own - self._log_total + weights[end], end))
            weights[start], ends[start] = best
        return ends

    def _ends(self, text: str, start: int) -> Iterable[int]:
        """Ends of the words that begin here; a single character always counts as one."""
        yield start + 1
        end = start + 1
        while end <= len(text):
            word = text[start:end]
            if word in self._words:
                if end > start + 1:
                    yield end
            elif word not in self._beginnings:
                return
            end += 1
