"""Moses' rules and byte pairs beside those of sacremoses and subword-nmt: texts are equal.

Two differences are meant: ” closes a quotation here, and letters are what Python takes for them
(sacremoses divides Chinese characters, as its table of letters has none).
"""

from __future__ import annotations

import io
import random
import re
import sys
import types

import pytest

from paddlesrv.tasks import bpe, moses
from tests.packages import unpacked

SENTENCES = [
    "Hello, world!", "It's a well-known fact that Mr. Smith isn't here.",
    "He paid $5,300.50 (about 20%) in No. 5, St. James's St.",
    "\"Quoted\" 'single' text... and so on...", "The dogs' bowls and the 1990's songs; 90'x",
    "U.S. and U.K. agreed, e.g. this, i.e. that etc.", "a,,b 5,,6 ,x 7, end,",
    "<tag> & [brackets] | pipe", "E-mail: foo.bar@example.com or http://x.org/a_b?c=d",
    "1,000,000 people, 3.14 and 2/3", "He said: 'yes.'",
    "don't can't won't I'm you've o'clock rock'n'roll", "pp. 5 and pp. x Art. 3 No. is",
    "Wait.. what.... really?!", "tab\tand\nnewline\x01junk", "'tis the season",
    "50% off @home #tag ~ ^ * + = ", "Café naïve — dash",
]  # fmt: skip
_random = random.Random(1)
SENTENCES += [
    "".join(
        _random.choices("ab A.B,,''\"-- 5 6 ..!?&|<>[]()@$%_/`é„“x's ", k=_random.randrange(30))
    )
    for _ in range(500)
]


@pytest.fixture(scope="module")
def sacremoses() -> types.ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        # Its command needs these; its rules do not.
        for name, attributes in (
            ("tqdm", {"tqdm": iter}),
            ("joblib", {"Parallel": object, "delayed": iter}),
            ("regex", vars(re)),
        ):
            module = types.ModuleType(name)
            module.__dict__.update({k: v for k, v in attributes.items() if k[:2] != "__"})
            patch.setitem(sys.modules, name, module)
        patch.syspath_prepend(str(unpacked("sacremoses")))
        from sacremoses import tokenize

        return tokenize


@pytest.mark.parametrize("hyphens", [False, True])
@pytest.mark.parametrize("escape", [False, True])
def test_tokens_are_those_of_moses(
    sacremoses: types.ModuleType, hyphens: bool, escape: bool
) -> None:
    theirs = sacremoses.MosesTokenizer("en")
    for text in SENTENCES:
        expected = theirs.tokenize(text, aggressive_dash_splits=hyphens, escape=escape)
        assert moses.tokenize(text, split_hyphens=hyphens, escape=escape) == expected


def test_texts_are_those_of_moses(sacremoses: types.ModuleType) -> None:
    theirs = sacremoses.MosesDetokenizer("de")
    for text in SENTENCES:
        for tokens in (text.split(), moses.tokenize(text, split_hyphens=True)):
            assert moses.detokenize(tokens) == theirs.detokenize(tokens)


@pytest.mark.parametrize("versioned", [False, True])
@pytest.mark.parametrize("few", [False, True])
def test_pieces_are_those_of_subword_nmt(
    monkeypatch: pytest.MonkeyPatch, versioned: bool, few: bool
) -> None:
    monkeypatch.syspath_prepend(str(unpacked("subword-nmt")))
    from subword_nmt.apply_bpe import BPE
    from subword_nmt.learn_bpe import learn_bpe

    text = "low lower lowest new newer newest wide wider shower showed ababab banana bandana " * 9
    written = io.StringIO()
    learn_bpe(io.StringIO(text), written, 40)
    codes = written.getvalue()
    if not versioned:
        codes = codes.partition("\n")[2]
    words = [
        "".join(_random.choices("lowernstbandiq", k=_random.randint(1, 12))) for _ in range(999)
    ]
    pieces = {"lo@@", "w", "er", "n@@", "ew@@", "est", "b@@", "a", "a@@", "an@@"}
    vocabulary = pieces if few else {p + m for w in (*words, *text.split()) for m in ("", "@@")
                                     for i in range(len(w)) for p in (w[i:j] for j in range(i + 1, len(w) + 1))}  # fmt: skip  # noqa: E501
    theirs = BPE(io.StringIO(codes), vocab=vocabulary)
    ours = bpe.read_codes(codes.rstrip("\n").split("\n"))
    for word in words:
        assert bpe.divide(word, ours, vocabulary) == theirs.segment(word).split()
