"""Texts to ids, tags to words; the division into words against a plain version."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.errors import EngineError, IntegrityError, InvalidInput, PayloadTooLarge
from paddlesrv.models.tensor import Tensor
from paddlesrv.tasks.base import TaskInput, TaskOptions
from paddlesrv.tasks.lexical_analysis import MAX_CHARACTERS, LexicalAnalysis, Words
from paddlesrv.tasks.word_graph import WordGraph
from tests.unit.tasks.specs import lexical_spec

ASKED = TaskOptions()
ALPHABET = "你好天气a1 "


def task(root: Path, segmentation: str | None = None, **files: str) -> LexicalAnalysis:
    return LexicalAnalysis(lexical_spec(root, segmentation, **files), root)


def fed(made: LexicalAnalysis, text: str) -> list[int]:
    inputs, _ = made.pre(TaskInput("text", text), ASKED)
    tensor = inputs["w"]
    assert tensor.data.dtype == np.int64
    assert tensor.data.shape == (len(tensor.data), 1)
    assert tensor.lod == (0, len(tensor.data))
    return tensor.data.ravel().tolist()


def answered(made: LexicalAnalysis, text: str, tags: list[int]) -> Words:
    _, state = made.pre(TaskInput("text", text), ASKED)
    return made.post({"t": Tensor(np.array(tags).reshape(-1, 1), (0, len(tags)))}, state, ASKED)


def test_characters_become_ids_after_replacement_and_unknown_ones_the_unknown_id(
    tmp_path: Path,
) -> None:
    assert fed(task(tmp_path), "你好Ａ妳?😀") == [1, 2, 3, 1, 0, 0]


def test_words_of_the_dictionary_are_fed_as_a_whole(tmp_path: Path) -> None:
    made = task(tmp_path, "你好 10\n好天 5\n")
    # 好天 is a word of the segmentation, but has no id: its characters are fed.
    assert fed(made, "你好") == [4]
    assert fed(made, "好天") == [2, 0]
    assert fed(task(tmp_path), "你好") == [1, 2]


def test_words_begin_at_b_and_have_the_tag_of_their_last_piece(tmp_path: Path) -> None:
    made = task(tmp_path)
    assert answered(made, "你好Ab", [0, 1, 2, 3]) == Words(["你好", "Ab"], ["n", "v"])
    assert answered(made, "你好", [1, 3]) == Words(["你好"], ["v"])
    assert answered(made, "你好", [4, 4]) == Words(["你好"], [""])


def test_a_piece_of_several_characters_stays_together(tmp_path: Path) -> None:
    made = task(tmp_path, "你好 10\n")
    assert answered(made, "你好你", [0, 2]) == Words(["你好", "你"], ["n", "v"])


def test_tags_of_segmentation_alone_are_empty(tmp_path: Path) -> None:
    made = task(tmp_path, tags="0\t-B\n1\t-I\n2\t-E\n3\t-S\n")
    assert answered(made, "你好Ab", [0, 2, 3, 3]) == Words(["你好", "A", "b"], ["", "", ""])


@given(st.text(min_size=1, max_size=40), st.data())
def test_the_words_joined_are_the_text(
    tmp_path_factory: pytest.TempPathFactory, text: str, data: st.DataObject
) -> None:
    made = task(tmp_path_factory.getbasetemp(), "你好 10\n")
    pieces = len(fed(made, text))
    tags = data.draw(st.lists(st.integers(0, 4), min_size=pieces, max_size=pieces))
    result = answered(made, text, tags)
    assert "".join(result.words) == text
    assert len(result.words) == len(result.tags)
    assert all(result.words)


def test_an_empty_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="empty"):
        fed(task(tmp_path), "")


def test_the_longest_text_is_taken_and_one_more_character_is_not(tmp_path: Path) -> None:
    made = task(tmp_path, "你好 10\n")
    assert len(fed(made, "好" * MAX_CHARACTERS)) == MAX_CHARACTERS
    with pytest.raises(PayloadTooLarge, match="10001 characters, the limit is 10000"):
        fed(made, "好" * (MAX_CHARACTERS + 1))


def test_a_picture_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="takes a text, got image"):
        task(tmp_path).pre(TaskInput("image", b"..."), ASKED)


def test_another_number_of_tags_than_pieces_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="3 tags for 2 pieces"):
        answered(task(tmp_path), "你好", [0, 1, 0])


def test_an_unknown_tag_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="unknown tag 99"):
        answered(task(tmp_path), "你", [99])


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"words": "1\t你\n"}, "no id for OOV"),
        ({"words": "0\tOOV\nx\t你\n"}, "'x' for a number"),
    ],
)
def test_damaged_dictionaries_are_an_error_when_the_task_is_made(
    tmp_path: Path, files: dict[str, str], words: str
) -> None:
    with pytest.raises(IntegrityError, match=words):
        task(tmp_path, **files)


# ---- division into words -----------------------------------------------------------------------


def divisions(text: str, words: dict[str, int]) -> list[list[str]]:
    """All ways to divide a text into words of the dictionary and single characters."""
    if not text:
        return [[]]
    ways = []
    for end in range(1, len(text) + 1):
        if end == 1 or text[:end] in words:
            ways += [[text[:end], *rest] for rest in divisions(text[end:], words)]
    return ways


def likelihood(way: list[str], words: dict[str, int]) -> float:
    total = math.log(sum(words.values()) or 1)
    return sum((math.log(len(word)) if word in words else 0.0) - total for word in way)


dictionaries = st.dictionaries(
    st.text("你好天气", min_size=1, max_size=4), st.integers(1, 50), max_size=8
)


@given(dictionaries, st.text("你好天气", max_size=9))
def test_no_way_to_divide_is_likelier(words: dict[str, int], text: str) -> None:
    divided = WordGraph(words.items()).divide(text)
    assert "".join(divided) == text
    assert all(len(word) == 1 or word in words for word in divided)
    best = max(likelihood(way, words) for way in divisions(text, words))
    assert likelihood(divided, words) == pytest.approx(best)


@given(dictionaries, st.text(ALPHABET, max_size=20))
def test_divided_words_joined_are_the_text(words: dict[str, int], text: str) -> None:
    assert "".join(WordGraph(words.items()).divide(text)) == text


def test_latin_letters_and_digits_stay_together_and_others_do_not() -> None:
    divided = WordGraph([("你好", 3)]).divide("你好abc12 x天é")
    assert divided == ["你好", "abc12", " ", "x", "天", "é"]


def test_an_empty_dictionary_divides_into_characters() -> None:
    assert WordGraph([]).divide("你好") == ["你", "好"]


def older(root: Path) -> LexicalAnalysis:
    """By the rules of Paddle Serving's own network."""
    spec = msgspec.structs.replace(lexical_spec(root), parameters={"rules": "paddle-serving"})
    return LexicalAnalysis(spec, root)


def test_by_the_older_rules_an_o_after_a_word_begins_one_and_words_have_their_first_tag(
    tmp_path: Path,
) -> None:
    made = older(tmp_path)
    assert answered(made, "你好xy你", [0, 3, 4, 4, 2]) == Words(
        ["你好", "xy", "你"], ["n", "O", "v"]
    )
    assert answered(made, "xy好", [4, 4, 1]) == Words(["xy好"], ["O"])


def test_by_the_older_rules_white_space_around_a_text_is_left_out(tmp_path: Path) -> None:
    made = older(tmp_path)
    assert fed(made, "\u3000 你 好\n") == [1, 0, 2]
    assert answered(made, " 你好 ", [0, 1]) == Words(["你好"], ["n"])
    with pytest.raises(InvalidInput, match="empty"):
        made.pre(TaskInput("text", " \n"), ASKED)
