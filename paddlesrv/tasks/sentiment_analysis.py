"""The task `sentiment-analysis`: a Chinese text -> how likely it is said in praise or in blame.

Made for Senta's bidirectional LSTM: the network is fed words. What the words of a text are is asked
of a model for lexical analysis, the component `segmentation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from paddlesrv.errors import EngineError, IntegrityError, InvalidInput
from paddlesrv.models.spec import ModelSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.tasks.base import Runner, Task, TaskInput, TaskOptions, Wanted
from paddlesrv.tasks.lexical_analysis import LexicalAnalysis, Words
from paddlesrv.tasks.resources import plain_text, read_component, read_lines, read_parameters

SEGMENTATION = "segmentation"
"""The role of the model that divides a text into words."""

_UNKNOWN = "<unk>"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How words become ids.

    "<unk>" comes after the words of the vocabulary, N for ids 0 to N - 1. A word that is not in it
    has, with "after-unk", the id N + 1, as the programs that Senta was taught with and Paddle
    Serving's reader have it; with "unk" the id N, as PaddleHub's module has it.
    """

    unknown_id: Literal["after-unk", "unk"] = "after-unk"


class Sentiment(msgspec.Struct, frozen=True):
    """The answer of `sentiment-analysis`: the likelier label, and the score of each."""

    label: str
    score: float
    scores: dict[str, float]


class SentimentAnalysis(Task):
    """Two networks in a row: what the words are, and what they say.

    Without the component, a text is taken as words with white space between them.
    """

    name = "sentiment-analysis"
    accepts = ("text",)
    inputs = (Wanted("words", "int64", (-1, 1), lod_level=1),)
    outputs = (Wanted("scores", "float32", (-1, -1)),)

    def __init__(
        self, spec: ModelSpec, root: Path, components: Mapping[str, Task] | None = None
    ) -> None:
        """Read the vocabulary and the labels."""
        super().__init__(spec, root, components)
        p = read_parameters(spec, Parameters)
        self.input = spec.input_by_role("words").name
        self.output = spec.output_by_role("scores").name
        self._ids = _vocabulary(spec, root)
        self._ids[_UNKNOWN] = len(self._ids)
        after = len(self._ids)
        self._unknown = after if p.unknown_id == "after-unk" else self._ids[_UNKNOWN]
        self._labels = read_lines(spec, root, "labels") if "labels" in spec.files else None
        self.segmentation: LexicalAnalysis | None = None
        if SEGMENTATION in self.components or spec.components:
            self.segmentation = read_component(self, SEGMENTATION, LexicalAnalysis)

    async def answer(self, item: TaskInput, options: TaskOptions, runner: Runner) -> Sentiment:
        """Divide into words, infer, interpret.

        Raises:
            InvalidInput: no text, or one that says nothing: a network of sequences has no answer
                to an empty one, and neither has anybody else.
            PayloadTooLarge: more than a model for lexical analysis takes.
        """
        text = plain_text(self, item).strip()
        if not text:
            raise InvalidInput(
                f"{self.spec.name} got an empty text, and needs one word",
                context={"wanted": "a text that is not only white space"},
            )
        inputs = self.prepare(await self._words(text, options, runner))
        return self.interpret(await runner.infer(self.spec.name, inputs))

    def prepare(self, words: list[str]) -> dict[str, Tensor]:
        """Words as ids: n x 1 int64 and the offsets (0, n)."""
        ids = [self._ids.get(word, self._unknown) for word in words]
        data = np.array(ids, np.int64).reshape(-1, 1)
        return {self.input: Tensor(data, (0, len(ids)))}

    def interpret(self, outputs: Mapping[str, Tensor]) -> Sentiment:
        """The likeliest label; a class without a label is called by its number."""
        scores = outputs[self.output].data.reshape(-1).tolist()
        labels = self._labels or [str(number) for number in range(len(scores))]
        if len(scores) != len(labels):
            raise EngineError(
                f"{self.spec.name} answers {len(scores)} scores for {len(labels)} labels"
            )
        best = max(range(len(scores)), key=scores.__getitem__)
        return Sentiment(labels[best], scores[best], dict(zip(labels, scores, strict=True)))

    def example(self) -> TaskInput:
        """A sentence of praise."""
        return TaskInput("text", "这家餐厅很好吃")

    async def _words(self, text: str, options: TaskOptions, runner: Runner) -> list[str]:
        if self.segmentation is None:
            return text.split()
        found = await self.segmentation.answer(TaskInput("text", text), options, runner)
        assert isinstance(found, Words)
        return found.words


def _vocabulary(spec: ModelSpec, root: Path) -> dict[str, int]:
    """Lines of a word, a tab and its id; a line of an id alone stands for the empty word."""
    vocabulary: dict[str, int] = {}
    for number, line in enumerate(read_lines(spec, root, "vocabulary"), start=1):
        fields = ["", *line.strip().split("\t")]
        word, told = fields[1:3] if len(fields) > 2 else fields
        try:
            vocabulary[word] = int(told)
        except ValueError:
            raise IntegrityError(
                f"line {number} of {spec.files['vocabulary']} of {spec.name} is no word with an id"
            ) from None
    return vocabulary
