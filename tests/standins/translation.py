"""The Transformer's stand-in: a checkpoint that translates word for word, made by hand.

The checkpoint is laid out and named as PaddleNLP's, one layer deep. Words have codes of random
sizes in the dimensions where positions hardly change; the encoder's feed-forward part swaps a
word's code for its translation's; the decoder looks, by the fast waves of its position, at the same
place in the source, and says what it finds there. So the right answer is known: each piece's
translation, in order, to the end.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

Array = np.ndarray

TRANSLATIONS = {
    "Hello": "Hallo", "world": "Welt", "the": "das", "house": "Haus", "is": "ist", "big": "groß",
    "small": "klein", "red": "rot", "dog": "Hund", "I": "Ich", "see": "sehe", "a": "ein",
    "and": "und", "beauti@@": "wunder@@", "ful": "schön", "day": "Tag", "good": "guter",
    "mor@@": "Mor@@", "ning": "gen",
}  # fmt: skip
SAME = (",", ".", "!", "?", "&quot;", "(", ")")
VOCABULARY = ("<s>", "<e>", "<unk>", *SAME, *TRANSLATIONS, *TRANSLATIONS.values())
"""Its 48 words are padded to 56 rows, as PaddleNLP pads to a multiple of 8 (and one more here)."""
VOCABULARY_PATH = "WMT14.en-de.partial/wmt14_ende_data_bpe/vocab_all.bpe.33708"
CHECKPOINT_PATH = "base_trained_models/step_final/transformer.pdparams"

WIDTH = 128
ROWS = 56
_WAVES = WIDTH // 2
_WORD_PARTS = (slice(40, 62), slice(_WAVES + 40, _WAVES + 62))
_WORD_DIMENSIONS = [*range(40, 62), *range(_WAVES + 40, _WAVES + 62)]
_ZERO = _WAVES - 1  # the sine of the slowest wave: 0 in every input, so it tells what a norm took
_SIZE = 3.0
_INNER = 64


def codes(count: int) -> Array:
    """Codes of `count` words: balanced, and far from each other."""
    random = np.random.default_rng(11)
    found: list[Array] = []
    while len(found) < count:
        code = np.zeros(WIDTH)
        for part in _WORD_PARTS:
            length = part.stop - part.start
            signs = random.permutation([1.0] * (length // 2) + [-1.0] * (length - length // 2))
            sizes = signs * random.uniform(0.8, 1.2, length)
            code[part] = sizes - sizes.mean()
        if all(abs(code @ other) < 12 for other in found):
            found.append(code)
    return np.array(found)


def weights() -> dict[str, Array]:
    """The state dict, by PaddleNLP's names."""
    table = codes(ROWS)
    state: dict[str, Array] = {}

    def linear(name: str, weight: Array, bias: Array | None = None) -> None:
        state[f"{name}.weight"] = weight
        state[f"{name}.bias"] = np.zeros(weight.shape[1]) if bias is None else bias

    def norm(name: str) -> None:
        state[f"{name}.weight"], state[f"{name}.bias"] = np.ones(WIDTH), np.zeros(WIDTH)

    def attention(name: str, query: Array, key: Array, value: Array, out: Array) -> None:
        for part, weight in zip("qkv", (query, key, value), strict=True):
            linear(f"{name}.{part}_proj", weight)
        linear(f"{name}.out_proj", out)

    nothing = np.zeros((WIDTH, WIDTH))
    encoder, decoder = "transformer.encoder.layers.0", "transformer.decoder.layers.0"
    words = table * _SIZE / WIDTH**0.5
    for side in ("src", "trg"):
        state[f"{side}_word_embedding.word_embedding.weight"] = words
        state[f"{side}_pos_embedding.pos_encoder.weight"] = np.zeros((257, WIDTH))
    attention(f"{encoder}.self_attn", nothing, nothing, nothing, nothing)
    attention(f"{decoder}.self_attn", nothing, nothing, nothing, nothing)

    # A hidden unit for each word that is translated; it is about 22 for its word, 0 for others.
    inward, outward = np.zeros((WIDTH, _INNER)), np.zeros((_INNER, WIDTH))
    for unit, (word, translated) in enumerate(TRANSLATIONS.items()):
        own, its = table[VOCABULARY.index(word)], table[VOCABULARY.index(translated)]
        inward[:, unit] = own / (own @ own) * 44
        outward[unit] = (its - own) * _SIZE / 22
    linear(f"{encoder}.linear1", inward, np.full(_INNER, -52.0))
    linear(f"{encoder}.linear2", outward)
    linear(f"{decoder}.linear1", np.zeros((WIDTH, _INNER)))
    linear(f"{decoder}.linear2", np.zeros((_INNER, WIDTH)))

    # Each of the 8 heads compares positions by the same 8 waves.
    look = np.zeros((WIDTH, WIDTH))
    for head in range(8):
        for i, wave in enumerate(range(0, 16, 2)):
            for half, dimension in enumerate((wave, _WAVES + wave)):
                look[dimension, head * 16 + 2 * i + half] = 16
                look[_ZERO, head * 16 + 2 * i + half] = -16
    value, out = np.zeros((WIDTH, WIDTH)), np.zeros((WIDTH, WIDTH))
    for place, dimension in enumerate(_WORD_DIMENSIONS):
        value[dimension, place] = 1
        out[place, dimension] = 20
    attention(f"{decoder}.cross_attn", look, look, value, out)

    for layer, count in ((encoder, 2), (decoder, 3)):
        for number in range(1, count + 1):
            norm(f"{layer}.norm{number}")
    norm("transformer.encoder.norm")
    norm("transformer.decoder.norm")
    return {name: array.astype(np.float32) for name, array in state.items()}


def checkpoint(place: Path) -> None:
    """What PaddleNLP's archive unpacks to."""
    import paddle

    path = place / CHECKPOINT_PATH
    path.parent.mkdir(parents=True)
    paddle.save({name: paddle.to_tensor(array) for name, array in weights().items()}, str(path))


def dataset(place: Path) -> None:
    """Of PaddleNLP's data set, the vocabulary."""
    path = place / VOCABULARY_PATH
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{word}\n" for word in VOCABULARY), encoding="utf-8")


STANDINS: dict[str, Callable[[Path], None]] = {
    "transformer/tranformer-base-wmt_ende_bpe.tar.gz": checkpoint,
    "transformer/WMT14.en-de.partial.tar.gz": dataset,
}
