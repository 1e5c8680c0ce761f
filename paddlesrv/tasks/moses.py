"""Text <-> the tokens that translation models were trained on, by the rules of Moses.

The rules are those of https://github.com/moses-smt/mosesdecoder (scripts/tokenizer), for English on
the way in and for German, in no way special there, on the way out. A letter or digit is what Python
takes for one; Moses' own tables of Unicode differ from that in rare marks and letters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_TITLES = (
    "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z "
    "Adj Adm Adv Asst Bart Bldg Brig Bros Capt Cmdr Col Comdr Con Corp Cpl DR Dr Drs Ens Gen "
    "Gov Hon Hr Hosp Insp Lt MM MR MRS MS Maj Messrs Mlle Mme Mr Mrs Ms Msgr Op Ord Pfc Ph "
    "Prof Pvt Rep Reps Res Rev Rt Sen Sens Sfc Sgt Sr St Supt Surg v vs i.e rev e.g Rs Nos Nr "
    "Jan Feb Mar Apr Jun Jul Aug Sep Oct Nov Dec"
)
NON_BREAKING = frozenset(_TITLES.split())
"""English words whose full stop does not end a sentence."""
NON_BREAKING_BEFORE_NUMBERS = frozenset({"No", "Art", "pp"})

_ESCAPES = (
    ("&", "&amp;"), ("|", "&#124;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&apos;"),
    ('"', "&quot;"), ("[", "&#91;"), ("]", "&#93;"),
)  # fmt: skip
_OLD_ESCAPES = (("|", "&bar;"), ("[", "&bra;"), ("]", "&ket;"))

_LETTER = r"[^\W\d_]"
_OTHER = r"[\W\d_]"
_SPECIAL = re.compile(r"([^\w\s.'`,-]|_)")
_HYPHEN = re.compile(r"(?<=[^\W_])-(?=[^\W_])")
_DOTS = re.compile(r"\.{2,}")
# A comma stands alone but between digits; an apostrophe stands alone, or goes with the letters
# after it. Each rule sees what those before it made; an apostrophe at an end of the text is seen
# by none.
_RULES = (
    (re.compile(r"(\D),"), r"\1 , "),
    (re.compile(r",(\D)"), r" , \1"),
    (re.compile(r"(\d),$"), r"\1 , "),
    (re.compile(rf"({_OTHER})'({_OTHER})"), r"\1 ' \2"),
    (re.compile(rf"([\W_])'({_LETTER})"), r"\1 ' \2"),
    (re.compile(rf"({_LETTER})'({_OTHER})"), r"\1 ' \2"),
    (re.compile(rf"({_LETTER})'({_LETTER})"), r"\1 '\2"),
    (re.compile(r"(\d)'(s)"), r"\1 '\2"),
)
_FINAL = re.compile(r"(\S+)\.")
_TRAILING = re.compile(r"\.' ?$")

_CURRENCY = re.compile(r"[$¢£¤¥₠-⃀([{¿¡]+")
_PUNCTUATION = re.compile(r"[,.?!:;\\%}\])]+")
# Moses does not know ” as a quotation mark, and leaves a space before it; here it closes.
_QUOTE = re.compile("['\"„“”`]+")
_WIDE = re.compile("[ᄀ-ᇿ⺀-퟿豈-﫿︰-﹏＀-￯]")


def tokenize(text: str, *, split_hyphens: bool = False, escape: bool = True) -> list[str]:
    """An English sentence as tokens.

    Args:
        text: What is in it besides tokens and spaces, such as control characters, is dropped.
        split_hyphens: "well-known" -> "well @-@ known" (Moses' option `-a`).
        escape: Write `&apos;` for an apostrophe, and so on, as Moses does unless told otherwise.
    """
    text = "".join(c for c in " ".join(text.split()) if c >= " ")
    text = _SPECIAL.sub(r" \1 ", text.strip())
    if split_hyphens:
        text = _HYPHEN.sub(" @-@ ", text)
    dots: list[str] = []

    def stand_in(match: re.Match[str]) -> str:
        dots.append(match.group())
        return " \x00 "

    # Several dots are one token; no rule below may touch them.
    text = _DOTS.sub(stand_in, text)
    for rule, replacement in _RULES:
        text = rule.sub(replacement, text)
    text = " ".join(_full_stops(text.split()))
    tokens = _TRAILING.sub(" . ' ", text).split()
    kept = iter(dots)
    tokens = [next(kept) if each == "\x00" else each for each in tokens]
    return [_escaped(token) for token in tokens] if escape else tokens


def detokenize(tokens: Sequence[str]) -> str:
    """Tokens of a German sentence as text."""
    text = f" {' '.join(tokens)} ".replace(" @-@ ", "-")
    for plain, escaped in (*_OLD_ESCAPES, *reversed(_ESCAPES)):
        text = text.replace(escaped, plain)
    written = ""
    space = ""
    opened: dict[str, bool] = {}
    before = ""
    for token in text.split():
        after = " "
        if _WIDE.match(token):
            if before and _WIDE.match(before[-1]):
                space = ""
        elif _CURRENCY.fullmatch(token):
            after = ""
        elif _PUNCTUATION.fullmatch(token):
            space = ""
        elif _QUOTE.fullmatch(token):
            kind = '"' if set(token) <= set("„“”") else token
            if opened.get(kind):
                space = ""
            else:
                after = ""
            opened[kind] = not opened.get(kind, False)
        written += space + token
        space = after
        before = token
    return written.strip()


def is_tokenized(text: str) -> bool:
    """Whether a text bears marks of Moses' tokenizer, which nobody writes by hand."""
    padded = f" {text} "
    return " @-@ " in padded or any(escaped in text for _, escaped in _ESCAPES)


def _full_stops(tokens: list[str]) -> list[str]:
    """Full stops that end a sentence become tokens; those of abbreviations stay."""
    divided: list[str] = []
    for place, token in enumerate(tokens):
        found = _FINAL.fullmatch(token)
        following = tokens[place + 1] if place + 1 < len(tokens) else ""
        if found is None or _stays(found.group(1), following):
            divided.append(token)
        else:
            divided += [found.group(1), "."]
    return divided


def _stays(word: str, following: str) -> bool:
    if "." in word and any(c.isalpha() for c in word):
        return True
    if word in NON_BREAKING or following[:1].islower():
        return True
    return word in NON_BREAKING_BEFORE_NUMBERS and "0" <= following[:1] <= "9"


def _escaped(token: str) -> str:
    for plain, escaped in _ESCAPES:
        token = token.replace(plain, escaped)
    return token
