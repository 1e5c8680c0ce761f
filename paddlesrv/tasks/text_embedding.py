"""The task `text-embedding`: a text -> the vector of the whole, on request one for each token too.

For encoders with BERT's vocabulary and inputs: those of Paddle Serving, with inputs of fixed length
([-1, 128, 1], "[CLS]" before the text and nothing after it), and those of sentence-transformers,
with inputs of any length ([-1, -1], between "[CLS]" and "[SEP]").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import numpy as np

from paddlesrv.errors import EngineError, IntegrityError, InvalidInput, PayloadTooLarge, UsageError
from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Array, Tensor
from paddlesrv.tasks.base import ModelTask, Task, TaskInput, TaskOptions, Wanted
from paddlesrv.tasks.resources import plain_text, read_lines, read_parameters
from paddlesrv.tasks.wordpiece import WordPiece, read_vocabulary

MAX_CHARACTERS = 100_000
"""Longest text. No network reads as much; more is a mistake, and would hold up other requests."""

_FED = ("tokens", "positions", "segments", "mask")
"""Roles of inputs that can be fed."""


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a text becomes tokens.

    `max_text_tokens` is how many the text itself may have; what is left of `max_tokens` after the
    start and end tokens, if it is None. Inputs of any length are padded to a multiple of
    `pad_to_multiple`.
    """

    # Tokens of texts are no secrets (S105).
    max_tokens: Annotated[int, msgspec.Meta(ge=3, le=8192)] = 128
    max_text_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    lower_case: bool = True
    start_token: str | None = "[CLS]"  # noqa: S105
    end_token: str | None = "[SEP]"  # noqa: S105
    pad_token: str = "[PAD]"  # noqa: S105
    unknown_token: str = "[UNK]"  # noqa: S105
    pad_to_multiple: Annotated[int, msgspec.Meta(ge=1)] = 16


class TokenVector(msgspec.Struct, frozen=True):
    """What the network makes of one token, where it stands."""

    token: str
    vector: list[float]


