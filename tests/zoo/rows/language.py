"""What the language models are asked. What is right follows from how their stand-ins are made."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.standins.language import BERT_WIDTH, bert_vectors, positive_score
from tests.zoo import drawn
from tests.zoo.row import Row

LAC = [
    ("今天天气很好。", "今天/TIME 天气/n 很/d 好/a 。/w"),
    ("我愛北京天安门！", "我/r 愛/v 北京/LOC 天安门/LOC ！/w"),
    ("  这家餐厅很好吃 ", "这/r 家/q 餐厅/n 很/d 好吃/a"),
    ("好", "好/a"),
    # What is no word is O: by itself, in a row, and after a word.
    ("今天 Pad\u200b好😀x" * 20, "今天/TIME  Pad\u200b/O 好/a 😀x/O " * 20),
]
SENTA = [
    ("这家餐厅很好吃", ["这", "家", "餐厅", "很", "好吃"]),
    ("这部电影真的很差劲", ["这", "部", "电影", "真", "的", "很", "差劲"]),
    ("今天", ["今天"]),
    (" 不好。\n", ["不", "好", "。"]),
    ("这家餐厅的服务很好," * 10, ["这", "家", "餐厅", "的", "服务", "很", "好", ","] * 10),
]
BERT = [
    ("今天天气很好", [*"今天天气很好"]),
    ("Hello, Paddles: ÜNAFFABLE!", ["hello", ",", "paddle", "##s", "[UNK]", "un", "##aff",
                                   "##able", "!"]),
    ("", []),
    ("a\x00b\u3000天\tb。", ["a", "##b", "天", "b", "。"]),
    ("很好" * 200, [*"很好"] * 63),
]  # fmt: skip


def check_lac(number: int, result: dict[str, Any]) -> None:
    pairs = [f"{w}/{t}" for w, t in zip(result["words"], result["tags"], strict=True)]
    assert "".join(result["words"]) == LAC[number][0].strip()
    assert " ".join(pairs) == LAC[number][1].strip()


def check_senta(number: int, result: dict[str, Any]) -> None:
    positive = positive_score(SENTA[number][1])
    np.testing.assert_allclose(result["scores"]["positive"], positive, atol=1e-5)
    np.testing.assert_allclose(result["scores"]["negative"], 1 - positive, atol=1e-5)
    assert result["label"] == ("positive" if positive > 0.5 else "negative")
    assert result["score"] == result["scores"][result["label"]]


def check_bert(number: int, result: dict[str, Any]) -> None:
    right, _ = bert_vectors(["[CLS]", *BERT[number][1]])
    assert len(result["embedding"]) == BERT_WIDTH
    np.testing.assert_allclose(result["embedding"], right, atol=1e-4)
    assert result.get("truncated", False) == (number == len(BERT) - 1)


CHINESE = (
    "今天",
    "天气",
    "很",
    "好",
    "我",
    "愛",
    "北京",
    "餐厅",
    "电影",
    "差劲",
    "不",
    "。",
    " ",
    "x",
    "😀",
)
BERT_PIECES = (*CHINESE, "hello", " paddles", " unaffable", ",")

ROWS = [
    Row(
        "bert_chinese_L-12_H-768_A-12",
        [text for text, _ in BERT],
        check_bert,
        drawn.texts(BERT_PIECES, 200),
    ),
    Row("senta_bilstm", [text for text, _ in SENTA], check_senta, drawn.texts(CHINESE)),
    Row("lac", [text for text, _ in LAC], check_lac, drawn.texts(CHINESE)),
]
