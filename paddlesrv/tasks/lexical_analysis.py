"""The task `lexical-analysis`: a Chinese text -> its words, and a tag for each.

Made for LAC (https://github.com/baidu/lac): the network is fed characters, or, if the model has
a dictionary with role "segmentation", the words of that where it knows them. The answers are
those of the Python package `lac` 2.1.2, or of Paddle Serving's reader for its own, older network.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from paddlesrv.errors import EngineError, IntegrityError, InvalidInput, PayloadTooLarge
from paddlesrv.models.spec import ModelSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.tasks.base import ModelTask, Task, TaskInput, TaskOptions, Wanted
from paddlesrv.tasks.resources import plain_text, read_lines, read_parameters
from paddlesrv.tasks.word_graph import WordGraph

MAX_CHARACTERS = 10_000
"""Longest text; longer ones are divided into sentences by the caller."""

_UNKNOWN = "OOV"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose rules for texts and tags the network was made for.

    "lac-2": the text is fed as it is; a word begins at a tag that ends in B or S, and has the tag
    of its last piece. "paddle-serving": white space around the text is left out; a word begins at a
    tag that ends in B and at the first "O" in a row, and has the tag that it begins with. (There,
    `LACReader.parse_result` means to compare with the tag before, but compares with a character
    of the tag itself: at an "O" after the second character it fails, and no "O" begins a word.)
    """

    rules: Literal["lac-2", "paddle-serving"] = "lac-2"


class Words(msgspec.Struct, frozen=True):
    """The answer of `lexical-analysis`: the words, which joined are the text, and their tags.

    By the rules of Paddle Serving, the text without white space around it.
    """

    words: list[str]
    tags: list[str]


class Pieces(NamedTuple):
    """What was fed: the text, and how many characters each id stands for."""

    text: str
    lengths: list[int]


class LexicalAnalysis(ModelTask[Pieces]):
    """Word segmentation, parts of speech and named entities."""

    name = "lexical-analysis"
    accepts = ("text",)
    inputs = (Wanted("words", "int64", (-1, 1), lod_level=1),)
    outputs = (Wanted("tags", "int64", (-1, 1), lod_level=1),)
    heavy = False

    def __init__(
        self, spec: ModelSpec, root: Path, components: Mapping[str, Task] | None = None
    ) -> None:
        """Read the dictionaries."""
        super().__init__(spec, root, components)
        self._lac_2 = read_parameters(spec, Parameters).rules == "lac-2"
        self.input = spec.input_by_role("words").name
        self.output = spec.output_by_role("tags").name
        self._ids = {word: _number(spec, id_) for id_, word in _pairs(spec, root, "words")}
        self._tags = {_number(spec, id_): tag for id_, tag in _pairs(spec, root, "tags")}
        self._replaced = dict(_pairs(spec, root, "full_to_half"))
        if _UNKNOWN not in self._ids:
            raise IntegrityError(
                f"{spec.files['words']} of {spec.name} has no id for {_UNKNOWN}, unknown words"
            )
        self._graph = (
            WordGraph(_counted_words(spec, root)) if "segmentation" in spec.files else None
        )

    def pre(self, item: TaskInput, options: TaskOptions) -> tuple[dict[str, Tensor], Pieces]:
        """The text as ids: n x 1 int64 and the offsets (0, n).

        Raises:
            InvalidInput: no text, or an empty one.
            PayloadTooLarge: more than `MAX_CHARACTERS`.
        """
        text = plain_text(self, item)
        text = text if self._lac_2 else text.strip()
        if not text:
            raise InvalidInput(f"{self.spec.name} got an empty text, and needs one character")
        if len(text) > MAX_CHARACTERS:
            raise PayloadTooLarge(
                f"the text has {len(text)} characters, the limit is {MAX_CHARACTERS}",
                hints=["send its sentences one by one"],
            )
        ids, lengths = self._pieces(text)
        data = np.array(ids, np.int64).reshape(-1, 1)
        return {self.input: Tensor(data, (0, len(ids)))}, Pieces(text, lengths)

    def post(self, outputs: Mapping[str, Tensor], state: Pieces, options: TaskOptions) -> Words:
        """Pieces joined to words by their tags, see `Parameters`."""
        numbers = outputs[self.output].data.reshape(-1).tolist()
        if len(numbers) != len(state.lengths):
            raise EngineError(
                f"{self.spec.name} answers {len(numbers)} tags for {len(state.lengths)} pieces"
            )
        result = Words([], [])
        start, before = 0, ""
        for number, length in zip(numbers, state.lengths, strict=True):
            piece = state.text[start : start + length]
            start += length
            tag = self._tag(number)
            if not result.words or self._begins(tag, before):
                result.words.append(piece)
                result.tags.append(tag[:-2] if self._lac_2 else tag.partition("-")[0])
            else:
                result.words[-1] += piece
                if self._lac_2:
                    result.tags[-1] = tag[:-2]
            before = tag
        return result

    def example(self) -> TaskInput:
        """A sentence."""
        return TaskInput("text", "今天天气很好。")

    def _pieces(self, text: str) -> tuple[list[int], list[int]]:
        """Ids, and how many characters each stands for."""
        ids: list[int] = []
        lengths: list[int] = []
        for word in self._graph.divide(text) if self._graph else text:
            # A word that is unknown as a whole is fed by its characters.
            for piece in [word] if word in self._ids else word:
                ids.append(self._ids.get(self._replaced.get(piece, piece), self._ids[_UNKNOWN]))
                lengths.append(len(piece))
        return ids, lengths

    def _begins(self, tag: str, before: str) -> bool:
        """Whether a word begins at a tag, after a piece with that other one."""
        if self._lac_2:
            return tag.endswith(("B", "S"))
        return tag.endswith("-B") or (tag == "O" and before != "O")

    def _tag(self, number: float) -> str:
        try:
            return self._tags[int(number)]
        except KeyError:
            raise EngineError(f"{self.spec.name} answers the unknown tag {number}") from None


def _pairs(spec: ModelSpec, root: Path, role: str) -> list[tuple[str, str]]:
    """The lines of a file that have exactly two fields, divided by a tab."""
    fields = (line.split("\t") for line in read_lines(spec, root, role))
    return [(field[0], field[1]) for field in fields if len(field) == 2]


def _number(spec: ModelSpec, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise IntegrityError(f"a dictionary of {spec.name} has {text!r} for a number") from None


def _counted_words(spec: ModelSpec, root: Path) -> list[tuple[str, int]]:
    lines = (line.split() for line in read_lines(spec, root, "segmentation"))
    return [(line[0], _number(spec, line[1])) for line in lines if len(line) == 2]
