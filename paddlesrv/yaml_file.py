"""A YAML file as plain data that remembers on which line each value stands.

Every config file is read here, and what does not fit in one is explained here: which value at
which place and line, what is accepted there, and what may have been meant.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from paddlesrv.errors import UsageError

BYTES_MAX = 1_000_000
"""A config file is written by people; what is larger is something else."""


@dataclass(frozen=True)
class YamlFile:
    """What a file holds; `lines` tells from which line on, by place (`models[0].name`)."""

    path: Path
    data: Any
    lines: Mapping[str, int] = field(default_factory=dict)

    def at(self, place: str) -> str:
        """`FILE:LINE` of a place."""
        line = self.lines.get(place)
        return f"{self.path}:{line}" if line else str(self.path)


@dataclass(frozen=True)
class Rules:
    """How what does not fit is explained.

    Attributes:
        accepted: What each field takes, in words, by its name.
        fields: The fields that there are at a place ("" is the whole file).
        holds: What the file is, for "... holds no ...".
        wanted: What it must be, in words.
        hints: Where to see a right one.
        moved: Fields that belong elsewhere -> where.
    """

    accepted: Mapping[str, str]
    fields: Callable[[str], Sequence[str]]
    holds: str
    wanted: str
    hints: Sequence[str] = ()
    moved: Mapping[str, str] = field(default_factory=dict)


def read_yaml(path: Path, *, absent: Sequence[str] = ()) -> YamlFile:
    """The file's data and lines.

    Args:
        path: The file.
        absent: Hints for a file that cannot be read.

    Raises:
        UsageError: it cannot be read, is no UTF-8 text, no YAML, or says something twice.
    """
    import yaml

    try:
        with path.open("rb") as stream:
            content = stream.read(BYTES_MAX + 1)
    except OSError as error:
        raise UsageError(
            f"the config file {path} cannot be read: {error.strerror or error}", hints=absent
        ) from error
    if len(content) > BYTES_MAX:
        raise UsageError(f"the config file {path} is larger than {BYTES_MAX:,} bytes")
    try:
        loader = yaml.SafeLoader(content.decode("utf-8"))
        node = loader.get_single_node()
        lines = _Lines(path).of(node)
        data = loader.construct_document(node) if node is not None else None
    except UnicodeDecodeError as error:
        raise UsageError(f"the config file {path} is not UTF-8 text") from error
    except RecursionError as error:
        raise UsageError(f"the config file {path} is nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(
            f"the config file {path} is not valid YAML",
            context=_yaml_context(error),
            hints=[f"correct {path}"],
        ) from error
    return YamlFile(path, data, lines)


def explain(
    error: msgspec.ValidationError,
    data: Any,
    origin: str,
    rules: Rules,
    lines: Mapping[str, int] | None = None,
    section: str = "",
) -> UsageError:
    """The error for a value that does not fit: where it is, what is there, what is accepted.

    Args:
        error: What msgspec says.
        data: The data that it looked at.
        origin: The file, or whatever else the data came from, as named to the user.
        rules: What is accepted.
        lines: Lines by place.
        section: The place of `data` in the file, where it is not the whole.
    """
    text, _, rest = str(error).partition(" - at `$")
    inner = rest.rstrip("`").lstrip(".")
    if "unknown field" in text:
        return _unknown(text.split("`")[1], _join(section, inner), origin, rules, lines)
    if "missing required field" in text:
        name = text.split("`")[1]
        return UsageError(
            f"{_join(section, inner, name)} is missing in {origin}",
            context={"wanted": rules.accepted.get(name, text)},
            hints=rules.hints,
        )
    place = _join(section, inner)
    if not place:
        return UsageError(
            f"{origin} holds no {rules.holds}",
            context={"found": _shown(data), "wanted": rules.wanted},
            hints=rules.hints,
        )
    name = place.rpartition(".")[2]
    wanted = rules.accepted.get(name, "a mapping with `name`" if name.endswith("]") else text)
    return UsageError(
        f"{place} in {origin} is not accepted",
        context={
            "found": _shown(_at(data, inner) if inner else data),
            "wanted": wanted,
            **_line(lines, place),
        },
        hints=[f"correct {place} in {origin}"],
    )


def _unknown(
    name: str, place: str, origin: str, rules: Rules, lines: Mapping[str, int] | None
) -> UsageError:
    import difflib

    known = rules.fields(place)
    where = _join(place, name)
    if name in rules.moved and not place:
        hints = [rules.moved[name]]
    else:
        close = difflib.get_close_matches(name, known, n=1)
        hints = [f"did you mean {close[0]}?"] if close else [f"remove {where} from {origin}"]
    return UsageError(
        f"{where} in {origin} is no known option",
        context={"wanted": "one of " + ", ".join(known), **_line(lines, where)},
        hints=hints,
    )


class _Lines:
    """Lines of a document's values by place; a key that is there twice is refused."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: dict[str, int] = {}
        self._seen: set[int] = set()

    def of(self, node: Any) -> dict[str, int]:
        if node is not None:
            self._walk(node, "")
        return self._lines

    def _walk(self, node: Any, place: str) -> None:
        self._lines.setdefault(place, node.start_mark.line + 1)
        if id(node) in self._seen:  # an alias of what was looked at already
            return
        self._seen.add(id(node))
        if node.id == "sequence":
            for index, item in enumerate(node.value):
                self._walk(item, f"{place}[{index}]")
        elif node.id == "mapping":
            self._walk_mapping(node, place)

    def _walk_mapping(self, node: Any, place: str) -> None:
        first: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            below = _join(place, name)
            if name in first:
                raise UsageError(
                    f"{below} is in {self._path} twice",
                    context={"at": f"line {first[name]} and line {line}"},
                    hints=["keep one of them"],
                )
            first[name] = line
            self._lines[below] = line
            self._walk(value, below)


def _join(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def _line(lines: Mapping[str, int] | None, place: str) -> dict[str, str]:
    line = (lines or {}).get(place)
    return {"at": f"line {line}"} if line else {}


def _yaml_context(error: Exception) -> dict[str, str]:
    mark = getattr(error, "problem_mark", None)
    context = {"found": str(getattr(error, "problem", None) or error).splitlines()[0]}
    if mark is not None:
        context["at"] = f"line {mark.line + 1}, column {mark.column + 1}"
    return context


def _at(data: Any, place: str) -> Any:
    """The value at a place such as `models[0].precision`; None where there is none."""
    for part in place.replace("[", ".").replace("]", "").split("."):
        try:
            data = data[int(part)] if isinstance(data, list) else data[part]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return data


# Aliases within aliases make a value of any size out of a few lines.
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 3, 60, 60


def _shown(value: Any) -> str:
    text = "nothing" if value is None else _SHORT.repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
