"""Stand-ins for Paddle Serving's language models: lac, senta_bilstm, BERT.

What they answer is known. `lac` finds the words of LEXICON, the fewest that make up a text;
`senta_bilstm` adds up what OPINIONS say of each word; BERT has one small layer of seeded weights,
which `bert_vectors` works out again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tests.standins import serving_conf
from tests.standins.serving_conf import INT64, Variable

# ---- lac -------------------------------------------------------------------------------------

LEXICON = {
    "今天": "TIME", "天气": "n", "很": "d", "好": "a", "我": "r", "爱": "v", "北京": "LOC",
    "天安门": "LOC", "这": "r", "家": "q", "部": "q", "餐厅": "n", "好吃": "a", "电影": "n",
    "真": "d", "的": "u", "差劲": "a", "不": "d", "服务": "vn", "万": "m", "。": "w", ",": "w",
    "!": "w",
}  # fmt: skip
"""Words, and what they are. A character that is in none is O, as is one without an id."""

_KINDS = (
    "a", "ad", "an", "c", "d", "f", "m", "n", "nr", "ns", "nt", "nw", "nz", "p", "q", "r", "s", "t",
    "u", "v", "vd", "vn", "w", "xc", "PER", "LOC", "ORG", "TIME",
)  # fmt: skip
TAGS = (*(f"{kind}-{place}" for kind in _KINDS for place in "BI"), "O")
CHARACTERS = ("OOV", " ", *"0123456789", *"abcxyzABCXYZ", *sorted(set("".join(LEXICON))))
"""In the order of their ids."""

REPLACED = {"Ａ": "A", "，": ",", "！": "!", "萬": "万", "愛": "爱", "\u3000": " "}

_NEVER = -1e4


def write_lac(tree: Path) -> None:
    """Emissions by character, transitions that join what belongs together, and Viterbi's path."""
    from tests.standins.programs import Program

    program = Program()
    words = program.feed("words", (-1, 1), "int64", lod=True)
    table = program.weight(_emissions(), "word_emb")
    emission = program.add("lookup_table", {"Ids": words, "W": table}, lod=True)
    path = program.add(
        "crf_decoding",
        {"Emission": emission, "Transition": program.weight(_transitions(), "crfw")},
        "ViterbiPath",
        dtype="int64",
        lod=True,
        name="crf_decoding_0.tmp_0",
    )
    program.save(tree / "lac_model", [words], [path])
    feeds = [Variable("words", "words", (-1,), INT64, lod=True)]
    fetches = [Variable(path.name, "crf_decode", (-1,), INT64, lod=True)]
    serving_conf.write(tree / "lac_model", feeds, fetches)
    serving_conf.write_client(tree / "lac_client", feeds, fetches)


def write_lac_dictionaries(tree: Path) -> None:
    """`id TAB character`, `id TAB tag`, `character TAB what stands for it`."""
    place = tree / "lac_dict"
    place.mkdir()
    _write_lines(place / "word.dic", (f"{i}\t{char}" for i, char in enumerate(CHARACTERS)))
    _write_lines(place / "tag.dic", (f"{i}\t{tag}" for i, tag in enumerate(TAGS)))
    _write_lines(place / "q2b.dic", (f"{old}\t{new}" for old, new in REPLACED.items()))


def _emissions() -> np.ndarray:
    """What each character can be; to begin a word costs something, so that few are found."""
    scores = np.full((len(CHARACTERS), len(TAGS)), _NEVER)
    for word, kind in LEXICON.items():
        for place, character in enumerate(word):
            tag = TAGS.index(f"{kind}-{'I' if place else 'B'}")
            scores[CHARACTERS.index(character), tag] = 0.0 if place else -1.0
    unknown = (scores == _NEVER).all(axis=1)
    scores[unknown, TAGS.index("O")] = 0.0
    return scores


def _transitions() -> np.ndarray:
    """Rows: from the start, to the end, from each tag. Only what has begun goes on."""
    scores = np.zeros((len(TAGS) + 2, len(TAGS)))
    for number, tag in enumerate(TAGS):
        if tag.endswith("-I"):
            scores[:, number] = _NEVER
            begun = TAGS.index(tag.replace("-I", "-B"))
            scores[[1, 2 + begun, 2 + number], number] = 0.0
    return scores


