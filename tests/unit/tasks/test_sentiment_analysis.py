"""Words to ids, scores to labels, and the model in between that knows what the words are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from paddlesrv.errors import EngineError, IntegrityError, InvalidInput, UsageError
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.tasks import make_task
from paddlesrv.tasks.base import TaskInput, TaskOptions
from paddlesrv.tasks.sentiment_analysis import SentimentAnalysis
from tests.unit.tasks.specs import image_spec, lexical_spec

ASKED = TaskOptions()
TAGS = {"你": 0, "好": 1}  # of `lexical_spec`: n-B, n-I; all else begins a word (v-B)


class Networks:
    """Tags for characters, and two scores; remembers what was fed."""

    def __init__(self, text: str, scores: list[float]) -> None:
        self.tags = [TAGS.get(character, 2) for character in text]
        self.scores = scores
        self.fed: dict[str, Mapping[str, Tensor]] = {}

    async def infer(self, model: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        self.fed[model] = inputs
        if model == "small-lac":
            return {"t": Tensor(np.array(self.tags).reshape(-1, 1), (0, len(self.tags)))}
        return {"y": Tensor(np.array([self.scores], np.float32))}

    async def compute(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)


def senta_spec(root: Path, vocabulary: str = "你好\t0\n吗\t1\n", **fields: Any) -> ModelSpec:
    (root / "vocabulary.txt").write_text(vocabulary, encoding="utf-8")
    (root / "labels.txt").write_text("negative\npositive\n")
    return ModelSpec(
        name="small-senta",
        task="sentiment-analysis",
        format="paddle-program",
        inputs=(TensorSpec(name="w", dtype="int64", shape=(-1, 1), lod_level=1, role="words"),),
        outputs=(TensorSpec(name="y", dtype="float32", shape=(-1, 2), role="scores"),),
        files={"vocabulary": "vocabulary.txt", "labels": "labels.txt"},
        **fields,
    )


@pytest.fixture
def chain(tmp_path: Path) -> SentimentAnalysis:
    """With its model for words."""
    (tmp_path / "lac").mkdir()
    lac = make_task(lexical_spec(tmp_path / "lac"), tmp_path / "lac")
    assert lac is not None
    spec = senta_spec(tmp_path, components={"segmentation": "small-lac"})
    task = make_task(spec, tmp_path, {"segmentation": lac})
    assert isinstance(task, SentimentAnalysis)
    return task


def ask(task: SentimentAnalysis, text: str, networks: Networks) -> dict[str, Any]:
    answer = asyncio.run(task.answer(TaskInput("text", text), ASKED, networks))
    return msgspec.to_builtins(answer)


def test_the_words_of_the_other_model_are_fed(chain: SentimentAnalysis) -> None:
    networks = Networks("你好吗天", [0.25, 0.75])
    answer = ask(chain, " 你好吗天\n", networks)
    assert answer == {
        "label": "positive",
        "score": 0.75,
        "scores": {"negative": 0.25, "positive": 0.75},
    }
    words = networks.fed["small-senta"]["w"]
    # Ids 0 and 1 are of the vocabulary, 2 is "<unk>" itself, 3 is any other word.
    assert (words.data.tolist(), words.lod) == ([[0], [1], [3]], (0, 3))
    assert words.data.dtype == np.int64


@pytest.mark.parametrize("text", ["", " \n\u3000"])
def test_an_empty_text_is_refused_before_any_network_sees_it(
    chain: SentimentAnalysis, text: str
) -> None:
    networks = Networks(text, [0.5, 0.5])
    with pytest.raises(InvalidInput, match="small-senta got an empty text"):
        ask(chain, text, networks)
    assert networks.fed == {}


def test_without_the_other_model_white_space_divides(tmp_path: Path) -> None:
    task = make_task(senta_spec(tmp_path, parameters={"unknown_id": "unk"}), tmp_path)
    assert isinstance(task, SentimentAnalysis)
    networks = Networks("", [0.75, 0.25])
    assert ask(task, "吗 天  你好", networks)["label"] == "negative"
    assert networks.fed["small-senta"]["w"].data.ravel().tolist() == [1, 2, 0]


def test_without_labels_classes_are_called_by_their_numbers(tmp_path: Path) -> None:
    spec = senta_spec(tmp_path)
    spec = msgspec.structs.replace(spec, files={"vocabulary": "vocabulary.txt"})
    task = make_task(spec, tmp_path)
    assert isinstance(task, SentimentAnalysis)
    answer = ask(task, "吗", Networks("", [0.25, 0.5, 0.25]))
    assert answer == {"label": "1", "score": 0.5, "scores": {"0": 0.25, "1": 0.5, "2": 0.25}}


def test_other_scores_than_labels_are_an_error(tmp_path: Path) -> None:
    task = make_task(senta_spec(tmp_path), tmp_path)
    assert isinstance(task, SentimentAnalysis)
    with pytest.raises(EngineError, match="3 scores for 2 labels"):
        ask(task, "吗", Networks("", [0.25, 0.5, 0.25]))


def test_a_component_of_another_task_or_none_is_refused(tmp_path: Path) -> None:
    spec = senta_spec(tmp_path, components={"segmentation": "other"})
    with pytest.raises(UsageError, match="segmentation, and has nothing"):
        make_task(spec, tmp_path)
    other = make_task(image_spec("text-detection", "map", (-1, 1, -1, -1)), tmp_path)
    assert other is not None
    with pytest.raises(UsageError, match="needs a lexical-analysis model"):
        make_task(spec, tmp_path, {"segmentation": other})


def test_a_vocabulary_line_without_an_id_is_named(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"line 2 of vocabulary\.txt"):
        make_task(senta_spec(tmp_path, "你好\t0\n吗\tone\n"), tmp_path)


def test_the_example_is_one_that_the_task_takes(chain: SentimentAnalysis) -> None:
    text = chain.example().data
    assert isinstance(text, str)
    assert ask(chain, text, Networks(text, [0.0, 1.0]))["label"] == "positive"
