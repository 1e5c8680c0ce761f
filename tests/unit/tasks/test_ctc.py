"""Greedy CTC decoding against the plain algorithm."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.tasks.ctc import Blank, alphabet, decode


def plain(best: list[int], classes: tuple[str, ...], blank: int) -> str:
    """Merge repetitions, then drop blanks."""
    return "".join(classes[index] for index, _ in itertools.groupby(best) if index != blank)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.sampled_from(["first", "last"]))
def test_decodes_as_the_plain_algorithm(best: list[int], blank: Blank) -> None:
    classes = alphabet(["a", "b", "c"], blank, space=True)
    scores = np.full((len(best), 5), 0.01, np.float32)
    scores[np.arange(len(best)), best] = 0.9
    text, score = decode(scores, classes, blank)
    assert text == plain(best, classes, 0 if blank == "first" else 4)
    assert score == (pytest.approx(0.9) if text else 0.0)


def test_the_score_is_the_mean_of_the_first_step_of_each_character() -> None:
    classes = alphabet(["a", "b"], "first", space=False)
    scores = np.array([[0, 0.8, 0], [0, 0.2, 0], [0.9, 0, 0], [0, 0, 0.6]], np.float32)
    assert decode(scores, classes, "first") == ("ab", pytest.approx(0.7))


def test_only_blanks_are_an_empty_text_with_score_0() -> None:
    classes = alphabet(["a"], "last", space=False)
    assert decode(np.array([[0.1, 0.9]] * 4, np.float32), classes, "last") == ("", 0.0)


def test_a_blank_between_equal_characters_keeps_both() -> None:
    classes = alphabet(["l"], "first", space=False)
    scores = np.eye(2, dtype=np.float32)[[1, 1, 0, 1]]
    assert decode(scores, classes, "first")[0] == "ll"


@pytest.mark.parametrize(
    ("blank", "space", "expected"),
    [
        ("first", True, ("", "x", "y", " ")),
        ("first", False, ("", "x", "y")),
        ("last", True, ("x", "y", " ", "")),
        ("last", False, ("x", "y", "")),
    ],
)
def test_classes_are_laid_out_as_networks_have_them(
    blank: Blank, space: bool, expected: tuple[str, ...]
) -> None:
    assert alphabet(["x", "y"], blank, space) == expected
