"""The task `translation`: text in, pieces, ids, and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.errors import InvalidInput
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.tasks import bpe, make_task, moses
from paddlesrv.tasks.base import TaskInput, TaskOptions
from paddlesrv.tasks.translation import Translation

WORDS = ("<s>", "<e>", "<unk>", "Hello", ",", "Welt", "!", "beauti@@", "ful", "Hallo")


def translate(root: Path, parameters: dict[str, int] | None = None) -> Translation:
    (root / "words.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    task = make_task(
        ModelSpec(
            name="small",
            task="translation",
            format="onnx",
            inputs=(TensorSpec(name="src_word", dtype="int64", shape=(-1, -1)),),
            outputs=(TensorSpec(name="y", dtype="int64", shape=(-1, -1, -1)),),
            parameters=parameters or {},
            files={"vocabulary": "words.txt"},
        ),
        root,
    )
    assert isinstance(task, Translation)
    return task


def ids(task: Translation, text: str) -> list[int]:
    inputs, _ = task.pre(TaskInput("text", text), TaskOptions())
    return inputs["src_word"].data[0].tolist()


def test_a_text_becomes_the_ids_of_its_pieces_and_the_end(tmp_path: Path) -> None:
    task = translate(tmp_path)
    assert ids(task, "Hello, beautiful zoo!") == [3, 4, 7, 8, 2, 2, 2, 6, 1]
    assert ids(task, "beauti@@ ful !") == [7, 8, 6, 1]


def test_candidates_end_at_their_end_and_are_put_together(tmp_path: Path) -> None:
    beams = np.array([[[9, 7], [4, 8], [5, 1], [6, 1], [1, 9]]], np.int64)
    result = translate(tmp_path).post({"y": Tensor(beams)}, None, TaskOptions())
    assert result.text == "Hallo, Welt!"
    assert result.candidates == ["Hallo, Welt!", "beautiful"]


@pytest.mark.parametrize("text", ["", "   ", "\x01", "Hello " * 256, "a" * 300, "x" * 5000])
def test_empty_and_very_long_texts_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidInput):
        ids(translate(tmp_path), text)


@given(st.text("abcdef", min_size=1, max_size=20), st.sets(st.text("abcdef", min_size=1)))
def test_pieces_joined_are_the_word(word: str, known: set[str]) -> None:
    vocabulary = known | {piece + bpe.MARKER for piece in known}
    assert bpe.join(bpe.divide(word, None, vocabulary)) == [word]


@given(st.text(max_size=40))
def test_tokens_hold_no_space_and_are_never_empty(text: str) -> None:
    assert all(token and not token.isspace() for token in moses.tokenize(text))


def test_where_padding_is_known_sources_share_lengths(tmp_path: Path) -> None:
    task = translate(tmp_path, {"pad_id": 0, "pad_to_multiple": 4, "max_tokens": 7})
    assert ids(task, "Hello, beautiful") == [3, 4, 7, 8, 1, 0, 0]
    assert ids(task, "Hello, !") == [3, 4, 6, 1]
    assert ids(translate(tmp_path, {}), "Hello") == [3, 1]


@pytest.mark.filterwarnings("ignore:In dy2static mode")
def test_padding_and_company_change_no_translation() -> None:
    """The network as the recipe builds it, with weights that tell words and places apart."""
    from paddlesrv.engines.paddle import preload

    preload()  # without its warnings
    import paddle

    from paddlesrv.recipes.transformer_network import Sizes, Translator
    from tests.standins.translation import VOCABULARY, weights

    sizes = Sizes(1, 8, 0, 1, 0, beam_size=4, max_output_length=40)
    network = Translator(weights(), sizes, 256)
    network.eval()
    known = {word: number for number, word in enumerate(VOCABULARY)}
    sentences = [
        [known[word] for word in text.split()] + [1]
        for text in ("the dog is red .", "Hello world !", "I see a big house and a small dog .")
    ]

    def candidates(rows: list[list[int]], length: int) -> list[list[list[int]]]:
        """Of each row its beams, up to the end of the longest."""
        filled = np.array([row + [0] * (length - len(row)) for row in rows], np.int64)
        with paddle.no_grad():
            found = network(paddle.to_tensor(filled)).numpy()
        return [[beam[: beam.index(1)] for beam in row] for row in found.swapaxes(1, 2).tolist()]

    alone = [candidates([sentence], len(sentence))[0] for sentence in sentences]
    assert "".join(VOCABULARY[i] for i in alone[0][0]) == "dasHundistrot."
    assert [candidates([sentence], 16)[0] for sentence in sentences] == alone
    assert candidates(sentences, 16) == alone
