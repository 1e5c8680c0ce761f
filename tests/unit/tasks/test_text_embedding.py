"""Texts to the inputs of encoders, and their vectors to answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from paddlesrv.errors import EngineError, IntegrityError, InvalidInput, PayloadTooLarge, UsageError
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.tasks import make_task
from paddlesrv.tasks.base import TaskInput, TaskOptions
from paddlesrv.tasks.text_embedding import MAX_CHARACTERS, TextEmbedding

ASKED = TaskOptions()
VOCABULARY = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\n天\n"
# [PAD] is not 0 everywhere.
SHIFTED = "a\n" + VOCABULARY.replace("\na\n", "\n", 1)


def bert_spec(root: Path, vocabulary: str = VOCABULARY, **parameters: Any) -> ModelSpec:
    """Fixed length, four inputs of rank 3, nothing after the text."""
    (root / "vocab.txt").write_text(vocabulary, encoding="utf-8")
    roles = {"i": "tokens", "p": "positions", "s": "segments", "m": "mask"}
    inputs = tuple(
        TensorSpec(
            name=name, role=role, dtype="float32" if name == "m" else "int64", shape=(-1, 8, 1)
        )
        for name, role in roles.items()
    )
    return spec(inputs, parameters={"max_tokens": 8, "end_token": None, **parameters})


def minilm_spec(root: Path, **parameters: Any) -> ModelSpec:
    """Any length, three inputs of rank 2, "[SEP]" after the text."""
    (root / "vocab.txt").write_text(VOCABULARY, encoding="utf-8")
    inputs = tuple(
        TensorSpec(name=name, role=role, dtype="int64", shape=(-1, -1))
        for name, role in {"i": "tokens", "s": "segments", "m": "mask"}.items()
    )
    return spec(inputs, parameters={"max_tokens": 64, **parameters})


def spec(inputs: tuple[TensorSpec, ...], **fields: Any) -> ModelSpec:
    return ModelSpec(
        name="small",
        task="text-embedding",
        format="onnx",
        inputs=inputs,
        outputs=(
            TensorSpec(name="t", role="tokens", dtype="float32", shape=(-1, -1, 2)),
            TensorSpec(name="v", role="sentence", dtype="float32", shape=(-1, 2)),
        ),
        files={"vocabulary": "vocab.txt"},
        **fields,
    )


def made(spec: ModelSpec, root: Path) -> TextEmbedding:
    task = make_task(spec, root)
    assert isinstance(task, TextEmbedding)
    return task


def fed(task: TextEmbedding, text: str) -> dict[str, list[float]]:
    inputs, _ = task.pre(TaskInput("text", text), ASKED)
    for declared in task.spec.inputs:
        data = inputs[declared.name].data
        assert data.dtype == declared.dtype
        assert (data.ndim, data.shape[0]) == (len(declared.shape), 1)
    return {name: tensor.data.ravel().tolist() for name, tensor in inputs.items()}


def outputs(length: int, rows: int = 1) -> dict[str, Tensor]:
    vectors = np.arange(length * 2, dtype=np.float32).reshape(1, length, 2)
    return {"v": Tensor(np.ones((rows, 2), np.float32)), "t": Tensor(vectors)}


def test_inputs_of_fixed_length_are_padded_with_the_id_of_pad(tmp_path: Path) -> None:
    task = made(bert_spec(tmp_path, SHIFTED), tmp_path)
    assert fed(task, "ab 天x") == {
        "i": [3, 2, 6, 2, 1, 1, 1, 1],
        "p": [0, 1, 2, 3, 1, 1, 1, 1],
        "s": [0, 0, 0, 0, 1, 1, 1, 1],
        "m": [1, 1, 1, 1, 0, 0, 0, 0],
    }


def test_inputs_of_any_length_are_padded_to_a_multiple(tmp_path: Path) -> None:
    task = made(minilm_spec(tmp_path, pad_to_multiple=4), tmp_path)
    assert fed(task, "a b") == {"i": [2, 4, 5, 3], "s": [0] * 4, "m": [1] * 4}
    assert fed(task, "a b a") == {
        "i": [2, 4, 5, 4, 3, 0, 0, 0],
        "s": [0] * 8,
        "m": [1] * 5 + [0] * 3,
    }


def test_a_long_text_is_cut_and_the_answer_says_so(tmp_path: Path) -> None:
    task = made(bert_spec(tmp_path, max_text_tokens=6), tmp_path)
    for count, cut in ((6, False), (7, True)):
        inputs, state = task.pre(TaskInput("text", "天" * count), ASKED)
        assert inputs["m"].data.sum() == 7
        answer = msgspec.to_builtins(task.post(outputs(8), state, ASKED))
        assert answer == {"embedding": [1.0, 1.0], **({"truncated": True} if cut else {})}
    with_end = made(minilm_spec(tmp_path), tmp_path)
    assert fed(with_end, "天" * 62)["i"] == fed(with_end, "天" * 63)["i"] == [2] + [6] * 62 + [3]


def test_an_empty_text_has_a_vector_too(tmp_path: Path) -> None:
    assert fed(made(minilm_spec(tmp_path, pad_to_multiple=2), tmp_path), " ")["i"] == [2, 3]


def test_vectors_of_tokens_come_on_request_without_padding(tmp_path: Path) -> None:
    task = made(bert_spec(tmp_path), tmp_path)
    asked = TaskOptions(tokens=True)
    _, state = task.pre(TaskInput("text", "ab!天"), asked)
    answer = msgspec.to_builtins(task.post(outputs(8), state, asked))
    assert answer["tokens"] == [
        {"token": "[CLS]", "vector": [0.0, 1.0]},
        {"token": "[UNK]", "vector": [2.0, 3.0]},
        {"token": "[UNK]", "vector": [4.0, 5.0]},
        {"token": "天", "vector": [6.0, 7.0]},
    ]
    with pytest.raises(EngineError, match="4 tokens"):
        task.post(outputs(3), state, asked)


def test_a_network_without_vectors_of_tokens_is_not_asked_for_them(tmp_path: Path) -> None:
    whole = minilm_spec(tmp_path)
    task = made(msgspec.structs.replace(whole, outputs=whole.outputs[1:]), tmp_path)
    _, state = task.pre(TaskInput("text", "a"), ASKED)
    with pytest.raises(InvalidInput, match="none for tokens"):
        task.post(outputs(16), state, TaskOptions(tokens=True))


def test_what_is_no_text_or_too_long_is_refused(tmp_path: Path) -> None:
    task = made(bert_spec(tmp_path), tmp_path)
    with pytest.raises(InvalidInput, match="takes a text"):
        task.pre(TaskInput("image", b"x"), ASKED)
    fed(task, "a" * MAX_CHARACTERS)
    with pytest.raises(PayloadTooLarge):
        task.pre(TaskInput("text", "a" * (MAX_CHARACTERS + 1)), ASKED)


def test_an_answer_for_several_texts_is_an_error(tmp_path: Path) -> None:
    task = made(bert_spec(tmp_path), tmp_path)
    _, state = task.pre(TaskInput("text", "a"), ASKED)
    with pytest.raises(EngineError, match="one text"):
        task.post(outputs(8, rows=2), state, ASKED)


def test_a_vocabulary_without_the_tokens_that_are_needed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"lacks \[CLS\]"):
        made(bert_spec(tmp_path, "[PAD]\n[UNK]\n"), tmp_path)
    with pytest.raises(IntegrityError, match="no vocabulary"):
        made(bert_spec(tmp_path, VOCABULARY + "c\td\n"), tmp_path)


def test_more_tokens_than_the_network_has_room_for_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="room for 7"):
        made(bert_spec(tmp_path, max_tokens=512, max_text_tokens=8), tmp_path)


def test_a_network_with_other_inputs_is_served_by_its_tensors(tmp_path: Path) -> None:
    whole = minilm_spec(tmp_path)
    unknown = msgspec.structs.replace(whole.inputs[1], role="language")
    assert make_task(msgspec.structs.replace(whole, inputs=(unknown,)), tmp_path) is None
    assert make_task(msgspec.structs.replace(whole, outputs=whole.outputs[:1]), tmp_path) is None


def test_the_example_is_one_that_the_task_takes(tmp_path: Path) -> None:
    task = made(minilm_spec(tmp_path), tmp_path)
    assert task.pre(task.example(), ASKED)
