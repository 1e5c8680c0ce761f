"""Texts to tokens: what holds for any text and vocabulary."""

from __future__ import annotations

import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.tasks.wordpiece import (
    CONTINUED,
    MAX_WORD_CHARACTERS,
    WordPiece,
    read_vocabulary,
    words,
)

UNKNOWN = "[UNK]"
PIECES = ["un", "##aff", "##able", "a", "b", "##a", "##b", "##ab", "天", "##天", ",", "é"]
VOCABULARY = {token: number for number, token in enumerate([UNKNOWN, *PIECES])}
SMALL = st.text("ab天é,. \u0301\x00", max_size=30)


def tokens(text: str, *, lower_case: bool = True) -> list[str]:
    return list(WordPiece(VOCABULARY, lower_case=lower_case).tokens(text))


def test_a_word_is_divided_into_its_longest_pieces() -> None:
    assert tokens("unaffable") == ["un", "##aff", "##able"]
    assert tokens("aab") == ["a", "##ab"]


def test_a_word_that_cannot_be_put_together_is_unknown_as_a_whole() -> None:
    assert tokens("unx a xun") == [UNKNOWN, "a", UNKNOWN]


def test_ideographs_and_punctuation_stand_by_themselves() -> None:
    assert tokens("a天b天天,,a") == ["a", "天", "b", "天", "天", ",", ",", "a"]


def test_capitals_and_accents_make_no_difference_unless_they_are_to() -> None:
    assert tokens("ÀB a\u0301") == ["a", "##b", "a"]
    assert tokens("é A", lower_case=False) == ["é", UNKNOWN]


def test_control_characters_are_nothing_and_white_space_divides() -> None:
    assert tokens("a\x00\u200bb\u3000a\u2028b") == ["a", "##b", "a", "b"]


def test_a_word_is_unknown_from_one_character_too_many_on() -> None:
    assert tokens("a" * MAX_WORD_CHARACTERS) == ["a"] + ["##a"] * (MAX_WORD_CHARACTERS - 1)
    assert tokens("a" * (MAX_WORD_CHARACTERS + 1)) == [UNKNOWN]


def test_no_more_of_a_text_is_read_than_is_asked_for() -> None:
    def endless() -> object:
        yield from itertools.chain("a b ", itertools.repeat("a"))

    class Text(str):
        __slots__ = ()

        def __iter__(self):  # type: ignore[no-untyped-def]
            return endless()

    assert list(itertools.islice(WordPiece(VOCABULARY).tokens(Text()), 2)) == ["a", "b"]


def test_a_long_run_of_accents_takes_no_longer_than_other_text() -> None:
    # Sorted as Unicode's normal form has it, it would take the square of its length.
    assert tokens("a" + "\u0301\u0323" * 50_000) == ["a"]


@given(st.text(max_size=60), st.booleans())
def test_tokens_are_of_the_vocabulary(text: str, lower_case: bool) -> None:
    assert set(tokens(text, lower_case=lower_case)) <= VOCABULARY.keys()


@given(SMALL)
def test_known_pieces_put_together_are_the_word(text: str) -> None:
    model = WordPiece(VOCABULARY)
    for word in words(text, lower_case=True):
        pieces = list(model.tokens(word))
        assert pieces
        if UNKNOWN not in pieces:
            assert "".join(piece.removeprefix(CONTINUED) for piece in pieces) == word
            assert not pieces[0].startswith(CONTINUED)
            assert all(piece.startswith(CONTINUED) for piece in pieces[1:])


@given(st.text(max_size=60), st.text(max_size=60))
def test_texts_with_white_space_between_them_are_divided_as_each_alone(a: str, b: str) -> None:
    assert tokens(f"{a} {b}") == tokens(a) + tokens(b)


@given(st.text(max_size=60))
def test_words_hold_no_white_space_nor_control_characters_and_lose_no_letter(text: str) -> None:
    found = list(words(text, lower_case=False))
    assert all(found)
    kept = "".join(found)
    assert not any(c.isspace() or unicodedata.category(c)[0] == "C" for c in kept)
    letters = [c for c in text if unicodedata.category(c)[0] in "LNPSM" and c != "\ufffd"]
    assert list(kept) == letters


def test_a_vocabulary_is_a_token_a_line_or_a_token_and_its_id() -> None:
    assert read_vocabulary(["[PAD]", " a ", "b\t7", "##c"]) == {
        "[PAD]": 0,
        "a": 1,
        "b": 7,
        "##c": 3,
    }
    with pytest.raises(ValueError, match="seven"):
        read_vocabulary(["b\tseven"])
