"""Scores per step -> text: greedy decoding of connectionist temporal classification (CTC).

Alex Graves et al., "Connectionist Temporal Classification" (2006), section 3.2: the likeliest
class of each step, repetitions merged, blanks dropped.
"""

from __future__ import annotations

from typing import Literal

from paddlesrv.models.tensor import Array

Blank = Literal["first", "last"]


def alphabet(characters: list[str], blank: Blank, space: bool) -> tuple[str, ...]:
    """What each class stands for; the blank stands for the empty string."""
    classes = [*characters, " "] if space else list(characters)
    return ("", *classes) if blank == "first" else (*classes, "")


def decode(scores: Array, classes: tuple[str, ...], blank: Blank) -> tuple[str, float]:
    """The text of one line, and the mean of its characters' scores (0 without any).

    Args:
        scores: steps x classes, float32, probabilities.
        classes: See `alphabet`.
        blank: Which class is the blank.
    """
    best = scores.argmax(axis=1)
    kept = best != (0 if blank == "first" else len(classes) - 1)
    kept[1:] &= best[1:] != best[:-1]
    if not kept.any():
        return "", 0.0
    certainty = scores[kept, best[kept]]
    return "".join(classes[index] for index in best[kept]), float(certainty.mean())
