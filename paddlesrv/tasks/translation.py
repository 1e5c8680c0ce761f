"""The task `translation`: a text in English -> German, from a network that searches by itself.

Made for PaddleNLP's Transformer (examples/machine_translation/transformer). Its server took text
that was tokenized and divided into pieces already; here that is done as its training data was, and
undone in what comes out. Text that is divided already is taken as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from paddlesrv.errors import EngineError, IntegrityError, InvalidInput
from paddlesrv.models.spec import ModelSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.tasks import bpe, moses
from paddlesrv.tasks.base import ModelTask, Task, TaskInput, TaskOptions, Wanted
from paddlesrv.tasks.resources import plain_text, read_lines, read_parameters

MAX_CHARACTERS = 4000
"""Longest text, before it is looked at closely: no 256 pieces are as long."""
MAX_WORD_CHARACTERS = 200

_UNKNOWN = "<unk>"


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the vocabulary's special pieces are, and the longest source.

    A source is filled up with `pad_id`, which the network must mask, to a multiple of
    `pad_to_multiple`, so that sources of unlike lengths share a batch; where there is none, only
    those of one length do.
    """

    start_id: int = 0
    end_id: int = 1
    max_tokens: int = 256
    """Pieces of a text, with its end: as many as the network was trained for."""
    pad_id: int | None = None
    pad_to_multiple: Annotated[int, msgspec.Meta(ge=1)] = 16


class TranslatedText(msgspec.Struct, frozen=True):
    """The answer of `translation`: the best text, and all that were found, best first."""

    text: str
    candidates: list[str]


class Translation(ModelTask[None]):
    """Text -> pieces -> ids; ids -> pieces -> text."""

    name = "translation"
    accepts = ("text",)
    inputs = (Wanted("tokens", "int64", (-1, -1)),)
    outputs = (Wanted("candidates", "int64", (-1, -1, -1)),)
    heavy = False

    def __init__(
        self, spec: ModelSpec, root: Path, components: Mapping[str, Task] | None = None
    ) -> None:
        """Read the vocabulary, and the merges if there are some."""
        super().__init__(spec, root, components)
        self.parameters = read_parameters(spec, Parameters)
        self.input = spec.input_by_role("tokens").name
        self.output = spec.output_by_role("candidates").name
        self._pieces = read_lines(spec, root, "vocabulary")
        self._ids = {piece: number for number, piece in enumerate(self._pieces)}
        if _UNKNOWN not in self._ids:
            raise IntegrityError(
                f"{spec.files['vocabulary']} of {spec.name} has no line {_UNKNOWN}, for what is"
                " not in it"
            )
        self._codes = _codes(spec, root) if "codes" in spec.files else None
        # The vocabulary tells how the training data was tokenized.
        self._split_hyphens = "@-@" in self._ids
        self._escape = any(piece.startswith(("&apos;", "&quot;")) for piece in self._pieces)

    def pre(self, item: TaskInput, options: TaskOptions) -> tuple[dict[str, Tensor], None]:
        """The text as ids, 1 x pieces int64: those of its pieces, the end, padding.

        How much padding depends on the text alone: its answer is the same in any company.

        Raises:
            InvalidInput: no text, an empty one, or one of more than `max_tokens` pieces.
        """
        text = plain_text(self, item)
        if len(text) > MAX_CHARACTERS:
            raise self._too_long(f"{len(text)} characters, the limit is {MAX_CHARACTERS}")
        pieces = self.divide(text)
        if not pieces:
            raise InvalidInput(f"{self.spec.name} got a text without a word, and needs one")
        limit = self.parameters.max_tokens
        if len(pieces) + 1 > limit:
            raise self._too_long(f"{len(pieces)} pieces of words, the limit is {limit - 1}")
        unknown = self._ids[_UNKNOWN]
        ids = [self._ids.get(piece, unknown) for piece in pieces]
        ids.append(self.parameters.end_id)
        if self.parameters.pad_id is not None:
            multiple = self.parameters.pad_to_multiple
            length = min(-(-len(ids) // multiple) * multiple, limit)
            ids += [self.parameters.pad_id] * (length - len(ids))
        return {self.input: Tensor(np.array([ids], np.int64))}, None

    def post(
        self, outputs: Mapping[str, Tensor], state: None, options: TaskOptions
    ) -> TranslatedText:
        """The best `options.top` of the network's beams as texts."""
        found = outputs[self.output].data
        if found.ndim != 3 or found.shape[0] != 1 or found.shape[2] == 0:
            raise EngineError(
                f"{self.spec.name} answers candidates of shape {list(found.shape)}, expected"
                " 1 x pieces x candidates"
            )
        texts = [self.text(ids) for ids in found[0].T.tolist()]
        return TranslatedText(texts[0], texts[: max(options.top, 1)])

    def example(self) -> TaskInput:
        """A sentence."""
        return TaskInput("text", "The weather is fine today.")

    def divide(self, text: str) -> list[str]:
        """The pieces of a text, as in the vocabulary.

        Raises:
            InvalidInput: a word is longer than `MAX_WORD_CHARACTERS`.
        """
        if bpe.is_divided(text):
            return text.split()
        if moses.is_tokenized(text):
            words = text.split()
        else:
            words = moses.tokenize(text, split_hyphens=self._split_hyphens, escape=self._escape)
        longest = max(map(len, words), default=0)
        if longest > MAX_WORD_CHARACTERS:
            raise self._too_long(
                f"a word of {longest} characters, the limit is {MAX_WORD_CHARACTERS}"
            )
        return [piece for word in words for piece in bpe.divide(word, self._codes, self._ids)]

    def text(self, ids: list[int]) -> str:
        """What a candidate says: up to its end, without its start."""
        end = self.parameters.end_id
        if end in ids:
            ids = ids[: ids.index(end)]
        known = range(len(self._pieces))
        # The network's table is padded with rows that stand for nothing.
        pieces = [
            self._pieces[number] if number in known else _UNKNOWN
            for number in ids
            if number != self.parameters.start_id
        ]
        return moses.detokenize(bpe.join(pieces))

    def _too_long(self, what: str) -> InvalidInput:
        return InvalidInput(
            f"the text is too long for {self.spec.name}: {what}",
            hints=["send its sentences one by one"],
        )


def _codes(spec: ModelSpec, root: Path) -> bpe.Codes:
    try:
        return bpe.read_codes(read_lines(spec, root, "codes"))
    except ValueError as error:
        raise IntegrityError(
            f"{spec.files['codes']} of {spec.name} does not hold byte pair codes: {error}"
        ) from error