# ---- senta -----------------------------------------------------------------------------------

OPINIONS = {
    "好": 1.0, "好吃": 2.5, "爱": 1.5, "差劲": -3.0, "不": -0.5, "餐厅": 0.0, "电影": 0.0,
    "这": 0.0, "家": 0.0, "部": 0.0, "真": 0.25, "的": 0.0, "很": 0.25, "服务": 0.0,
}  # fmt: skip
"""What a word says for (or against) the matter; words that are not here say UNKNOWN_SAYS."""

UNKNOWN_SAYS = 0.125


def write_senta(tree: Path) -> None:
    """Two numbers for each word, their sums over the sentence, softmax."""
    from tests.standins.programs import Program

    says = np.array([*OPINIONS.values(), 99.0, UNKNOWN_SAYS])  # "<unk>" itself is never fed
    program = Program()
    words = program.feed("words", (-1, 1), "int64", lod=True)
    table = program.weight(np.stack([-says, says], axis=1), "embedding_0.w_0")
    each = program.add("lookup_table", {"Ids": words, "W": table}, lod=True)
    total = program.add("sequence_pool", {"X": each}, others=("MaxIndex",), pooltype="SUM")
    scores = program.add("softmax", {"X": total}, axis=-1)
    program.save(tree / "senta_bilstm_model", [words], [scores])
    serving_conf.write(
        tree / "senta_bilstm_model",
        [Variable("words", "words", (-1,), INT64, lod=True)],
        [Variable(scores.name, "class_probs", (2,))],
    )


def write_senta_vocabulary(tree: Path) -> None:
    """`word TAB id`."""
    _write_lines(tree / "senta_vocab.txt", (f"{word}\t{i}" for i, word in enumerate(OPINIONS)))


def positive_score(words: Sequence[str]) -> float:
    """What `senta_bilstm` answers for class 1."""
    total = sum(OPINIONS.get(word, UNKNOWN_SAYS) for word in words)
    return float(1 / (1 + np.exp(-2 * total)))


# ---- BERT ------------------------------------------------------------------------------------

BERT_LENGTH, BERT_WIDTH = 128, 768
_INNER = 48

BERT_VOCABULARY = (
    "[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"!,.。，！？",
    *sorted(set("今天气很好我爱北京安门这家餐厅吃部电影真的差劲不服务万人工智能")),
    *"abcdefghijklmnopqrstuvwxyz0123456789", *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz"),
    "the", "weather", "is", "un", "##aff", "##able", "hello", "paddle", "##ing",
)  # fmt: skip


def write_bert_vocabulary(tree: Path) -> None:
    """One token a line."""
    _write_lines(tree / "vocab.txt", BERT_VOCABULARY)