class Embedding(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer of `text-embedding`.

    `tokens` are there if they were asked for, start and end tokens among them. `truncated` is
    there, and true, if the text was longer than the network reads: its end had no part in it.
    """

    embedding: list[float]
    tokens: list[TokenVector] | None = None
    truncated: bool = False


class Tokens(NamedTuple):
    """What was fed: the tokens without padding, and whether that is the whole text."""

    tokens: list[str]
    truncated: bool


class TextEmbedding(ModelTask[Tokens]):
    """Sentence vectors and token vectors.

    Padding depends on a text's own length alone, never on what else is in the batch, so that an
    answer is the same in any company. To a multiple of 16, rather than not at all, since requests
    share a batch only if their shapes agree, and exact lengths seldom do.
    """

    name = "text-embedding"
    accepts = ("text",)
    inputs = (
        Wanted("tokens", "int64", (-1, -1)),
        Wanted("segments", "int64", (-1, -1)),
        Wanted("mask", "int64", (-1, -1)),
    )
    outputs = (
        Wanted("sentence", "float32", (-1, -1)),
        Wanted("tokens", "float32", (-1, -1, -1)),
    )
    heavy = False

    @classmethod
    def understands(cls, spec: ModelSpec) -> bool:
        """Whether each input is one of those that can be fed, and there is a sentence vector."""
        fed = [tensor.role for tensor in spec.inputs]
        known = set(fed) <= set(_FED) and len(set(fed)) == len(fed) and "tokens" in fed
        return known and any(tensor.role == "sentence" for tensor in spec.outputs)

    def __init__(
        self, spec: ModelSpec, root: Path, components: Mapping[str, Task] | None = None
    ) -> None:
        """Read the vocabulary."""
        super().__init__(spec, root, components)
        self.parameters = p = read_parameters(spec, Parameters)
        self._ids = _vocabulary(spec, root)
        self._start, self._end = _ends(p)
        for token in (*self._start, *self._end, p.pad_token, p.unknown_token):
            if token not in self._ids:
                raise IntegrityError(f"{spec.files['vocabulary']} of {spec.name} lacks {token}")
        self._pad = self._ids[p.pad_token]
        self._wordpiece = WordPiece(self._ids, lower_case=p.lower_case, unknown=p.unknown_token)
        self._length = _fixed_length(spec)
        self._most = _most_text_tokens(spec, p, self._length, len(self._start) + len(self._end))
        self._sentence = spec.output_by_role("sentence").name
        self._tokens = next((t.name for t in spec.outputs if t.role == "tokens"), None)

    def pre(self, item: TaskInput, options: TaskOptions) -> tuple[dict[str, Tensor], Tokens]:
        """Ids, positions, segments (all 0) and the mask, each padded with the id of "[PAD]".

        Raises:
            InvalidInput: no text.
            PayloadTooLarge: more than `MAX_CHARACTERS`.
        """
        text = plain_text(self, item)
        if len(text) > MAX_CHARACTERS:
            raise PayloadTooLarge(
                f"the text has {len(text)} characters, the limit is {MAX_CHARACTERS}",
                hints=["send its paragraphs one by one"],
            )
        found = list(islice(self._wordpiece.tokens(text), self._most + 1))
        tokens = [*self._start, *found[: self._most], *self._end]
        rows = {
            "tokens": ([self._ids[token] for token in tokens], self._pad),
            "positions": (range(len(tokens)), self._pad),
            "segments": ([0] * len(tokens), self._pad),
            "mask": ([1] * len(tokens), 0),
        }
        inputs = {}
        for tensor in self.spec.inputs:
            values, padding = rows[tensor.role or ""]
            inputs[tensor.name] = Tensor(self._row(tensor, values, padding))
        return inputs, Tokens(tokens, len(found) > self._most)

    def post(self, outputs: Mapping[str, Tensor], state: Tokens, options: TaskOptions) -> Embedding:
        """The network's own sentence vector; the token vectors without those of padding."""
        sentence = outputs[self._sentence].data
        if sentence.ndim != 2 or sentence.shape[0] != 1:
            raise EngineError(
                f"{self.spec.name} answers {list(sentence.shape)} for the vector of one text"
            )
        vectors = self._vectors(outputs, state.tokens) if options.tokens else None
        return Embedding(sentence[0].tolist(), vectors, state.truncated)

    def example(self) -> TaskInput:
        """A sentence."""
        return TaskInput("text", "今天天气很好。 It is a fine day.")

    def _row(self, tensor: TensorSpec, values: Sequence[int], padding: int) -> Array:
        multiple = self.parameters.pad_to_multiple
        length = self._length or -(-len(values) // multiple) * multiple
        row = np.full((1, length), padding, tensor.dtype)
        row[0, : len(values)] = values
        return row[..., np.newaxis] if len(tensor.shape) == 3 else row

    def _vectors(self, outputs: Mapping[str, Tensor], tokens: list[str]) -> list[TokenVector]:
        if self._tokens is None:
            raise InvalidInput(
                f"{self.spec.name} has vectors for whole texts only, none for tokens"
            )
        rows = outputs[self._tokens].data
        if rows.ndim != 3 or rows.shape[1] < len(tokens):
            raise EngineError(
                f"{self.spec.name} answers {list(rows.shape)} for the vectors of {len(tokens)} "
                "tokens"
            )
        return [TokenVector(*pair) for pair in zip(tokens, rows[0].tolist(), strict=False)]


def _vocabulary(spec: ModelSpec, root: Path) -> dict[str, int]:
    try:
        return read_vocabulary(read_lines(spec, root, "vocabulary"))
    except ValueError as error:
        raise IntegrityError(
            f"{spec.files['vocabulary']} of {spec.name} is no vocabulary: {error}"
        ) from error


def _ends(p: Parameters) -> tuple[list[str], list[str]]:
    """The tokens before and after a text's own."""
    start = [p.start_token] if p.start_token is not None else []
    return start, [p.end_token] if p.end_token is not None else []


def _fixed_length(spec: ModelSpec) -> int | None:
    """How many tokens the network always takes; None if any number."""
    lengths = {tensor.shape[1] for tensor in spec.inputs if len(tensor.shape) > 1}
    return max(lengths) if max(lengths, default=-1) > 0 else None


def _most_text_tokens(spec: ModelSpec, p: Parameters, fixed: int | None, added: int) -> int:
    """How many of a text's own tokens are fed."""
    most = min(p.max_tokens, fixed or p.max_tokens) - added
    if p.max_text_tokens is not None and p.max_text_tokens > most:
        raise UsageError(
            f"the parameters of {spec.name} allow {p.max_text_tokens} tokens of a text, and its "
            f"network has room for {most}"
        )
    return p.max_text_tokens or most
