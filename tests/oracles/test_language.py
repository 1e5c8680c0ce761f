"""Paddle Serving's readers beside our tasks: the same texts, the same ids, the same words."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paddlesrv.models.spec import ModelSpec, TensorSpec
from paddlesrv.models.tensor import Tensor
from paddlesrv.tasks.base import TaskInput, TaskOptions
from paddlesrv.tasks.lexical_analysis import LexicalAnalysis
from paddlesrv.tasks.sentiment_analysis import SentimentAnalysis
from paddlesrv.tasks.text_embedding import TextEmbedding
from paddlesrv.tasks.wordpiece import WordPiece, read_vocabulary, words
from paddlesrv.zoo.catalogue import Catalogue
from tests.oracles.serving_app import readers
from tests.standins import language

SENTENCES = (Path(__file__).parent.parent / "data" / "lac_sentences.txt").read_text().split("\n")
TEXTS = [
    # Chinese, in words that the stand-ins' dictionaries know, and others.
    "今天天气很好。", "我爱北京天安门！", "这家餐厅很好吃", "这部电影真的很差劲", "萬里長城", "好",
    "很好" * 200, "百度是一家高科技公司，总部在北京。", "「引號」與《書名》、……——", "１２３ＡＢＣ",
    # Other languages.
    "The weather is unaffable.", "HELLO, Paddle's world-wide-web!", "naïve café Über Ångström",
    "ΑΣΣΟΣ ΣΑΣ Σ", "İstanbul ıspanak", "Привет, мир", "こんにちは、カタカナ", "한국어 텍스트",
    "नमस्ते दुनिया", "שלום עולם", "مرحبا بالعالم", "e\u0301a\u0300 \u0301",
    # Mixed, numbers, symbols.
    "今天AI人工智能is 很好ok", "a1b2-c3_d4", "$100^2=10,000¥", "user@example.org/~x?y=1&z#2",
    "豈更車", "x²½Ⅷ①", "️⃣1️⃣", "\U00020000\U0002f800 ideographs",
    # Emoji, control characters, odd white space.
    "好😀👨‍👩‍👧‍👦🇨🇳", "a\x00b\x01c\x7fd", "\ufffd?\ufeffbom", "tab\tline\nreturn\r\nend",
    "a\u3000b\xa0c",
    "a\u2028b\u2029c\x85d\x0be", "\u200b零宽\u200d", "\ue000private\U0010ffff",
    # Long, and nothing.
    "x" * 100, "x" * 101, "un" + "able" * 30, "字" * 20_000, "a b " * 5_000, "", " ", "\n\t ",
]  # fmt: skip
ASKED = TaskOptions()

# LACReader leaves its dictionaries open.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


def random_texts(count: int) -> list[str]:
    """Seeded: characters of every kind, in any company."""
    draw = random.Random(42)
    known = "".join(language.CHARACTERS[1:]) + "".join(language.REPLACED)
    ranges = ((0, 0x2FF), (0x300, 0x36F), (0x2000, 0x206F), (0x4E00, 0x9FFF), (0, 0x10FFFF))
    texts = []
    for _ in range(count):
        length = draw.randrange(1, 60)
        texts.append(
            "".join(
                chr(draw.randint(*draw.choice(ranges)))
                if draw.random() < 0.5
                else draw.choice(known)
                for _ in range(length)
            )
        )
    return texts


ALL = [*TEXTS, *SENTENCES, *random_texts(300)]


@pytest.fixture(scope="module")
def theirs() -> Iterator[Mapping[str, Any]]:
    with readers() as modules:
        yield modules


def spec(model: str, inputs: dict[str, str], output: str, lod: int = 0) -> ModelSpec:
    """A catalogue model with its parameters and files, and tensors by name and role."""
    entry = Catalogue.load().get(model)
    return ModelSpec(
        name=model,
        task=entry.task,
        format="paddle-program",
        parameters=entry.parameters,
        files={role: path for role, path in entry.files.items() if not path.startswith("zoo:")},
        inputs=tuple(
            TensorSpec(
                name=name,
                dtype="float32" if role == "mask" else "int64",
                shape=(-1, 1) if lod else (-1, 128, 1),
                lod_level=lod,
                role=role,
            )
            for name, role in inputs.items()
        ),
        outputs=(TensorSpec(name="y", dtype="float32", shape=(-1, 768), role=output),),
    )


def test_there_are_forty_texts_and_more() -> None:
    assert len(TEXTS) >= 40


@pytest.mark.parametrize("lower_case", [True, False])
def test_words_are_those_of_the_basic_tokenizer(
    theirs: Mapping[str, Any], lower_case: bool
) -> None:
    tokenizer = theirs["tokenization"].BasicTokenizer(do_lower_case=lower_case)
    for text in ALL:
        assert list(words(text, lower_case=lower_case)) == tokenizer.tokenize(text), ascii(text)


def test_every_character_is_divided_as_theirs(theirs: Mapping[str, Any]) -> None:
    tokenizer = theirs["tokenization"].BasicTokenizer()
    # Every character of the first plane and every seventh of the others, in one text each block.
    for start in range(0, 0x110000, 0x400):
        step = 1 if start < 0x10000 else 7
        text = "a" + "B".join(map(chr, range(start, start + 0x400, step))) + "c"
        assert list(words(text, lower_case=True)) == tokenizer.tokenize(text), hex(start)


def test_tokens_are_those_of_the_full_tokenizer(theirs: Mapping[str, Any], tmp_path: Path) -> None:
    # Line ends of another system, and white space that belongs to no token.
    path = tmp_path / "vocab.txt"
    path.write_bytes("".join(f"{token} \r\n" for token in language.BERT_VOCABULARY).encode())
    tokenizer = theirs["tokenization"].FullTokenizer(vocab_file=str(path))
    vocabulary = read_vocabulary(path.read_text(encoding="utf-8").split("\n")[:-1])
    assert vocabulary == tokenizer.vocab
    ours = WordPiece(vocabulary)
    for text in ALL:
        assert list(ours.tokens(text)) == tokenizer.tokenize(text), ascii(text)


def test_bert_is_fed_what_chinese_bert_reader_feeds(
    theirs: Mapping[str, Any], tmp_path: Path
) -> None:
    language.write_bert_vocabulary(tmp_path)
    reader = theirs["chinese_bert_reader"].ChineseBertReader(
        {"vocab_file": str(tmp_path / "vocab.txt"), "max_seq_len": 128}
    )
    roles = {
        "input_ids": "tokens", "position_ids": "positions", "segment_ids": "segments",
        "input_mask": "mask",
    }  # fmt: skip
    task = TextEmbedding(spec("bert_chinese_L-12_H-768_A-12", roles, "sentence"), tmp_path)
    for text in ALL:
        ours, _ = task.pre(TaskInput("text", text), ASKED)
        for name, values in reader.process(text).items():
            assert ours[name].data.shape == (1, 128, 1)
            assert ours[name].data.ravel().tolist() == values, (name, ascii(text))


@pytest.fixture
def lac(tmp_path: Path) -> LexicalAnalysis:
    language.write_lac_dictionaries(tmp_path)
    return LexicalAnalysis(spec("lac", {"words": "words"}, "tags", lod=1), tmp_path)


def fed_to(task: LexicalAnalysis, text: str) -> list[int]:
    inputs, _ = task.pre(TaskInput("text", text), ASKED)
    return inputs["words"].data.ravel().tolist()


def test_lac_is_fed_what_lac_reader_feeds(
    theirs: Mapping[str, Any], lac: LexicalAnalysis, tmp_path: Path
) -> None:
    reader = theirs["lac_reader"].LACReader(str(tmp_path / "lac_dict"))
    texts = [text for text in ALL if text.strip() and len(text) <= 10_000]
    assert len(texts) > 500
    for text in texts:
        assert fed_to(lac, text) == reader.process(text), ascii(text)


def test_words_are_those_of_lac_reader_where_no_tag_is_o(
    theirs: Mapping[str, Any], lac: LexicalAnalysis, tmp_path: Path
) -> None:
    reader = theirs["lac_reader"].LACReader(str(tmp_path / "lac_dict"))
    draw = random.Random(7)
    inside = len(language.TAGS) - 1
    assert language.TAGS[inside] == "O"
    for text in [text.strip() for text in ALL if text.strip() and len(text) <= 10_000]:
        tags = [draw.randrange(inside) for _ in text]
        assert answered(lac, text, tags)[0] == reader.parse_result(text, [[t] for t in tags])


def test_at_an_o_lac_reader_fails_or_joins_and_ours_begins_a_word_as_it_means_to(
    theirs: Mapping[str, Any], lac: LexicalAnalysis, tmp_path: Path
) -> None:
    """It compares with a character of the tag, `tag[ind - 1]`, not with the tag before."""
    reader = theirs["lac_reader"].LACReader(str(tmp_path / "lac_dict"))
    o, n, inside = (language.TAGS.index(tag) for tag in ("O", "n-B", "n-I"))
    assert reader.parse_result("天x", [[n], [o]]) == ["天x"]
    assert answered(lac, "天x", [n, o]) == (["天", "x"], ["n", "O"])
    with pytest.raises(IndexError):
        reader.parse_result("天气x", [[n], [inside], [o]])
    assert answered(lac, "天气xyz天", [n, inside, o, o, o, n]) == (
        ["天气", "xyz", "天"],
        ["n", "O", "n"],
    )
    assert answered(lac, "xx气", [o, o, inside]) == (["xx气"], ["O"])


def answered(task: LexicalAnalysis, text: str, tags: list[int]) -> tuple[list[str], list[str]]:
    _, state = task.pre(TaskInput("text", text), ASKED)
    tensor = Tensor(np.array(tags).reshape(-1, 1), (0, len(tags)))
    result = task.post({"y": tensor}, state, ASKED)
    return result.words, result.tags


def test_senta_is_fed_what_senta_reader_feeds(theirs: Mapping[str, Any], tmp_path: Path) -> None:
    vocabulary = tmp_path / "senta_vocab.txt"
    language.write_senta_vocabulary(tmp_path)
    # A word without an id's column is the empty word; the mark of unknown words can stand in it.
    vocabulary.write_text(vocabulary.read_text() + "14\n<unk>\t3\n餐 厅\t15\n")
    reader = theirs["senta_reader"].SentaReader(str(vocabulary))
    task = SentimentAnalysis(spec("senta_bilstm", {"words": "words"}, "scores", lod=1), tmp_path)
    draw = random.Random(3)
    known = [*language.OPINIONS, "<unk>", "餐 厅", "", "unheard-of", "天气"]
    for text in ALL:
        cut = text.split() + draw.choices(known, k=draw.randrange(1, 9))
        tensor = task.prepare(cut)["words"]
        assert tensor.data.ravel().tolist() == reader.process(cut), cut
        assert tensor.lod == (0, len(cut))
