"""How names of models are compared: spellings held equal, near misses, and ranks for a search."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from paddlesrv.zoo.entries import Entry

_CLOSE = 0.78
"""difflib's ratio from which a word counts as a typing error of another (one slip in five)."""

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._+&-]+")
_ARCHIVE_SUFFIXES = (".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tar", ".zip", ".whl")
# What exporters call every network: the directory says more.
_GENERIC = frozenset(
    {"inference", "model", "__model__", "params", "__params__", "serving_server",
     "serving_client", "inference_model", "best_model", "output", "export"}
)  # fmt: skip


def fold(name: str) -> str:
    """The form in which two spellings of one name are equal: lower case, "_" for "-"."""
    return name.strip().lower().replace("-", "_")


def as_name(text: str) -> str:
    """A text as a model's name: what cannot be in one becomes "-"; "" if nothing is left."""
    return _NOT_IN_NAMES.sub("-", text).strip("-._+&")[:100]


def default_name(path: Path) -> str:
    """What a path is called, without what exporters call every network."""
    name = path.name
    if not path.is_dir():
        if path.suffix == ".whl":
            name = name.partition("-")[0]
        else:
            ending = next((end for end in _ARCHIVE_SUFFIXES if name.endswith(end)), path.suffix)
            name = name.removesuffix(ending)
    if name in _GENERIC and path.parent != path:
        return default_name(path.parent)
    return name


def similar(name: str, entries: Iterable[Entry], limit: int = 3) -> list[str]:
    """Names or aliases close to a mistyped one, best first, at most one of each entry."""
    asked = fold(name)
    scored = []
    for entry in entries:
        best = max((_likeness(asked, fold(known)), known) for known in (entry.name, *entry.aliases))
        scored.append(best)
    near = [pair for pair in scored if pair[0] >= 0.6]
    near.sort(key=lambda pair: -pair[0])
    return [known for _, known in near[:limit]]


def rank(entries: Sequence[Entry], query: str) -> list[Entry]:
    """Entries that fit every word of the query, best first, equals in the catalogue's order."""
    words = [fold(word) for word in query.split()]
    scored = []
    for entry in entries:
        fields = _Fields(entry)
        scores = [fields.score(word) for word in words]
        if all(scores):
            scored.append((sum(scores), entry))
    scored.sort(key=lambda pair: -pair[0])
    return [entry for _, entry in scored]


class _Fields:
    """An entry's texts as a search sees them."""

    def __init__(self, entry: Entry) -> None:
        self.name = fold(entry.name)
        self.aliases = [fold(alias) for alias in entry.aliases]
        self.name_words = [word for name in (self.name, *self.aliases) for word in _words(name)]
        self.task = fold(entry.task)
        self.task_words = _words(entry.task)
        self.description_words = _words(entry.description)

    def score(self, word: str) -> int:
        """How well one word of a query fits; 0 if not at all."""
        known = (self.name, *self.aliases)
        if word == self.name:
            return 100
        if word in self.aliases:
            return 95
        if any(name.startswith(word) for name in known):
            return 70
        if word == self.task or word in self.task_words:
            return 65
        if any(part.startswith(word) for part in self.name_words):
            return 60
        if any(word in name for name in known):
            return 50
        if any(part.startswith(word) for part in self.task_words):
            return 40
        if any(part.startswith(word) for part in self.description_words):
            return 30
        in_names = max(_mistyped(word, part) for part in (*known, *self.name_words))
        in_texts = max(
            _mistyped(word, part) for part in (*self.task_words, *self.description_words)
        )
        return round(20 * in_names) or round(10 * in_texts)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9.&+]+", text.lower())


def _mistyped(word: str, part: str) -> float:
    """How near a word is to the beginning of another, from `_CLOSE` to 1; 0 if it is not near."""
    if len(word) < 4 or len(part) < len(word) - 2:
        return 0.0
    ratio = _ratio(word, part[: len(word) + 1])
    return ratio if ratio >= _CLOSE else 0.0


def _likeness(asked: str, known: str) -> float:
    """Between 0 and 1; a long name that begins with what was asked is near as well."""
    if len(asked) >= 3 and known.startswith(asked):
        return 0.9
    return _ratio(asked, known)


def _ratio(one: str, other: str) -> float:
    from difflib import SequenceMatcher

    return SequenceMatcher(None, one, other).ratio()