def write_bert(tree: Path) -> None:
    """One layer of one head, narrow inside, with the real one's tensors."""
    from tests.standins.programs import Program

    program = Program()
    names = ("input_ids", "position_ids", "segment_ids")
    shape = (-1, BERT_LENGTH, 1)
    feeds = [program.feed(name, shape, "int64") for name in names]
    feeds.append(program.feed("input_mask", shape, "float32"))
    weights = {key: program.weight(value) for key, value in _bert_weights().items()}

    def times(x: object, key: str) -> object:
        return program.add("matmul_v2", {"X": x, "Y": weights[key]})

    def plus(x: object, y: object) -> object:
        return program.add("elementwise_add", {"X": x, "Y": y}, axis=-1)

    def normal(x: object) -> object:
        return program.add(
            "layer_norm", {"X": x}, "Y", others=("Mean", "Variance"), begin_norm_axis=2,
            epsilon=1e-5,
        )  # fmt: skip

    looked_up = [
        program.add("lookup_table", {"Ids": ids, "W": weights[key]})
        for ids, key in zip(feeds, ("word", "position", "segment"), strict=False)
    ]
    x = normal(plus(plus(*looked_up[:2]), looked_up[2]))
    both = program.add("matmul_v2", {"X": feeds[3], "Y": feeds[3]}, trans_y=True)
    hidden = program.add("scale", {"X": both}, scale=1e4, bias=-1.0, bias_after_scale=False)
    alike = program.add("matmul_v2", {"X": times(x, "query"), "Y": times(x, "key")}, trans_y=True)
    attention = program.add("softmax", {"X": plus(alike, hidden)}, axis=-1)
    seen = program.add("matmul_v2", {"X": attention, "Y": times(x, "value")})
    x = normal(plus(x, times(seen, "out")))
    inner = program.add("relu", {"X": times(x, "up")})
    x = normal(plus(x, times(inner, "down")))
    first = program.add("slice", {"Input": x}, axes=[1], starts=[0], ends=[1], decrease_axis=[1])
    pooled = program.add("tanh", {"X": times(times(first, "pool_in"), "pool_out")})
    model = tree / "bert_chinese_L-12_H-768_A-12_model"
    program.save(model, feeds, [pooled, x])
    conf_feeds = [Variable(f.name, f.name, (BERT_LENGTH, 1), INT64) for f in feeds[:3]]
    conf_feeds.append(Variable("input_mask", "input_mask", (BERT_LENGTH, 1)))
    fetches = [
        Variable(pooled.name, "pooled_output", (BERT_WIDTH,)),
        Variable(x.name, "sequence_output", (BERT_LENGTH, BERT_WIDTH)),
    ]
    serving_conf.write(model, conf_feeds, fetches)
    serving_conf.write_client(tree / "bert_chinese_L-12_H-768_A-12_client", conf_feeds, fetches)


def bert_vectors(tokens: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The vector of the sentence and those of its tokens ("[CLS]" among them): what is right."""
    w = _bert_weights()
    ids = [BERT_VOCABULARY.index(token) for token in tokens]
    x = _normal(w["word"][ids] + w["position"][: len(ids)] + w["segment"][0])
    alike = (x @ w["query"]) @ (x @ w["key"]).T
    attention = np.exp(alike - alike.max(axis=-1, keepdims=True))
    attention /= attention.sum(axis=-1, keepdims=True)
    x = _normal(x + attention @ (x @ w["value"]) @ w["out"])
    x = _normal(x + np.maximum(x @ w["up"], 0) @ w["down"])
    return np.tanh(x[0] @ w["pool_in"] @ w["pool_out"]), x


def _bert_weights() -> dict[str, np.ndarray]:
    random = np.random.default_rng(768)

    def drawn(rows: int, columns: int) -> np.ndarray:
        return random.standard_normal((rows, columns)) / np.sqrt(rows)

    wide, narrow = BERT_WIDTH, _INNER
    return {
        "word": random.standard_normal((len(BERT_VOCABULARY), wide)),
        "position": random.standard_normal((BERT_LENGTH, wide)) / 2,
        "segment": random.standard_normal((2, wide)) / 2,
        "query": drawn(wide, narrow) / 2,
        "key": drawn(wide, narrow) / 2,
        "value": drawn(wide, narrow),
        "out": drawn(narrow, wide),
        "up": drawn(wide, narrow),
        "down": drawn(narrow, wide),
        "pool_in": drawn(wide, narrow),
        "pool_out": drawn(narrow, wide),
    }


def _normal(x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt(centred.var(axis=-1, keepdims=True) + 1e-5)


def _write_lines(path: Path, lines: object) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")


STANDINS: dict[str, Callable[[Path], None]] = {
    "lac/lac.tar.gz": write_lac,
    "lac/lac_dict.tar.gz": write_lac_dictionaries,
    "senta_bilstm/senta_bilstm.tar.gz": write_senta,
    "senta_bilstm/senta_vocab.txt": write_senta_vocabulary,
    "bert_chinese_L-12_H-768_A-12/bert_chinese_L-12_H-768_A-12.tar.gz": write_bert,
    "bert_chinese_L-12_H-768_A-12/vocab.txt": write_bert_vocabulary,
}
