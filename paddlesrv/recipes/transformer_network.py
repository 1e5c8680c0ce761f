"""The Transformer for translation as a network: encoder, decoder and beam search in one graph.

Architecture: "Attention Is All You Need" (https://arxiv.org/abs/1706.03762) with the norms before
each part. Decoding is that of PaddleNLP's `InferTransformerModel` with beam search version v1,
which is what its checkpoints were published for: ended beams and living ones share the `beam_size`
places, and scores are sums of log probabilities, not divided by length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import paddle
import paddle.nn.functional as F  # noqa: N812 - its usual name

from paddlesrv.models.tensor import Array

Weights = Mapping[str, Array]
Value = Any
"""A tensor of paddle, or in a graph a value."""

_EPSILON = 1e-5
_MASKED = -1e4
_NEVER = -1e9


class Sizes(NamedTuple):
    """What a network is made with; the rest is in the shapes of its weights."""

    layers: int
    heads: int
    start_id: int
    end_id: int
    pad_id: int
    beam_size: int
    max_output_length: int


def positions(count: int, width: int) -> Array:
    """Sinusoidal positions, `count` x `width` float32: the sines first, then the cosines.

    The formula is tensor2tensor's, in which the slowest wave has exactly the length 10000 * 2 pi.
    """
    waves = width // 2
    speeds = np.exp(np.arange(waves) * -(np.log(1e4) / (waves - 1)))
    angles = np.arange(count)[:, None] * speeds[None, :]
    table = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    return np.pad(table, [(0, 0), (0, width % 2)]).astype(np.float32)


class Translator(paddle.nn.Layer):  # type: ignore[misc]
    """src_word, batch x length int64 -> candidates, batch x steps x beams int64, best beam first.

    The source ends with `end_id` and is padded with `pad_id`. The steps end when all beams of all
    rows have ended; ended beams are filled up with `end_id`.
    """

    def __init__(self, weights: Weights, sizes: Sizes, max_length: int) -> None:
        """Take the weights, by the names of PaddleNLP's state dict.

        Args:
            weights: float32, matrices as input x output.
            sizes: What the weights do not say.
            max_length: The longest source, and one less than the longest position table.
        """
        super().__init__()
        self.sizes = sizes
        self._weights: dict[str, Value] = {}
        for name, value in weights.items():
            parameter = self.create_parameter(
                list(value.shape),
                default_initializer=paddle.nn.initializer.Assign(value),
            )
            self.add_parameter(name.replace(".", "_"), parameter)
            self._weights[name] = parameter
        words: Any = self._weights["src_word_embedding.word_embedding.weight"]
        self._source_words = words
        self._target_words = self._weights.get("trg_word_embedding.word_embedding.weight", words)
        self._head = self._weights.get("linear.weight")
        self.width = int(words.shape[1])
        self.words = int(self._target_words.shape[0])
        longest = max(max_length, sizes.max_output_length) + 1
        self.register_buffer("table", paddle.to_tensor(positions(longest, self.width)))

    def forward(self, src_word: Value) -> Value:
        """Encode, and search for the best `beam_size` targets."""
        beams = self.sizes.beam_size
        memory, bias = self._encode(src_word)
        batch = paddle.shape(src_word)[0]
        memory = paddle.repeat_interleave(memory, beams, axis=0)
        bias = paddle.repeat_interleave(bias, beams, axis=0)
        keys = paddle.stack([self._memory_part(memory, i) for i in range(2 * self.sizes.layers)])

        first = paddle.to_tensor([[0.0] + [_NEVER] * (beams - 1)], dtype="float32")
        scores = paddle.tile(first, paddle.stack([batch, paddle.full([], 1, batch.dtype)]))
        ended = scores > 0
        start = paddle.full_like(scores, self.sizes.start_id, dtype="int64")
        step = paddle.zeros([1], "int64")
        state = self._step(step, start, scores, ended, None, None, keys, bias)

        def goes_on(step: Value, _words: Value, _scores: Value, ended: Value, *_: Value) -> Value:
            return paddle.logical_and(
                step <= self.sizes.max_output_length,
                paddle.logical_not(paddle.all(ended)).reshape([1]),
            )

        def body(
            step: Value, words: Value, scores: Value, ended: Value, history: Value, cache: Value
        ) -> list[Value]:
            return list(self._step(step, words, scores, ended, history, cache, keys, bias))

        state = paddle.static.nn.while_loop(goes_on, body, list(state))
        history = paddle.reshape(state[4], [batch, beams, -1])
        return paddle.transpose(history, [0, 2, 1])

    def _encode(self, source: Value) -> tuple[Value, Value]:
        """The memory, batch x length x width, and what masks the padding in it."""
        padding = paddle.cast(source == self.sizes.pad_id, "float32")
        bias = paddle.unsqueeze(padding, [1, 2]) * _MASKED
        places = paddle.arange(0, paddle.shape(source)[1], dtype="int64")
        # Padding stands at position 0 for the network that was trained; masked, it has no say.
        places = paddle.cast(source != self.sizes.pad_id, "int64") * places
        x = self._embedded(self._source_words, source, places)
        for i in range(self.sizes.layers):
            layer = f"transformer.encoder.layers.{i}"
            query, key, value = self._projected(layer, x)
            mixed = self._attend(query, key, value, bias)
            x = x + self._linear(f"{layer}.self_attn.out_proj", mixed)
            x = x + self._feed_forward(layer, self._norm(f"{layer}.norm2", x))
        return self._norm("transformer.encoder.norm", x), bias

    def _projected(self, layer: str, x: Value) -> list[Value]:
        """What a layer attends to itself with: queries, keys and values."""
        normed = self._norm(f"{layer}.norm1", x)
        return [
            self._heads(self._linear(f"{layer}.self_attn.{part}_proj", normed)) for part in "qkv"
        ]

    def _memory_part(self, memory: Value, index: int) -> Value:
        """Keys (even) and values (odd) of the memory for the layers of the decoder."""
        part = "k" if index % 2 == 0 else "v"
        layer = f"transformer.decoder.layers.{index // 2}"
        return self._heads(self._linear(f"{layer}.cross_attn.{part}_proj", memory))

    def _step(
        self,
        step: Value,
        words: Value,
        scores: Value,
        ended: Value,
        history: Value | None,
        cache: Value | None,
        memory: Value,
        bias: Value,
    ) -> tuple[Value, ...]:
        """One more word for each beam; what there was before is None at the first step.

        `words`, `scores` and `ended` are batch x beams, `history` (batch * beams) x step, `cache`
        2 layers x (batch * beams) x heads x step x head width, as `memory` is for the source.
        """
        beams, end = self.sizes.beam_size, self.sizes.end_id
        flat = paddle.reshape(words, [-1, 1])
        x = self._embedded(self._target_words, flat, paddle.full_like(flat, 0) + step)
        new: list[Value] = []
        for i in range(self.sizes.layers):
            layer = f"transformer.decoder.layers.{i}"
            query, key, value = self._projected(layer, x)
            if cache is not None:
                key = paddle.concat([cache[2 * i], key], axis=2)
                value = paddle.concat([cache[2 * i + 1], value], axis=2)
            new += [key, value]
            mixed = self._attend(query, key, value, None)
            x = x + self._linear(f"{layer}.self_attn.out_proj", mixed)
            query = self._norm(f"{layer}.norm2", x)
            query = self._heads(self._linear(f"{layer}.cross_attn.q_proj", query))
            mixed = self._attend(query, memory[2 * i], memory[2 * i + 1], bias)
            x = x + self._linear(f"{layer}.cross_attn.out_proj", mixed)
            x = x + self._feed_forward(layer, self._norm(f"{layer}.norm3", x))
        logits = self._logits(self._norm("transformer.decoder.norm", x))

        # An ended beam goes on with the end alone, at no cost.
        chances = paddle.reshape(F.log_softmax(logits, axis=-1), [-1, beams, self.words])
        only_end = np.full((self.words,), _NEVER, np.float32)
        only_end[end] = 0
        chances = paddle.where(
            paddle.unsqueeze(ended, 2), paddle.to_tensor(only_end).reshape([1, 1, -1]), chances
        )
        totals = paddle.reshape(chances + paddle.unsqueeze(scores, 2), [-1, beams * self.words])
        scores, best = paddle.topk(totals, beams)
        parents, words = best // self.words, best % self.words

        rows = paddle.arange(0, paddle.shape(best)[0], dtype="int64") * beams
        chosen = paddle.reshape(parents + paddle.unsqueeze(rows, 1), [-1])
        ended = paddle.reshape(paddle.gather(paddle.reshape(ended, [-1]), chosen), [-1, beams])
        ended = paddle.logical_or(ended, words == end)
        cache = paddle.gather(paddle.stack(new), chosen, axis=1)
        latest = paddle.reshape(words, [-1, 1])
        if history is None:
            history = latest
        else:
            history = paddle.concat([paddle.gather(history, chosen), latest], axis=1)
        return step + 1, words, scores, ended, history, cache

    def _embedded(self, table: Value, words: Value, places: Value) -> Value:
        # The padding, which is the start as well, is embedded as zeros, whatever its row holds: as
        # the head shares the table, that row was trained.
        embedded = F.embedding(words, table, padding_idx=self.sizes.pad_id) * self.width**0.5
        return embedded + F.embedding(places, self.table)

    def _heads(self, x: Value) -> Value:
        """Rows x length x width -> rows x heads x length x head width."""
        heads = self.sizes.heads
        shape = [0, 0, heads, self.width // heads]
        return paddle.transpose(paddle.reshape(x, shape), [0, 2, 1, 3])

    def _attend(self, query: Value, key: Value, value: Value, bias: Value | None) -> Value:
        """softmax(q k / sqrt(head width) + bias) v, heads put together again."""
        scale = float((self.width // self.sizes.heads) ** -0.5)
        weights = paddle.matmul(query * scale, key, transpose_y=True)
        if bias is not None:
            weights = weights + bias
        mixed = paddle.matmul(F.softmax(weights, axis=-1), value)
        return paddle.reshape(paddle.transpose(mixed, [0, 2, 1, 3]), [0, 0, self.width])

    def _feed_forward(self, layer: str, x: Value) -> Value:
        return self._linear(f"{layer}.linear2", F.relu(self._linear(f"{layer}.linear1", x)))

    def _linear(self, name: str, x: Value) -> Value:
        return F.linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, name: str, x: Value) -> Value:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return F.layer_norm(x, self.width, weight, bias, _EPSILON)

    def _logits(self, x: Value) -> Value:
        if self._head is not None:
            return paddle.matmul(x, self._head)
        return paddle.matmul(x, self._target_words, transpose_y=True)


def save(translator: Translator, path: str) -> None:
    """Write the network as `path`.json and `path`.pdiparams."""
    translator.eval()
    source = paddle.static.InputSpec([None, None], "int64", "src_word")
    static = paddle.jit.to_static(translator, input_spec=[source], full_graph=True)
    paddle.jit.save(static, path)
